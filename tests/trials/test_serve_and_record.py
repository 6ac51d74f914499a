"""Cases 7, 9 and 10 of "What broke in trials": `serve` and `record`."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from moondream_transports.conformance._fault_server import (
    LAST_CHUNK,
    FaultServer,
    Peer,
    chunk,
    head,
)
from moondream_transports.pytest_plugin import Fragmentations
from sansio_moondream.recording import Chunk, Ending, Recording, RecordingHeader
from tests.helpers import END, delta
from tests.tools.programs import Program, running
from tests.trials.helpers import Ran, answer, ran

pytest_plugins = ["moondream_transports.pytest_plugin"]

MIB = 1 << 20
STREAM = (("content-type", "text/event-stream"),)
GOOD = Recording(
    RecordingHeader("POST", "/v1/query", (), {"question": "What?"}, 200, STREAM),
    (Chunk(0.0, delta("A moon")), Chunk(0.0, END)),
    Ending(0.0),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one good recording."""
    made = tmp_path / "recordings"
    made.mkdir()
    (made / "001-query.jsonl").write_bytes(GOOD.encode())
    return made


@pytest.fixture(scope="module")
def server() -> Iterator[Program]:
    with running("serve", "--speed", "max") as program:
        yield program


def exchanged(port: int, data: bytes, *, seconds: float = 10.0) -> bytes:
    """Send bytes, and give what comes until the other side closes, or says no more for so long."""
    with socket.create_connection(("127.0.0.1", port), seconds) as connection:
        connection.sendall(data)
        received = bytearray()
        with suppress(TimeoutError, ConnectionError):
            while more := connection.recv(65536):
                received += more
        return bytes(received)


def request(method: str, path: str, body: bytes = b"", *fields: str) -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: localhost",
        "Connection: close",
        f"Content-Length: {len(body)}",
        *fields,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


class TestLinks:
    """Case 7. What is in the folder may come from somebody else."""

    @staticmethod
    def served(folder: Path) -> Ran:
        """Start, and stop as soon as the address is there. 512 MiB are enough."""
        arguments = ("serve", folder, "--port", 0)
        return ran(*arguments, seconds=8.0, memory=512 * MIB, until_line=True)

    def test_a_link_to_another_file_shows_nothing_of_it(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "secrets.txt").write_text("root-password: s3cret\n")
        (folder / "002-query.jsonl").symlink_to(tmp_path / "secrets.txt")
        done = self.served(folder)
        assert "002-query.jsonl" in done.err
        assert "s3cret" not in done.out + done.err

    @pytest.mark.slow
    def test_a_link_to_a_device_is_refused_in_words(self, folder: Path) -> None:
        (folder / "002-query.jsonl").symlink_to("/dev/zero")
        done = self.served(folder)
        assert done.status is not None
        assert "MemoryError" not in done.err
        assert "002-query.jsonl" in done.err

    @pytest.mark.slow
    def test_a_fifo_does_not_hang_the_start(self, folder: Path) -> None:
        os.mkfifo(folder / "002-query.jsonl")
        done = self.served(folder)
        assert done.status is not None
        assert "002-query.jsonl" in done.err


class TestCrossSite:
    """Case 7. A browser says who asks, though a GET has no Origin."""

    FIELDS = ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors")

    def test_serve_refuses_a_get_of_another_site(self, server: Program) -> None:
        got = exchanged(server.port, request("GET", "/health", b"", *self.FIELDS))
        assert got.startswith(b"HTTP/1.1 403 ")

    def test_record_does_not_pass_on_a_get_of_another_site(self, tmp_path: Path) -> None:
        with (
            FaultServer(answer) as upstream,
            running("record", "--upstream", upstream.url, "--to", tmp_path) as program,
        ):
            got = exchanged(program.port, request("GET", "/v1/models", b"", *self.FIELDS))
        assert upstream.connections == 0
        assert got.startswith(b"HTTP/1.1 403 ")


def test_the_cutting_server_does_not_write_line_ends_in_header_values(
    moondream_fragmentations: Fragmentations,
) -> None:
    """Case 7."""
    fields = (*STREAM, ("x-request-id", "7\r\nX-Injected: yes"))
    header = RecordingHeader("POST", "/v1/query", status_code=200, response_headers=fields)
    try:
        url = next(moondream_fragmentations(Recording(header, GOOD.chunks, GOOD.ending))).url()
    except ValueError as error:
        assert "x-request-id" in str(error)  # noqa: PT017 - one of two right outcomes
        return
    port, path = url.split(":")[2].split("/", 1)
    got = exchanged(int(port), request("POST", f"/{path}/v1/query"))
    assert got.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nX-Injected" not in got


def memory_of(program: Program) -> int:
    """The most memory that a program has had, in bytes."""
    status = Path(f"/proc/{program.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def files_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jsonl"))


QUESTION = json.dumps({"question": "What?", "stream": True}).encode()
ASKED = request("POST", "/v1/query", QUESTION)


