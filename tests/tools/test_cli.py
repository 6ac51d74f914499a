"""The command line, as people and programs run it."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops

from moondream_tools.cli import Exit, main
from moondream_transports.conformance._fault_server import (
    LAST_CHUNK,
    FaultServer,
    Peer,
    chunk,
    head,
)
from moondream_transports.conformance._faults import (
    EVENTS,
    F1,
    WHOLE_BODY,
    WORDS,
    answers,
    sized,
    wait,
)
from sansio_moondream import __version__
from sansio_moondream.recording import Chunk, Ending, Recording, RecordingHeader
from tests.helpers import END, PIXEL, delta, record

SHIPPED = files("moondream_tools") / "recordings"
TEXT = "".join(WORDS)


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MOONDREAM_API_KEY", raising=False)
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def image(tmp_path: Path) -> str:
    path = tmp_path / "pixel.gif"
    path.write_bytes(PIXEL.data)
    return str(path)


class Ran:
    """What one run came to."""

    def __init__(self, status: int, capsys: pytest.CaptureFixture[str]) -> None:
        self.status = status
        self.out, self.err = capsys.readouterr()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    return lambda *arguments: Ran(main([str(argument) for argument in arguments]), capsys)


def replayed(
    tmp_path: Path,
    *chunks: bytes,
    skill: str = "query",
    ending: Ending | None = None,
    kind: str = "text/event-stream",
) -> str:
    """The name of a recording with that body."""
    header = RecordingHeader("POST", f"/v1/{skill}", (), {}, 200, (("content-type", kind),))
    path = tmp_path / "recording.jsonl"
    path.write_bytes(
        Recording(header, tuple(Chunk(0, chunk) for chunk in chunks), ending or Ending(0)).encode()
    )
    return str(path)


class TestAgainstAServer:
    def test_query(self, run: Any, image: str) -> None:
        requests: list[tuple[bytes, bytes]] = []

        def script(peer: Peer) -> None:
            requests.append(peer.read_request())
            for segment in (*F1, chunk(END), LAST_CHUNK):
                peer.send(segment)

        options = [
            "--temperature",
            "0.5",
            "--top-p",
            "0.9",
            "--max-tokens",
            "7",
            "--max-objects",
            "3",
            "--model",
            "m",
            "--reasoning",
        ]
        with FaultServer(script) as server:
            ran = run("query", image, "What is this?", "--endpoint", server.url, *options)
        assert (ran.status, ran.out, ran.err) == (Exit.OK, TEXT + "\n", "")
        assert json.loads(requests[0][1]) == {
            "question": "What is this?",
            "image_url": PIXEL.data_url,
            "reasoning": True,
            "model": "m",
            "settings": {"temperature": 0.5, "top_p": 0.9, "max_tokens": 7, "max_objects": 3},
            "stream": True,
        }
        assert b"moondream-stream" in requests[0][0]
        assert b"x-moondream-auth" not in requests[0][0].lower()

    def test_the_key_of_the_environment(
        self, run: Any, image: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        heads: list[bytes] = []

        def script(peer: Peer) -> None:
            heads.append(peer.read_request()[0])
            peer.send(sized(WHOLE_BODY))

        monkeypatch.setenv("MOONDREAM_API_KEY", "planted-key\n")
        with FaultServer(script) as server:
            ran = run("query", image, "--question", "What is this?", "--endpoint", server.url)
        assert ran.status == Exit.OK
        assert b"X-Moondream-Auth: planted-key" in heads[0]
        assert "planted-key" not in ran.out + ran.err

    def test_no_stream(self, run: Any, image: str) -> None:
        requests: list[bytes] = []

        def script(peer: Peer) -> None:
            requests.append(peer.read_request()[1])
            peer.send(sized(b'{"caption": "A moon", "request_id": "7"}', kind="application/json"))

        with FaultServer(script) as server:
            ran = run("caption", image, "--no-stream", "--length", "long", "--endpoint", server.url)
        assert (ran.status, ran.out) == (Exit.OK, "A moon\n")
        assert "request 7" in ran.err
        assert json.loads(requests[0]) == {
            "image_url": PIXEL.data_url,
            "length": "long",
            "stream": False,
        }

    def test_refused(self, run: Any, image: str) -> None:
        body = json.dumps({"error": {"message": "bad key \x1b[31m"}}).encode()
        with FaultServer(
            answers(sized(body, status_code=401, kind="application/json", X_Request_Id="7"))
        ) as server:
            ran = run("query", image, "What?", "--endpoint", server.url)
        assert (ran.status, ran.out) == (Exit.REFUSED, "")
        assert (
            ran.err
            == "moondream-stream: refused: the server answered 401: bad key \\x1b[31m (request 7)\n"
        )

    def test_incomplete(self, run: Any, image: str) -> None:
        with FaultServer(answers(*F1)) as server:
            ran = run("query", image, "What?", "--endpoint", server.url)
        assert (ran.status, ran.out) == (Exit.INCOMPLETE, TEXT + "\n")
        assert (
            ran.err == "moondream-stream: incomplete answer: "
            "the server closed the connection before the end of the body\n"
        )

    def test_silence(self, run: Any, image: str) -> None:
        waits = [
            "--connect-timeout",
            "9",
            "--first-event-timeout",
            "0.1",
            "--idle-timeout",
            "0.1",
            "--total-timeout",
            "9",
        ]
        with FaultServer(answers(*F1, then=wait)) as server:
            ran = run("query", image, "What?", "--endpoint", server.url, *waits)
        assert (ran.status, ran.out) == (Exit.INCOMPLETE, TEXT + "\n")
        assert "0.1 seconds (Timeouts.idle)" in ran.err
        with FaultServer(answers(then=wait)) as server:
            ran = run("query", image, "What?", "--endpoint", server.url, *waits)
        assert (ran.status, ran.out) == (Exit.UNREACHABLE, "")
        assert "0.1 seconds of the connection" in ran.err

    def test_unreachable(self, run: Any, image: str) -> None:
        with FaultServer(answers()) as server:
            pass
        ran = run("query", image, "What?", "--endpoint", server.url)
        assert ran.status == Exit.UNREACHABLE
        assert ran.err.startswith("moondream-stream: no answer: the connection could not be made")

    def test_no_server_of_moondream(self, run: Any, image: str) -> None:
        with FaultServer(answers(sized(b"<html>", kind="text/html"))) as server:
            ran = run("query", image, "What?", "--endpoint", server.url)
        assert ran.status == Exit.INCOMPLETE
        assert "is this the address of a Moondream server?" in ran.err


class TestReplay:
    def test_text(self, run: Any, image: str) -> None:
        ran = run("query", image, "What?", "--replay", SHIPPED / "query.jsonl", "--speed", "max")
        assert ran.status == Exit.OK
        assert ran.out.startswith("The image shows a crescent moon")
        assert ran.out.endswith("“月の光” next to 🌙 and 👩\u200d🚀.\n")
        assert (
            ran.err == "42 tokens · the first after 530 ms · decoded in 2470 ms · "
            "finish reason stop · request 31\n"
        )

    def test_segment(self, run: Any, image: str) -> None:
        ran = run(
            "segment", image, "moon", "--replay", SHIPPED / "segment.jsonl", "--speed", "1000"
        )
        lines = ran.out.splitlines()
        assert lines[0] == "coarse box    x 0.120 to 0.830  y 0.090 to 0.870"
        assert lines[1].startswith("coarse path   M 0.97 0.78 L 0.96 0.79")
        assert lines[2] == "box           x 0.125 to 0.808  y 0.106 to 0.856"
        assert lines[3].startswith("path          M1.000,.788C")
        assert lines[3].endswith(".995,.790,1.000,.788z")
        assert len(lines) == 4

    def test_detect_and_point(self, run: Any, image: str) -> None:
        ran = run("detect", image, "moon", "--replay", SHIPPED / "detect.jsonl", "--speed", "max")
        assert ran.out.splitlines()[1] == "box           x 0.650 to 0.750  y 0.450 to 0.750"
        ran = run("point", image, "moon", "--replay", SHIPPED / "point.jsonl", "--speed", "max")
        assert ran.out.splitlines() == [
            "point         x 0.300  y 0.400",
            "point         x 0.700  y 0.600",
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
            "event": "bbox",
            "x_min": 0.12,
            "y_min": 0.09,
            "x_max": 0.83,
            "y_max": 0.87,
        }
        assert events[1] == {"event": "path_chunk", "data": "M 0.97 0.78", "token_index": 5}
        end = events[-1]["result"]
        assert end.keys() == {"path", "bbox", "parse_error", "metadata"}
        assert events[-1]["event"] == "completed"
        assert end["bbox"] == {"x_min": 0.125, "y_min": 0.1059, "x_max": 0.808, "y_max": 0.8562}
        assert end["metadata"] | {"metrics": None} == {
            "request_id": "37",
            "finish_reason": "stop",
            "metrics": None,
        }
        assert (len(events), ran.err) == (202, "")

    def test_json_is_ascii_and_has_every_event(self, run: Any, image: str, tmp_path: Path) -> None:
        recording = replayed(
            tmp_path,
            record({"chunk": "月\x1b\x9b"}),
            record({"new": "kind"}),
            ending=Ending(0, "ConnectionLost", "reset"),
        )
        ran = run("query", image, "What?", "--json", "--replay", recording)
        assert ran.out.isascii()
        assert [json.loads(line) for line in ran.out.splitlines()] == [
            {"event": "text_delta", "text": "月\x1b\x9b", "token_index": None},
            {"event": "unknown", "data": {"new": "kind"}},
        ]
        assert (ran.status, ran.err) == (
            Exit.INCOMPLETE,
            "moondream-stream: incomplete answer: reset\n",
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
        assert ran.out == "wro\ufffdg\nright\n"
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
    def query(self, run: Any, name: str) -> Ran:
        ran: Ran = run(
            "query", name, "What?", "--replay", SHIPPED / "query.jsonl", "--speed", "max"
        )
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
        assert self.query(run, str(name)).status == Exit.USAGE

    def test_without_pillow(
        self, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "PIL", None)
        name = tmp_path / "notes.txt"
        name.write_text("no picture")
        ran = self.query(run, str(name))
        assert ran.status == Exit.USAGE
        assert "sansio-moondream[cli]" in ran.err


class TestUsage:
    def test_nothing_to_ask(self, run: Any, image: str) -> None:
        ran = run("query", image, "What?")
        assert ran.status == Exit.USAGE
        for way in ("MOONDREAM_API_KEY", "--endpoint", "--replay", "moondream-stream demo"):
            assert way in ran.err

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ([], "COMMAND"),
            (["sing"], "invalid choice"),
            (["query"], "IMAGE"),
            (["query", "IMAGE"], "give the question once"),
            (["query", "IMAGE", "What?", "--question", "Who?"], "give the question once"),
            (["query", "IMAGE", ""], "question should be text"),
            (["query", "IMAGE", "What?", "--temperature", "-1"], "temperature should be"),
            (["query", "IMAGE", "What?", "--max-tokens", "few"], "invalid int"),
            (["query", "IMAGE", "What?", "--idle-timeout", "0"], "idle should be"),
            (
                ["query", "IMAGE", "What?", "--speed", "0"],
                "should be a number above 0, or max, not '0'",
            ),
            (
                ["query", "IMAGE", "What?", "--speed", "fast"],
                "should be a number above 0, or max, not 'fast'",
            ),
            (["caption", "IMAGE", "--length", "endless"], "invalid choice"),
            (["detect", "IMAGE"], "OBJECT"),
            (["detect", "IMAGE", "moon", "--endpoint", "localhost:2020"], "http"),
            (["detect", "IMAGE", "moon", "--replay", "no-such-file"], "no-such-file"),
            (["detect", "IMAGE", "moon", "--replay", "IMAGE"], "line 1: "),
        ],
    )
    def test_wrong(self, run: Any, image: str, arguments: list[str], words: str) -> None:
        given = [image if argument == "IMAGE" else argument for argument in arguments]
        ran = run(
            *given,
            *(
                []
                if "--endpoint" in given or "--replay" in given or len(given) < 2
                else ["--endpoint", "http://localhost:1/v1"]
            ),
        )
        assert (ran.status, ran.out) == (Exit.USAGE, "")
        assert words in ran.err

    def test_a_key_in_the_clear(
        self, run: Any, image: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MOONDREAM_API_KEY", "planted-key")
        arguments = ["query", image, "What?", "--endpoint", "http://moondream.test/v1"]
        ran = run(*arguments)
        assert ran.status == Exit.USAGE
        assert "planted-key" not in ran.err

        def fail(*address: object, **hints: object) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "unknown name")

        monkeypatch.setattr(socket, "getaddrinfo", fail)
        assert run(*arguments, "--allow-insecure-key").status == Exit.UNREACHABLE

    def test_help(self, run: Any) -> None:
        ran = run("--help")
        assert (ran.status, ran.err) == (Exit.OK, "")
        assert "4 incomplete" in ran.out
        assert run("query", "--help").status == Exit.OK
        assert run("--version").out == f"moondream-stream {__version__}\n"


def program(*arguments: str) -> list[str]:
    return [sys.executable, "-W", "error", "-m", "moondream_tools.cli", *arguments]


class TestDemo:
    def test_at_once(self, run: Any) -> None:
        ran = run("demo", "--speed", "max")
        assert (ran.status, ran.err) == (Exit.OK, "")
        assert "made up, in the service's format" in " ".join(ran.out.split())
        assert "\x1b" not in ran.out
        assert "\r" not in ran.out
        lines = ran.out.splitlines()
        for skill in ("query", "caption", "segment", "detect", "point"):
            assert any(line.startswith(f"$ moondream-stream {skill} moon.png") for line in lines)
            assert f"{skill.capitalize()}Result(" in lines
        for shown in (
            "coarse box ",
            "coarse path ",
            "box ",
            "path ",
            "point ",
            "42 tokens",
            "    bbox=BBox(",
        ):
            assert any(line.startswith(shown) for line in lines), shown
        assert max(map(len, lines)) < 200

    def test_the_overlay_lies_on_the_moon(self, run: Any, tmp_path: Path) -> None:
        ran = run("demo", "--speed", "max", "--overlay", tmp_path / "moon-overlay.png")
        assert (ran.status, ran.err) == (Exit.OK, "")
        assert f"drawn on the picture: {tmp_path / 'moon-overlay.png'}" in ran.out
        with (
            Image.open(tmp_path / "moon-overlay.png") as overlay,
            Image.open(str(SHIPPED / "moon.png")) as moon,
        ):
            assert (overlay.format, overlay.size) == ("PNG", (480, 480))
            red, green, _ = overlay.convert("RGB").resize(moon.size).split()
            drawn = ImageChops.subtract(green, red).point(lambda value: 255 * (value > 60))
            lit = moon.convert("L").point(lambda value: 255 * (value > 107))
        assert ImageChops.difference(drawn, lit).histogram()[255] < 0.05 * lit.histogram()[255]

    @pytest.mark.parametrize(
        ("hidden", "name", "words"),
        [(True, "moon.png", "needs Pillow"), (False, "no-folder/moon.png", "no-folder")],
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
        assert "“月の光” next to 🌙" in shown


def in_a_terminal(command: list[str], environment: dict[str, str]) -> str:
    """What a program shows when its output is a terminal."""
    terminal, its_side = pty.openpty()
    env = {
        name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TERM")
    } | environment
    with subprocess.Popen(
        command, stdout=its_side, stderr=its_side, stdin=subprocess.DEVNULL, env=env
    ) as process:
        os.close(its_side)
        shown = b""
        try:
            while data := os.read(terminal, 65536):
                shown += data
        except OSError:  # how Linux says that the other side has closed
            pass
        os.close(terminal)
    assert process.returncode == 0, shown
    return shown.decode()


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
        assert "\\u201c\\u6708\\u306e\\u5149\\u201d next to \\U0001f319" in done.stdout

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
