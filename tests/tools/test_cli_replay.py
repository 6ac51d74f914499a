"""The command line with a recording, and its pictures."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from moondream_tools.cli import Exit
from sansio_moondream import (
    BBox,
    Completed,
    ConnectionLost,
    PathChunk,
    QueryResult,
    SegmentResult,
    TextDelta,
    Unknown,
    from_dict,
)
from sansio_moondream.recording import Ending
from tests.helpers import END, PIXEL, delta, record
from tests.tools.command_line import SHIPPED, Ran, replayed


class TestReplay:
    def test_text(self, run: Any, image: str) -> None:
        ran = run("query", image, "What?", "--replay", SHIPPED / "query.jsonl", "--speed", "max")
        assert ran.status == Exit.OK
        assert ran.out.startswith("The image shows a harbour at night, under a full moon 🌕.")
        assert ran.out.endswith("a person rowing 🚣 are close by.\n")
        assert ran.err == (
            "39 tokens · the first after 0.50 s · decoded in 2.54 s · 15.4 a second · "
            "finish reason stop · request 31\n"
        )

    def test_segment(self, run: Any, image: str) -> None:
        ran = run(
            "segment", image, "moon", "--replay", SHIPPED / "segment.jsonl", "--speed", "1000"
        )
        lines = ran.out.splitlines()
        assert lines[0] == "coarse box    x 0.395 to 0.725  y 0.225 to 0.855"
        assert lines[1].startswith("coarse path   M 0.93 0.84 L 0.9 0.89")
        assert lines[2] == "box           x 0.408 to 0.704  y 0.241 to 0.839"
        assert lines[3].startswith("path          M1.000,.867C")
        assert lines[3].endswith(".541,.170,.539,.162z")
        assert len(lines) == 4

    def test_detect_and_point(self, run: Any, image: str) -> None:
        ran = run("detect", image, "moon", "--replay", SHIPPED / "detect.jsonl", "--speed", "max")
        assert ran.out.splitlines()[1] == "box 2         x 0.242 to 0.338  y 0.581 to 0.669"
        ran = run("point", image, "moon", "--replay", SHIPPED / "point.jsonl", "--speed", "max")
        assert ran.out.splitlines()[-2:] == [
            "point 8       x 0.973  y 0.588",
            "point 9       x 0.157  y 0.369",
        ]

    def test_json(self, run: Any, image: str) -> None:
        ran = run(
            "segment",
            image,
            "moon",
            "--json",
            "--replay",
            SHIPPED / "segment.jsonl",
            "--speed",
            "max",
        )
        events = [json.loads(line) for line in ran.out.splitlines()]
        assert events[0] == {
            "kind": "bbox",
            "version": 1,
            "x_min": 0.395,
            "y_min": 0.22500000000000003,
            "x_max": 0.7250000000000001,
            "y_max": 0.855,
        }
        assert from_dict(events[1]) == PathChunk("M 0.93 0.84", 5)
        end = from_dict(events[-1])
        assert isinstance(end, Completed)
        assert isinstance(end.result, SegmentResult)
        assert end.result.bbox == BBox(0.4083, 0.2406, 0.7042, 0.8387)
        assert end.result.metadata.request_id == "37"
        assert end.result.metadata.headers["content-type"].startswith("text/event-stream")
        assert (len(events), ran.err) == (120, "")

    def test_json_is_ascii_and_has_every_event_and_the_error(
        self, run: Any, image: str, tmp_path: Path
    ) -> None:
        recording = replayed(
            tmp_path,
            record({"chunk": "月\x1b\x9b"}),
            record({"new": "kind"}),
            ending=Ending(0, "ConnectionLost", "reset"),
        )
        ran = run("query", image, "What?", "--json", "--replay", recording)
        assert ran.out.isascii()
        *events, error = [from_dict(json.loads(line)) for line in ran.out.splitlines()]
        assert events[0] == TextDelta("月\x1b\x9b")
        assert events[1:] == [Unknown({"new": "kind"})]
        assert isinstance(error, ConnectionLost)
        assert error.message == "reset"
        assert isinstance(error.partial, QueryResult)
        assert (error.partial.text, error.partial.partial) == ("月\x1b\x9b", True)
        assert (ran.status, ran.err) == (
            Exit.INCOMPLETE,
            "moondream-stream: incomplete answer: reset [POST https://api.moondream.ai/v1/query]\n",
        )

    def test_no_answer_may_steer_the_terminal(self, run: Any, image: str, tmp_path: Path) -> None:
        recording = replayed(
            tmp_path, delta("\x1b]0;owned\x07A\r\x9b2J\u202eB\n\tC\ufeff\x7f"), END
        )
        assert run("query", image, "What?", "--replay", recording).out == (
            "\\x1b]0;owned\\x07A\\r\\x9b2J\\u202eB\n\tC\\ufeff\\x7f\n"
        )

    def test_what_the_server_says_beside_the_answer(
        self, run: Any, image: str, tmp_path: Path
    ) -> None:
        end = {
            "completed": True,
            "answer": "right",
            "reasoning": {"text": "because"},
            "finish_reason": "length",
            "stats": {"tokens": 5, "tokens_per_sec": 12.34},
        }
        ran = run(
            "query",
            image,
            "What?",
            "--replay",
            replayed(tmp_path, delta("wro\ufffdg"), record({"new": 1}), record(end)),
        )
        assert ran.out == "wro\ufffdg\nright\n"  # "wro" was written before the damage came
        assert ran.err.splitlines() == [
            "The server damaged characters of this stream. The complete text is:",
            "Reasoning: because",
            "5 tokens · 12.3 a second · finish reason length (max_tokens reached)",
        ]

    def test_no_path(self, run: Any, image: str, tmp_path: Path) -> None:
        recording = replayed(
            tmp_path,
            record({"completed": True, "path": "", "parse_error": "no M"}),
            skill="segment",
        )
        ran = run("segment", image, "moon", "--replay", recording)
        assert (ran.status, ran.out, ran.err) == (
            Exit.OK,
            "path          \n",
            "The model wrote an invalid path: no M\n",
        )

    def test_the_beginning_of_a_whole_answer(self, run: Any, image: str, tmp_path: Path) -> None:
        """A server that streams though it was asked not to, and dies."""
        recording = replayed(
            tmp_path, delta("The moon"), ending=Ending(0, "ConnectionLost", "reset")
        )
        ran = run("query", image, "What?", "--no-stream", "--replay", recording)
        assert (ran.status, ran.out) == (Exit.INCOMPLETE, "The moon\n")

    def test_the_beginning_of_an_outline(self, run: Any, image: str, tmp_path: Path) -> None:
        recording = replayed(
            tmp_path, record({"type": "path_delta", "chunk": "M 0 0"}), skill="segment"
        )
        ran = run("segment", image, "moon", "--replay", recording)
        assert (ran.status, ran.out) == (Exit.INCOMPLETE, "coarse path   M 0 0\n")

    def test_a_recording_of_another_skill(self, run: Any, image: str) -> None:
        ran = run("caption", image, "--replay", SHIPPED / "query.jsonl")
        assert (ran.status, ran.out) == (Exit.USAGE, "")
        assert "path: recorded '/v1/query', asked '/v1/caption'" in ran.err


class TestImages:
    def query(self, run: Any, name: str, *options: str) -> Ran:
        replay = ("--replay", SHIPPED / "query.jsonl", "--speed", "max")
        ran: Ran = run("query", name, "What?", *replay, *options)
        return ran

    def test_standard_input(self, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(PIXEL.data)))
        assert self.query(run, "-").status == Exit.OK

    def test_no_such_file(self, run: Any) -> None:
        ran = self.query(run, "no-such-file.jpg")
        assert (ran.status, ran.out) == (Exit.USAGE, "")
        assert "no-such-file.jpg" in ran.err

    def test_a_format_that_pillow_reads(self, run: Any, tmp_path: Path) -> None:
        pillow = pytest.importorskip("PIL.Image", reason="other formats are read by Pillow")
        name = tmp_path / "pixel.bmp"
        pillow.new("RGB", (1, 1)).save(name)
        assert self.query(run, str(name)).status == Exit.OK

    def test_a_bomb(self, run: Any, tmp_path: Path) -> None:
        pytest.importorskip("PIL.Image", reason="bitmaps are read by Pillow")
        name = tmp_path / "bomb.bmp"
        name.write_bytes(
            b"BM"
            + bytes(8)
            + (54).to_bytes(4, "little")
            + (40).to_bytes(4, "little")
            + (99_999).to_bytes(4, "little") * 2
            + b"\1\0\x18\0"
            + bytes(24)
        )
        ran = self.query(run, str(name))
        assert ran.status == Exit.USAGE
        assert "pixels" in ran.err

    def test_no_picture(self, run: Any, tmp_path: Path) -> None:
        name = tmp_path / "notes.txt"
        name.write_text("no picture")
        ran = self.query(run, str(name))
        assert ran.status == Exit.USAGE
        assert f"{name}: Pillow cannot open the picture: it should be an intact JPEG" in ran.err

    def test_made_smaller(self, run: Any, tmp_path: Path) -> None:
        pillow = pytest.importorskip("PIL.Image", reason="Pillow makes pictures smaller")
        name = tmp_path / "moon.png"
        pillow.new("RGB", (60, 40)).save(name)
        ran = self.query(run, str(name), "--max-side", "30")
        assert ran.status == Exit.OK
        assert ran.err.startswith(
            f"moondream-stream: the picture {name} was made smaller from 60 x 40 to 30 x 20\n"
        )
        assert "made smaller" not in self.query(run, str(name), "--max-side", "60").err
        ran = self.query(run, str(name), "--max-side", "0")
        assert (ran.status, ran.out) == (Exit.USAGE, "")
        assert "argument --max-side: it should be a whole number above 0, not '0'" in ran.err

    def test_without_pillow(
        self, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "PIL", None)
        name = tmp_path / "notes.txt"
        name.write_text("no picture")
        ran = self.query(run, str(name))
        assert ran.status == Exit.USAGE
        assert f"{name}: it is no JPEG, PNG, WebP or GIF. To convert it: this needs" in ran.err
        assert "sansio-moondream[images]" in ran.err
