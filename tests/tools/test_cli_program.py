"""The demo, and the command line as a program."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops

from moondream_tools import trace
from moondream_tools.cli import Exit
from moondream_transports.conformance._fault_server import (
    LAST_CHUNK,
    FaultServer,
    Peer,
    chunk,
    head,
)
from moondream_transports.conformance._faults import EVENTS, F1
from sansio_moondream import json_schema
from tests.helpers import END
from tests.tools.command_line import SHIPPED, TEXT, in_a_terminal, program


class TestSchema:
    def test_of_all_kinds(self, run: Any) -> None:
        ran = run("schema")
        assert (ran.status, ran.err) == (Exit.OK, "")
        assert json.loads(ran.out) == json_schema()
        assert ran.out.isascii()

    def test_of_one_kind(self, run: Any) -> None:
        ran = run("schema", "completed")
        assert (ran.status, ran.err) == (Exit.OK, "")
        assert json.loads(ran.out) == json_schema("completed")

    def test_of_a_trace(self, run: Any) -> None:
        ran = run("schema", "trace")
        assert (ran.status, ran.err) == (Exit.OK, "")
        assert json.loads(ran.out) == trace.json_schema()

    def test_of_no_kind(self, run: Any) -> None:
        ran = run("schema", "moon")
        assert (ran.status, ran.out) == (Exit.USAGE, "")
        assert ran.err.startswith("moondream-stream: the kind should be one of text_delta, ")
        assert ran.err.endswith(", not 'moon'\n")


class TestDemo:
    def test_at_once(self, run: Any) -> None:
        ran = run("demo", "--speed", "max")
        assert (ran.status, ran.err) == (Exit.OK, "")
        assert "made up, in the service's format" in " ".join(ran.out.split())
        assert "\x1b" not in ran.out
        assert "\r" not in ran.out
        lines = ran.out.splitlines()
        for skill in ("query", "caption", "segment", "detect", "point"):
            assert any(line.startswith(f"$ moondream-stream {skill} harbour.jpg") for line in lines)
            assert f"{skill.capitalize()}Result(" in lines
        for shown in (
            "coarse box ",
            "coarse path ",
            "box ",
            "path ",
            "point ",
            "39 tokens",
            "    bbox=BBox(",
        ):
            assert any(line.startswith(shown) for line in lines), shown
        assert max(map(len, lines)) < 200

    def test_the_overlay_fits_the_picture(self, run: Any, tmp_path: Path) -> None:
        ran = run("demo", "--speed", "max", "--overlay", tmp_path / "overlay.png")
        assert (ran.status, ran.err) == (Exit.OK, "")
        assert (
            f"Outline, boxes and points, drawn on the picture: {tmp_path / 'overlay.png'}"
            in ran.out
        )
        with (
            Image.open(tmp_path / "overlay.png") as overlay,
            Image.open(str(SHIPPED / "harbour.jpg")) as harbour,
        ):
            assert (overlay.format, overlay.size) == ("PNG", harbour.size)
            red = ImageChops.difference(overlay, harbour).getchannel("R")
            assert red.getpixel((600, 400)) == pytest.approx(114, abs=5)  # half of the foresail's
            assert red.getpixel((555, 440)) == 0  # the hole beside the mast
            assert overlay.getpixel((232, 400)) == (
                255,
                255,
                255,
            )  # a side of the fishing boat's box
            assert overlay.getpixel((151, 236)) == (255, 0, 255)  # the window of the lighthouse

    @pytest.mark.parametrize(
        ("hidden", "name", "words"),
        [(True, "overlay.png", "needs Pillow"), (False, "no-folder/overlay.png", "no-folder")],
    )
    def test_an_overlay_that_cannot_be(
        self,
        run: Any,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        hidden: bool,
        name: str,
        words: str,
    ) -> None:
        if hidden:
            monkeypatch.setitem(sys.modules, "PIL", None)
        ran = run("demo", "--speed", "max", "--overlay", tmp_path / name)
        assert ran.status == Exit.USAGE
        assert words in ran.err

    @pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}])
    def test_in_a_terminal(self, environment: dict[str, str]) -> None:
        shown = in_a_terminal(
            program("demo", "--speed", "200"), {"TERM": "xterm", "COLUMNS": "80"} | environment
        )
        assert ("\x1b[" in shown) is (environment == {})
        assert ("\rcoarse path" in shown.replace("\x1b[2m", "")) is (
            environment != {"TERM": "dumb"}
        )
        words = " ".join(shown.split())  # lines end between words
        assert "full moon 🌕. A sailing boat with the character “月”" in words


class TestAsAProgram:
    def test_a_run(self, image: str) -> None:
        command = program(
            "query", image, "What?", "--replay", str(SHIPPED / "query.jsonl"), "--speed", "max"
        )
        done = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            env=os.environ | {"PYTHONIOENCODING": "ascii"},
        )
        assert done.returncode == Exit.OK, done.stderr
        assert (
            "full moon \\U0001f315. A sailing boat with the character \\u201c\\u6708\\u201d"
            in done.stdout
        )

    @pytest.mark.usefixtures("interruptible")
    def test_interrupted(self, image: str) -> None:
        def script(peer: Peer) -> None:
            peer.answer(*F1)
            assert process.stdout is not None
            assert process.stdout.read(len(TEXT)) == TEXT
            process.send_signal(signal.SIGINT)
            peer.wait_until_closed()

        with FaultServer(script) as server:
            command = program("query", image, "What?", "--endpoint", server.url)
            with subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            ) as process:
                assert process.stderr is not None
                assert process.stderr.read() == "moondream-stream: interrupted\n"
        assert process.returncode == Exit.INTERRUPTED

    @pytest.mark.parametrize("options", [[], ["--json"]])
    def test_whoever_reads_has_seen_enough(self, image: str, options: list[str]) -> None:
        gone = threading.Event()

        def script(peer: Peer) -> None:
            peer.answer(head(), *F1[1:2])
            assert gone.wait(10)
            for segment in (*F1[2:], chunk(END), LAST_CHUNK):
                peer.send(segment)

        with FaultServer(script) as server:
            command = program("query", image, "What?", "--endpoint", server.url, *options)
            with subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            ) as process:
                assert process.stdout is not None
                assert process.stderr is not None
                process.stdout.read(1)
                process.stdout.close()
                gone.set()
                assert process.stderr.read() == b""
        assert process.returncode == Exit.BROKEN_PIPE
        assert len(EVENTS) > 1

    @pytest.mark.parametrize(
        ("redirection", "status", "out", "err"),
        [
            (">/dev/full", Exit.USAGE, "", "moondream-stream: the output cannot be written: "),
            (">&-", Exit.OK, "", ""),
            ("2>&- <&-", Exit.OK, "{", ""),
        ],
    )
    def test_streams_that_cannot_be_used(
        self, redirection: str, status: Exit, out: str, err: str
    ) -> None:
        ran = subprocess.run(
            ["sh", "-c", f'exec "$@" {redirection}', "sh", *program("schema")],
            capture_output=True,
            text=True,
        )
        assert ran.returncode == status, ran.stderr
        assert (ran.stdout[:1], ran.stderr[: len(err) or None]) == (out, err)
