"""RecordingFolder: the names of the files, and how they are written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from moondream_transports import (
    Client,
    RecordingFolder,
    RecordingTransport,
    ReplayTransport,
    UrllibTransport,
)
from moondream_transports.conformance._fault_server import (
    LAST_CHUNK,
    FaultServer,
    Peer,
    chunk,
    head,
)
from moondream_transports.recording import read_recording
from sansio_moondream import Endpoint
from sansio_moondream.recording import (
    MAX_LINE_BYTES,
    Chunk,
    Ending,
    Line,
    Recording,
    RecordingError,
    RecordingHeader,
)
from tests.helpers import END, QUERY, delta
from tests.transports.recording.transports import LOCAL

GOOD = Recording(
    RecordingHeader("POST", "/v1/query", (), {"question": "What?"}, 200),
    (Chunk(0.5, delta("A moon")), Chunk(0.5, END)),
    Ending(0.5),
)


class TestRecordingFolder:
    def saved(self, path: str = "/v1/query") -> Recording:
        return Recording(RecordingHeader("POST", path), (), Ending(0, "ConnectError", path))

    def test_names(self, tmp_path: Path) -> None:
        folder = RecordingFolder(tmp_path / "new" / "folder")
        names = [
            folder(self.saved(path)).name for path in ("/v1/query", "/v1/caption", "/v1/query")
        ]
        assert names == ["001-query.jsonl", "002-caption.jsonl", "003-query.jsonl"]
        (tmp_path / "new" / "folder" / "notes.jsonl").write_text("")
        assert RecordingFolder(tmp_path / "new" / "folder")(self.saved()).name == "004-query.jsonl"

    @pytest.mark.parametrize(
        "path",
        [
            f"/v1/{name}"
            for name in (
                "..",
                ".",
                "",
                "../../x",
                "a\\..\\b",
                "C:",
                "\0",
                "%2e%2e%2fx",
                "ü💥",
                "q" * 999,
                "-rf",
                "con",
            )
        ],
    )
    def test_names_are_safe(self, tmp_path: Path, path: str) -> None:
        inside = tmp_path / "inside"
        recording = self.saved(path)
        written = RecordingFolder(inside)(recording)
        assert written.parent == inside
        assert re.fullmatch(r"001-[A-Za-z0-9_-]{1,80}\.jsonl", written.name)
        assert list(tmp_path.rglob("*")) == [inside, written]
        assert Recording.decode(written.read_bytes()) == recording

    @pytest.mark.parametrize("links", [True, False])
    def test_a_name_that_is_taken_meanwhile(
        self, tmp_path: Path, links: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """By another program, between the look and the writing; on a file system with links, and on
        one without.
        """
        link = os.link

        def taken(source: Any, target: Any) -> None:
            if str(target).endswith("001-query.jsonl"):
                Path(target).write_text("another's")
            if not links:
                raise PermissionError("no links here")
            link(source, target)

        monkeypatch.setattr(os, "link", taken)
        assert RecordingFolder(tmp_path)(self.saved()).name == "002-query.jsonl"
        assert (tmp_path / "001-query.jsonl").read_text() == "another's"
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "001-query.jsonl",
            "002-query.jsonl",
        ]

    def test_they_are_played_by_their_numbers(self, tmp_path: Path) -> None:
        for name in ("999-query", "1000-query", "notes", "1001-query", "002-query"):
            (tmp_path / f"{name}.jsonl").write_bytes(self.saved().encode())
        names = [path.stem for path in ReplayTransport(tmp_path).unused if isinstance(path, Path)]
        assert names == ["notes", "002-query", "999-query", "1000-query", "1001-query"]
        assert RecordingFolder(tmp_path)(self.saved()).name == "1002-query.jsonl"

    def test_threads(self, tmp_path: Path) -> None:
        folder = RecordingFolder(tmp_path)
        threads = [
            threading.Thread(target=lambda: [folder(self.saved()) for _ in range(10)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            f"{number:03}-query.jsonl" for number in range(1, 41)
        ]

    def test_nothing_is_left_where_writing_fails(self, tmp_path: Path) -> None:
        resource = pytest.importorskip("resource")  # Windows has no limit of a file's size
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        recording = Recording(GOOD.header, (Chunk(0, b"moon" * 100_000),), Ending(0))
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
            with pytest.raises(OSError, match="File too large"):
                RecordingFolder(tmp_path)(recording)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert list(tmp_path.iterdir()) == []

    def test_replace(self, tmp_path: Path) -> None:
        folder = RecordingFolder(tmp_path)
        old = [folder(self.saved(path)) for path in ("/v1/query", "/v1/query", "/v1/point")]
        new = [self.saved(f"/v1/{skill}") for skill in ("query", "caption")]
        assert [path.name for path in folder.replace([old[0], old[2]], new)] == [
            "003-query.jsonl",
            "004-caption.jsonl",
        ]
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "002-query.jsonl",
            "003-query.jsonl",
            "004-caption.jsonl",
        ]
        assert [path.name for path in folder.replace(list(tmp_path.iterdir()), new[:1])] == [
            "001-query.jsonl"
        ]
        assert [path.name for path in tmp_path.iterdir()] == ["001-query.jsonl"]
        assert folder.replace(list(tmp_path.iterdir()), []) == []
        assert list(tmp_path.iterdir()) == []

    def test_replace_on_a_full_disk(self, tmp_path: Path) -> None:
        resource = pytest.importorskip("resource")  # Windows has no limit of a file's size
        folder = RecordingFolder(tmp_path)
        old = [folder(self.saved()), folder(self.saved())]
        before = {path: path.read_bytes() for path in old}
        large = Recording(GOOD.header, (Chunk(0, b"moon" * 100_000),), Ending(0))
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
            with pytest.raises(OSError, match="File too large"):
                folder.replace(old, [self.saved("/v1/caption"), large])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before

    def test_what_no_reader_accepts_is_not_written(self, tmp_path: Path) -> None:
        header = RecordingHeader("POST", "/v1/query", (), {"question": "m" * MAX_LINE_BYTES})
        with pytest.raises(RecordingError, match="longer than 16,777,216"):
            RecordingFolder(tmp_path)(Recording(header, (), Ending(0, "ConnectError")))
        assert list(tmp_path.iterdir()) == []

    def test_line_by_line(self, tmp_path: Path) -> None:
        folder = RecordingFolder(tmp_path)
        with folder.open() as file, folder.open() as other:
            file.write(GOOD.header)
            other.write(GOOD.header)
            file.write(GOOD.chunks[0])
            file.write(GOOD.chunks[1])
            file.write(GOOD.ending)
            with pytest.raises(RecordingError, match="stops without its ending"):
                other.save()
            assert file.save().name == "001-query.jsonl"
        assert [path.name for path in tmp_path.iterdir()] == ["001-query.jsonl"]
        assert read_recording(tmp_path / "001-query.jsonl") == GOOD

    def test_it_replays(self, tmp_path: Path) -> None:
        def answer(peer: Peer) -> None:
            peer.answer(head(), chunk(delta("A")), chunk(END), LAST_CHUNK)

        with FaultServer(answer) as server:
            client = Client(
                RecordingTransport(UrllibTransport(proxies={}), RecordingFolder(tmp_path)),
                Endpoint(server.url),
            )
            with client.stream(QUERY) as stream:
                live = list(stream)
        with Client(ReplayTransport(tmp_path, speed=None), LOCAL).stream(QUERY) as stream:
            assert list(stream) == live


UNFINISHED = """
import sys
from moondream_transports import RecordingFolder
file = RecordingFolder(sys.argv[1]).open()
print(flush=True)
sys.stdin.read()
"""


class TestUnfinished:
    def test_of_a_living_process_and_of_a_killed_one(self, tmp_path: Path) -> None:
        command = [sys.executable, "-c", UNFINISHED, str(tmp_path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"\n"
            (part,) = tmp_path.iterdir()
            RecordingFolder(tmp_path)
            assert part.exists()
            process.kill()
        RecordingFolder(tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_of_this_process(self, tmp_path: Path) -> None:
        lines: tuple[Line, ...] = (GOOD.header, *GOOD.chunks, GOOD.ending)
        with RecordingFolder(tmp_path).open() as file:
            for line in lines:
                file.write(line)
                RecordingFolder(tmp_path)
            assert file.save().exists()

    def test_other_files_stay(self, tmp_path: Path) -> None:
        (tmp_path / "precious").write_text("precious")
        for name in (".notes.part", "7-ab.part", ".7-ab.part.bak", ".x-ab.part"):
            (tmp_path / name).write_text("not ours")
        (tmp_path / ".7-aa.part").symlink_to("precious")
        (tmp_path / ".7-bb.part").mkdir()
        (tmp_path / ".7-cc.part").write_text("ours")
        RecordingFolder(tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == {
            *("precious", ".notes.part", "7-ab.part", ".7-ab.part.bak", ".x-ab.part"),
            *(".7-aa.part", ".7-bb.part"),
        }

    def test_one_that_is_removed_before_it_is_locked(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fcntl = pytest.importorskip("fcntl")  # Windows removes no open file
        real = fcntl.flock
        removed: list[Path] = []

        def late(file: Any, how: int) -> None:
            if not removed:
                removed.extend(tmp_path.iterdir())
                removed[0].unlink()
            real(file, how)

        monkeypatch.setattr(fcntl, "flock", late)
        path = RecordingFolder(tmp_path)(GOOD)
        assert len(removed) == 1
        assert read_recording(path) == GOOD
