"""Recordings in files: folders, broken files, large files."""

from __future__ import annotations

import os
import pickle
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from moondream_transports import (
    BreakAt,
    Fragmentation,
    NoRecording,
    ReplayTransport,
    Timeouts,
)
from moondream_transports.recording import read_recording
from sansio_moondream import (
    ConnectError,
    TextDelta,
)
from sansio_moondream.recording import (
    Chunk,
    Ending,
    RecordingError,
    RecordingHeader,
    encode_line,
)
from tests.helpers import CAPTION, END, QUERY, delta
from tests.transports.replay.recordings import (
    HEAD,
    NO_TIMEOUTS,
    WHOLE,
    Played,
    asked,
    outcome,
    recorded,
)


class TestFiles:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        for name, recording in (
            ("1-query", WHOLE),
            ("2-caption", recorded((0, delta("A") + END), request=CAPTION)),
        ):
            (tmp_path / f"{name}.jsonl").write_bytes(recording.encode())
        (tmp_path / "README.md").write_text("not a recording")
        return tmp_path

    def test_files_and_folders(self, folder: Path) -> None:
        file = folder / "1-query.jsonl"
        for given in (folder, str(folder), [folder], file, [str(file)], [WHOLE, file]):
            played = Played(given)
            assert played.chunks() == Played([WHOLE]).chunks()
        assert Played(folder).unused == (file, folder / "2-caption.jsonl")

    def test_the_nearest_is_a_file(self, folder: Path) -> None:
        with pytest.raises(NoRecording, match="the nearest is .*1-query.jsonl, where"):
            Played(folder).client.query(question="Why?")

    def test_it_is_closed_however_the_stream_ends(self, folder: Path) -> None:
        """The fixture around each test looks for open sockets; an open file would be a
        ResourceWarning, which is an error here.
        """
        played = Played(folder)
        stream = played.send(asked(), NO_TIMEOUTS)
        stream.read(None)
        stream.close()
        with pytest.raises(TimeoutError):
            played.send(asked(), Timeouts(first_event=0.1))
        played.chunks()
        for fault in (BreakAt(ConnectError("x")), BreakAt(None, after_bytes=1)):
            broken = Played(folder, break_at=fault, fragmentation=Fragmentation.EACH_BYTE)
            outcome(broken.client, QUERY)

    def test_no_such_file(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            ReplayTransport(tmp_path / "none.jsonl")

    def test_a_file_that_goes_away(self, folder: Path) -> None:
        played = Played(folder)
        (folder / "1-query.jsonl").unlink()
        with pytest.raises(FileNotFoundError):
            played.chunks()


FILE = WHOLE.encode().decode()
LINES = FILE.splitlines(keepends=True)


class TestHostileFiles:
    @pytest.mark.parametrize(
        ("content", "line_number", "message"),
        [
            ("", 1, "the recording is empty"),
            ("{", 1, "not JSON"),
            ("\0" * 100, 1, "not JSON"),
            (
                FILE.replace('"recording": 1', '"recording": 2'),
                1,
                "format version 2, and this library reads 1",
            ),
            ("x" * 20_000_000, 1, "longer than 16,777,216 bytes"),
            ("[" * 100_000, 1, "nests deeper than 64"),
        ],
        ids=["empty", "incomplete", "zeros", "version", "huge", "deep"],
    )
    def test_a_broken_header_is_refused_at_once(
        self, tmp_path: Path, content: str, line_number: int, message: str
    ) -> None:
        path = tmp_path / "broken.jsonl"
        path.write_text(content)
        with pytest.raises(
            RecordingError, match=f"broken.jsonl, line {line_number}: .*{message}"
        ) as caught:
            ReplayTransport(tmp_path)
        assert caught.value.line_number == line_number

    @pytest.mark.parametrize(
        ("lines", "line_number", "message"),
        [
            (LINES[:3], 4, "stops without its ending"),
            ([*LINES[:2], '[0, "t", "A\n'], 3, "not JSON"),
            ([*LINES[:2], '[0, "t", "' + "A" * 20_000_000], 3, "longer than 16,777,216 bytes"),
            ([*LINES[:2], '[0, "b", "../../etc/passwd"]\n'], 3, "base64"),
            ([*LINES[:2], '[1e12, "t", "A"]\n'], 3, "seconds should be"),
            ([*LINES[:2], '[0, "x", "SystemExit"]\n'], 3, "the ending should be"),
            ([*LINES, '[0, "t", "A"]\n'], 6, "nothing should follow the ending"),
        ],
        ids=["short", "incomplete", "huge", "base64", "seconds", "ending", "more"],
    )
    def test_what_comes_before_is_played_then_it_is_refused(
        self, tmp_path: Path, lines: list[str], line_number: int, message: str
    ) -> None:
        path = tmp_path / "broken.jsonl"
        path.write_text("".join(lines))
        played = Played(path)
        stream = played.client.stream(QUERY)
        with stream:
            assert next(stream) == TextDelta("A")
            with pytest.raises(
                RecordingError, match=f"broken.jsonl, line {line_number}: .*{message}"
            ) as caught:
                list(stream)
        assert caught.value.line_number == line_number
        assert pickle.loads(pickle.dumps(caught.value)).line_number == line_number

    def test_links_out_of_the_folder(self, tmp_path: Path) -> None:
        (tmp_path / "outside.jsonl").write_bytes(WHOLE.encode())
        folder = tmp_path / "folder"
        folder.mkdir()
        (folder / "1-query.jsonl").symlink_to("../outside.jsonl")
        with pytest.raises(RecordingError, match="1-query.jsonl should be a regular file, "):
            ReplayTransport(folder)
        link = ReplayTransport(folder / "1-query.jsonl")  # this file is named by its caller
        assert link.unused == (tmp_path / "outside.jsonl",)

    def test_links_inside_the_folder(self, tmp_path: Path) -> None:
        (tmp_path / "1-query.jsonl").write_bytes(WHOLE.encode())
        (tmp_path / "2-query.jsonl").symlink_to("1-query.jsonl")
        with pytest.raises(RecordingError, match="2-query.jsonl should be .*it is a link"):
            ReplayTransport(tmp_path)

    def test_a_folder_that_is_called_a_recording(self, tmp_path: Path) -> None:
        (tmp_path / "1-query.jsonl").mkdir()
        with pytest.raises(RecordingError, match="should be a regular file, but it is something"):
            ReplayTransport(tmp_path)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no FIFOs in folders")
    @pytest.mark.parametrize("named", [True, False])
    def test_a_fifo(self, tmp_path: Path, named: bool) -> None:
        os.mkfifo(tmp_path / "1-query.jsonl")
        with pytest.raises(RecordingError, match="should be a regular file, but it is something"):
            ReplayTransport(tmp_path / "1-query.jsonl" if named else tmp_path)

    def test_a_file_that_is_replaced_when_it_is_opened(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "1-query.jsonl"
        path.write_bytes(WHOLE.encode())
        (tmp_path / "secret").write_text("s3cret")
        real = os.open
        replacements = [lambda: path.symlink_to("secret"), lambda: os.mkfifo(path)]

        def replaced(name: Any, *arguments: Any) -> int:
            path.unlink()
            replacements.pop()()
            return real(name, *arguments)

        for _ in range(2):
            path.unlink()
            path.write_bytes(WHOLE.encode())
            with monkeypatch.context() as patch:
                patch.setattr(os, "open", replaced)
                with pytest.raises(RecordingError, match="should be a regular file") as caught:
                    read_recording(path)
            assert "s3cret" not in str(caught.value)
        assert not replacements


@pytest.mark.slow
class TestLargeFiles:
    """10 MB in 100,000 chunks, and less of the same: what it takes does not grow, or grows as the
    recording does.
    """

    @staticmethod
    def write(path: Path, count: int) -> Path:
        header = encode_line(RecordingHeader.of(asked(), 200, HEAD))
        path.write_bytes(
            header
            + encode_line(Chunk(0, b":" + b"A" * 98 + b"\n")) * count
            + encode_line(Ending(0))
        )
        return path

    @staticmethod
    def play(path: Path, **options: Any) -> int:
        stream = ReplayTransport(path, speed=None, **options).send(asked(), Timeouts())
        size = 0
        while data := stream.read(None):
            size += len(data)
        return size

    def test_memory_is_constant(self, tmp_path: Path) -> None:
        assert (path := self.write(tmp_path / "large.jsonl", 100_000)).stat().st_size > 10_000_000
        tracemalloc.start()
        try:
            assert self.play(path) == 10_000_000
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 500_000

    @pytest.mark.parametrize("fragmentation", [*Fragmentation, range(0, 1000, 7)], ids=str)
    def test_work_is_linear(self, tmp_path: Path, fragmentation: Any) -> None:
        """Counted in calls of functions; what one call does is bounded by a chunk, or is a look at
        bytes that come once.
        """

        def calls(count: int) -> int:
            made = 0

            def note(*about: Any) -> None:
                nonlocal made
                made += 1

            path = self.write(tmp_path / f"{count}.jsonl", count)
            sys.setprofile(note)
            try:
                self.play(
                    path, fragmentation=fragmentation, break_at=BreakAt(None, after_events=10**9)
                )
            finally:
                sys.setprofile(None)
            return made

        base, once, twice = calls(10), calls(110), calls(210)
        assert twice - once == pytest.approx(once - base, rel=0.25)


@pytest.mark.parametrize("fragmentation", Fragmentation)
def test_what_came_before_a_broken_line_is_given_out_first(
    tmp_path: Path, fragmentation: Fragmentation
) -> None:
    file = tmp_path / "broken.jsonl"
    file.write_bytes(b"\n".join(WHOLE.encode().split(b"\n")[:3]) + b"\nnot JSON\n")
    stream = Played(file, fragmentation=fragmentation).send(asked(), NO_TIMEOUTS)
    expected, data = delta("A") + delta(" moon"), b""
    while len(data) < len(expected):
        data += stream.read(None)
    assert data == expected
    with pytest.raises(RecordingError, match="line 4"):
        stream.read(None)