class TestRecording:
    """Case 9."""

    @pytest.mark.slow
    @pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc to measure")
    def test_a_long_body_is_not_held_in_memory(self, tmp_path: Path) -> None:
        lines = chunk(b":" + b"m" * 65_533 + b"\n\n") * 4

        def script(peer: Peer) -> None:
            peer.answer(head(), *[lines] * 64, chunk(END), LAST_CHUNK)

        with (
            FaultServer(script) as upstream,
            running("record", "--upstream", upstream.url, "--to", tmp_path) as program,
        ):
            before = memory_of(program)
            got = exchanged(program.port, ASKED, seconds=30.0)
            grown = memory_of(program) - before
        assert len(got) > 16 * MIB
        assert grown < 8 * MIB

    def test_clients_that_leave_a_fast_stream_lose_no_recording(self, tmp_path: Path) -> None:
        """They leave while every buffer on the way is full: then none was written."""
        many = 3
        text = chunk(delta("moon " * 1000)) * 10
        full = threading.Semaphore(0)

        def script(peer: Peer) -> None:
            peer.answer(head())
            peer.sock.settimeout(0.5)
            with suppress(ConnectionError):
                try:
                    while True:
                        peer.sock.sendall(text)
                except TimeoutError:
                    full.release()
                peer.wait_until_closed()

        with (
            FaultServer(script) as upstream,
            running("record", "--upstream", upstream.url, "--to", tmp_path) as program,
        ):
            for count in range(1, many + 1):
                with socket.create_connection(("127.0.0.1", program.port), 10.0) as connection:
                    connection.sendall(ASKED)
                    assert connection.recv(1000)
                    assert full.acquire(timeout=10.0)
                end = time.monotonic() + 10.0
                while len(program.lines) <= count and time.monotonic() < end:
                    time.sleep(0.01)  # a line of the log for each, behind the first
            found = files_in(tmp_path)
        assert len(found) == many
        for path in found:
            assert Recording.decode(path.read_bytes()).ending.fault == "left"

    def test_serve_skips_a_bad_file_with_a_line_in_the_log(self, folder: Path) -> None:
        (folder / "002-query.jsonl").write_bytes(b"what?\n")
        done = ran("serve", folder, "--port", 0, until_line=True)
        if not done.out.startswith("http://"):
            pytest.fail(done.err)
        assert "002-query.jsonl" in done.err

    @pytest.mark.slow
    def test_record_writes_nothing_that_serve_refuses(self, tmp_path: Path) -> None:
        body = json.dumps({"question": "m" * (17 * MIB), "stream": True}).encode()
        with (
            FaultServer(answer) as upstream,
            running("record", "--upstream", upstream.url, "--to", tmp_path) as program,
        ):
            got = exchanged(program.port, request("POST", "/v1/query", body), seconds=30.0)
            program.wait_for_line("POST /v1/query")
        assert b"A moon" in got
        for path in files_in(tmp_path):
            Recording.decode(path.read_bytes())

    def test_unfinished_files_of_a_killed_process_are_taken_away(self, tmp_path: Path) -> None:
        dead = subprocess.Popen([sys.executable, "-c", ""])
        dead.wait()
        part = tmp_path / f".{dead.pid}-7f3a9c.part"
        part.write_bytes(b"half a line")
        with running("record", "--upstream", "http://127.0.0.1:1/v1", "--to", tmp_path):
            assert not part.exists()


class TestLimitsOfTheServers:
    """Case 10."""

    @pytest.mark.slow
    def test_a_head_that_is_half_sent_does_not_stay_for_ever(self, server: Program) -> None:
        """Fifteen seconds are enough for an honest client."""
        with socket.create_connection(("127.0.0.1", server.port), 15.0) as connection:
            connection.sendall(b"POST /v1/query HTTP/1.1\r\nHost: local")
            began = time.monotonic()
            with suppress(TimeoutError, ConnectionError):
                while connection.recv(65536):
                    pass
        assert time.monotonic() - began < 14.0

    @pytest.mark.slow
    @pytest.mark.parametrize("kind", ["serve", "record"])
    def test_a_request_of_many_arrays_does_not_stop_the_others(
        self, kind: str, server: Program, tmp_path: Path
    ) -> None:
        body = b'{"question":"What?","x":[' + b"[]," * (MIB // 3) + b"[]]}"
        with ExitStack() as stack:
            program = server
            if kind == "record":
                upstream = ("--upstream", server.url, "--to", tmp_path)
                program = stack.enter_context(running("record", *upstream))
            large = threading.Thread(
                target=exchanged,
                args=(program.port, request("POST", "/v1/query", body)),
                kwargs={"seconds": 60.0},
                daemon=True,
            )
            longest = 0.0
            large.start()
            while large.is_alive():
                began = time.monotonic()
                assert exchanged(program.port, request("GET", "/health"), seconds=30.0)
                longest = max(longest, time.monotonic() - began)
            large.join()
        assert longest < 1.0
