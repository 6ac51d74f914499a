"""`moondream-stream show`: a recording for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from moondream_tools.cli import Exit
from sansio_moondream.recording import Chunk, Ending, Recording, RecordingHeader
from tests.helpers import END, delta, record
from tests.tools.command_line import SHIPPED, replayed


def lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


class TestARecording:
    def test_of_a_stream(self, run: Any) -> None:
        ran = run("show", SHIPPED / "query.jsonl")
        shown = lines(ran.out)
        assert (ran.status, ran.err) == (Exit.OK, "")
        assert shown[0] == "POST /v1/query → 200 after 0.347 s"
        assert "question What is in this image?" in shown
        assert "content-type text/event-stream; charset=utf-8" in shown
        assert any(line.startswith("image_url image/jpeg, ") for line in shown)
        assert "0.695 74 “The image shows”" in shown
        assert any(line.endswith("the body ended") for line in shown)
        assert "“月”" in ran.out and "\\u" not in ran.out
        assert any(line.startswith("39 tokens") for line in shown)

    def test_of_a_whole_answer(self, run: Any) -> None:
        shown = lines(run("show", SHIPPED / "point.jsonl").out)
        assert any('{"request_id": ' in line for line in shown)
        assert "point 1 x 0.803 y 0.588" in shown

    def test_of_an_outline(self, run: Any) -> None:
        ran = run("show", SHIPPED / "segment.jsonl")
        shown = lines(ran.out)
        assert any(line.endswith(" box x 0.395 to 0.725, y 0.225 to 0.855") for line in shown)
        assert any("path “M 0.93 0.84”" in line for line in shown)
        assert max(map(len, shown)) < 200

    def test_of_a_chat(self, run: Any) -> None:
        shown = lines(run("show", SHIPPED / "chat.jsonl").out)
        assert "user Describe this picture." in shown
        assert any(line.startswith("user image/jpeg, ") for line in shown)

    def test_raw(self, run: Any, tmp_path: Path) -> None:
        name = replayed(tmp_path, delta("月\x1b[31m"), b": a comment\n\n", END)
        ran = run("show", name, "--raw")
        assert '{"chunk": "月\\u001b[31m"' in ran.out
        assert ": a comment" in ran.out
        assert "\x1b" not in ran.out

    @pytest.mark.parametrize(
        ("ending", "words"),
        [
            (Ending(1), "the body ended"),
            (Ending(1, "left"), "the client left"),
            (Ending(1, "omitted", "7 bytes"), "the rest was not recorded: 7 bytes"),
            (Ending(1, "ConnectionLost", "reset"), "ConnectionLost: reset"),
        ],
    )
    def test_how_it_ended(self, run: Any, tmp_path: Path, ending: Ending, words: str) -> None:
        ran = run("show", replayed(tmp_path, delta("A moon"), ending=ending))
        assert f"1.000 {words}" in lines(ran.out)
        assert "“A moon”" in ran.out
        assert "error" in ran.out

    def test_of_no_answer(self, run: Any, tmp_path: Path) -> None:
        path = tmp_path / "none.jsonl"
        header = RecordingHeader("POST", "/v1/query", (), {"question": "A\x1bB"}, None)
        path.write_bytes(Recording(header, (), Ending(2, "ConnectError", "refused")).encode())
        ran = run("show", path)
        assert "POST /v1/query → no answer" in ran.out
        assert "A\\x1bB" in ran.out
        assert "2.000 ConnectError: refused" in lines(ran.out)

    def test_of_something_else(self, run: Any, tmp_path: Path) -> None:
        path = tmp_path / "other.jsonl"
        header = RecordingHeader(
            "GET", "/v1/models", (), [1], 200, (("x-long-header-name-" * 3, "1"),)
        )
        chunks = (Chunk(0, b'{"a": "\\u6708"}\n'), Chunk(0, b"\xff\x9b"))
        path.write_bytes(Recording(header, chunks, Ending(0)).encode())
        ran = run("show", path)
        assert (ran.status, '{"a": "月"}' in ran.out) == (Exit.OK, True)

    def test_of_an_error(self, run: Any, tmp_path: Path) -> None:
        ran = run("show", replayed(tmp_path, record({"error": {"message": "too \x1b busy"}})))
        assert (ran.status, "too \\x1b busy" in ran.out) == (Exit.OK, True)


class TestAFolder:
    def test_a_line_each(self, run: Any) -> None:
        ran = run("show", SHIPPED)
        assert (ran.status, ran.err) == (Exit.OK, "")
        for skill in ("caption", "chat", "detect", "point", "query", "segment"):
            assert f"{skill}.jsonl" in ran.out.splitlines()
        assert "1 chunk, " in ran.out

    def test_with_others_in_it(self, run: Any, tmp_path: Path) -> None:
        (tmp_path / "bad.jsonl").write_text("{}")
        replayed(tmp_path, END)
        ran = run("show", tmp_path)
        assert (ran.status, "recording.jsonl" in ran.out) == (Exit.USAGE, True)
        assert ran.err.startswith(f"moondream-stream: {tmp_path / 'bad.jsonl'}, line 1: ")

    def test_empty(self, run: Any, tmp_path: Path) -> None:
        ran = run("show", tmp_path)
        assert (ran.status, "has no recordings" in ran.err) == (Exit.USAGE, True)


def test_a_broken_one_is_named(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_text("{}\n")
    ran = run("show", path)
    assert (ran.status, ran.out) == (Exit.USAGE, "")
    assert ran.err.startswith(f"moondream-stream: {path}, line 1: ")
    assert ran.err.count("broken.jsonl") == 1
    assert run("show", tmp_path / "none").err.endswith("none: no such file or directory\n")
