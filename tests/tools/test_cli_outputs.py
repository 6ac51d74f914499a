"""No traceback, whatever becomes of the standard streams, of a signal or of a name.

Each command runs in this process with streams that fail. What needs a program of its own (a signal,
closed descriptors, the end of Python) is tried on a few.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from io import FileIO, TextIOWrapper
from pathlib import Path
from typing import Any, TextIO

import pytest

from moondream_tools.cli import Exit, main
from moondream_transports.conformance._fault_server import FaultServer, Peer
from tests.helpers import PIXEL
from tests.tools.command_line import SHIPPED, program

REPLAY = ["--replay", str(SHIPPED), "--speed", "max"]
COMMANDS = {
    "help": ["--help"],
    "help of a command": ["segment", "--help"],
    "version": ["--version"],
    "query": ["query", "IMAGE", "What?", *REPLAY],
    "caption": ["caption", "IMAGE", "IMAGE", *REPLAY, "--no-stream"],
    "segment": ["segment", "IMAGE", "moon", *REPLAY],
    "segment as JSON": ["segment", "IMAGE", "moon", "--json", *REPLAY],
    "detect": ["detect", "IMAGE", "moon", "--overlay", "FOLDER/drawn.png", *REPLAY],
    "point": ["point", "IMAGE", "moon", *REPLAY],
    "chat": ["chat", "Hello", *REPLAY],
    "demo": ["demo", "--speed", "max"],
    "show": ["show", str(SHIPPED / "query.jsonl")],
    "show a folder": ["show", str(SHIPPED)],
    "schema": ["schema"],
    "completion": ["completion", "bash"],
    "serve": ["serve", "--port", "0"],
    "record": ["record", "--upstream", "http://localhost:1/v1", "--to", "FOLDER", "--port", "0"],
    "bulk": ["bulk", "caption", "IMAGE", "--dry-run", "--endpoint", "http://localhost:1/v1"],
    "bulk export": ["bulk", "export", "FOLDER/none.ledger", "--output", "FOLDER/o.csv"],
}
SERVERS = ("serve", "record")
EXPORT = "bulk export"


@pytest.fixture
def full(name: str) -> Iterator[TextIO]:
    """A full disk. The help is written without a buffer, so that argparse sees the error."""
    with ExitStack() as stack:
        if name in ("help", "version"):
            raw = stack.enter_context(FileIO("/dev/full", "w"))
            yield TextIOWrapper(raw, "utf-8", write_through=True)
        else:
            yield stack.enter_context(open("/dev/full", "w", encoding="utf-8"))


@pytest.fixture
def arguments(name: str, image: str, tmp_path: Path) -> list[str]:
    return [
        word.replace("IMAGE", image).replace("FOLDER", str(tmp_path)) for word in COMMANDS[name]
    ]


@pytest.mark.parametrize("name", COMMANDS)
class TestEachCommand:
    def test_a_full_disk(
        self,
        name: str,
        arguments: list[str],
        full: TextIO,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(arguments) == Exit.USAGE
        error = capsys.readouterr().err
        if name == EXPORT:
            assert "there is no ledger" in error
        else:
            assert "moondream-stream: the output cannot be written: no space left" in error

    def test_a_reader_that_leaves(
        self, name: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        with open(writer, "w", encoding="utf-8") as gone:
            monkeypatch.setattr(sys, "stdout", gone)
            assert main(arguments) == (Exit.USAGE if name == EXPORT else Exit.BROKEN_PIPE)

    def test_errors_that_nobody_reads(
        self, name: str, arguments: list[str], full: TextIO, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if name in SERVERS:
            arguments += ["--port", "none"]
        monkeypatch.setattr(sys, "stderr", full)
        expected = Exit.USAGE if name in (*SERVERS, EXPORT) else Exit.OK
        assert main(arguments) == expected

    def test_closed_streams(
        self, name: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if name in SERVERS:
            arguments += ["--port", "none"]
        for stream in ("stdin", "stdout", "stderr"):
            monkeypatch.setattr(sys, stream, None)
        expected = Exit.USAGE if name in (*SERVERS, EXPORT) else Exit.OK
        assert main(arguments) == expected


@pytest.mark.parametrize(
    "redirection",
    [
        "2> /dev/full > /dev/full",
        *(
            pytest.param(redirection, marks=pytest.mark.slow)
            for redirection in ("> /dev/full", ">&-", ">&- 2>&- <&-", "2>&-", "| true")
        ),
    ],
)
def test_as_a_program(redirection: str, tmp_path: Path) -> None:
    command = program("demo", "--speed", "max")
    done = subprocess.run(
        ["bash", "-c", f'"$@" {redirection}; exit ${{PIPESTATUS[0]}}', "bash", *command],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": ""},
    )
    expected = Exit.OK
    if "> /dev/full" in redirection:
        expected = Exit.USAGE
    assert done.returncode in ([Exit.OK, Exit.BROKEN_PIPE] if "|" in redirection else [expected])
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr
    assert done.stderr.count("\n") <= 1


@pytest.mark.usefixtures("interruptible")
class TestInterrupts:
    def test_while_it_is_imported(self) -> None:
        code = (
            "import atexit, os, signal, sys\n"
            "class Finder:\n"
            "    def find_spec(self, name, *_):\n"
            "        if name == 'sansio_moondream': os.kill(os.getpid(), signal.SIGINT)\n"
            "sys.meta_path.insert(0, Finder())\n"
            # Classes in C that are interrupted while they are made may crash: all are made first.
            "atexit.register(lambda: print('moondream_tools._run' in sys.modules))\n"
            "from moondream_tools.cli import program\n"
            "program()"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (Exit.INTERRUPTED, "True\n")
        assert done.stderr == "moondream-stream: interrupted\n"

    @pytest.mark.slow
    @pytest.mark.parametrize("command", [["query", "-", "What?"], ["chat"]])
    def test_while_it_reads_standard_input(self, command: list[str]) -> None:
        endpoint = ["--endpoint", "http://localhost:1/v1"]
        reader, writer = os.pipe()
        with subprocess.Popen(
            program(*command, *endpoint), stdin=reader, stderr=subprocess.PIPE, text=True
        ) as process:
            os.close(reader)
            process.send_signal(signal.SIGSTOP)  # so that it is certainly running
            process.send_signal(signal.SIGCONT)
            _wait_until_it_sleeps(process.pid)
            process.send_signal(signal.SIGINT)
            assert process.stderr is not None
            error = process.stderr.read()
        os.close(writer)
        assert (process.returncode, error) == (
            Exit.INTERRUPTED,
            "moondream-stream: interrupted\n",
        )

    def test_while_it_waits_for_a_server(self, image: str) -> None:
        def script(peer: Peer) -> None:
            peer.read_request()
            process.send_signal(signal.SIGINT)
            peer.wait_until_closed()

        with FaultServer(script) as server:
            command = program("segment", image, "moon", "--json", "--endpoint", server.url)
            with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
                assert process.stderr is not None
                assert process.stderr.read() == "moondream-stream: interrupted\n"
        assert process.returncode == Exit.INTERRUPTED


def _wait_until_it_sleeps(pid: int) -> None:
    """Wait until a program waits for a byte of a pipe."""
    path = Path(f"/proc/{pid}/wchan")
    if not path.exists():
        pytest.skip("needs /proc, to see that a program waits for a pipe")
    while "pipe" not in path.read_text():
        os.sched_yield()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.mkdir(), "is a directory"),
        (lambda path: path.write_bytes(b""), "it is empty, and should be a picture"),
        (lambda path: path.write_bytes(b"BM" + bytes(60)), "Pillow cannot open the picture"),
        (lambda path: path.write_bytes(PIXEL.data[:12]), ""),
        (lambda path: path.symlink_to(path), "too many levels of symbolic links"),
    ],
    ids=["folder", "empty", "broken", "cut", "loop"],
)
@pytest.mark.parametrize("command", ["caption", "detect"])
def test_what_is_no_picture(run: Any, tmp_path: Path, command: str, make: Any, words: str) -> None:
    name = tmp_path / "caf\udce9.png"
    make(name)
    overlay = ["moon", "--overlay", tmp_path / "o.png"] if command == "detect" else []
    ran = run(command, name, *overlay, *REPLAY)
    if words:
        assert (ran.status, ran.out) == (Exit.USAGE, "")
        assert words in ran.err and "caf\\udce9.png" in ran.err
    else:  # whether it can be read matters only to a drawing of it
        assert (ran.status, ran.out == "") == ((Exit.USAGE, True) if overlay else (Exit.OK, False))
        assert ("--overlay cannot draw on " in ran.err) is bool(overlay)


def test_a_file_that_may_not_be_read(run: Any, image: str) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    os.chmod(image, 0)
    assert f"{image}: permission denied" in run("caption", image, *REPLAY).err


def test_bytes_that_are_no_utf8(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MOONDREAM_MODEL", "MOONDREAM_ENDPOINT", "MOONDREAM_API_KEY"):
        monkeypatch.setenv(name, "http://\udcff/v1")
        for arguments in (["query", "\udcff\udcfe"], ["show", "\udcff"], ["\udcff"]):
            ran = run(*arguments)
            assert ran.status == Exit.USAGE
            assert ran.err.startswith("moondream-stream: ")
