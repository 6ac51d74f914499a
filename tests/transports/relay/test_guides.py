"""The programs of docs/how-to/relay.md under real servers, with real clients and signals."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from moondream_tools import FakeServer
from sansio_moondream import RateLimitError
from tests.guides import ROOT, write_files

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("interruptible")]
PAGE = ROOT / "docs" / "how-to" / "relay.md"
SECONDS = 60

UVICORN = [sys.executable, "-m", "uvicorn", "--log-level=warning", "--port={port}"]
HYPERCORN = [
    *[sys.executable, "-m", "hypercorn", "--log-level=error", "--bind=127.0.0.1:{port}"],
    *["--workers=0", "--graceful-timeout=20"],
]
PROGRAMS = {
    "starlette": [*UVICORN, "starlette_app:app"],
    "fastapi": [*UVICORN, "fastapi_app:app"],
    "hypercorn": [*HYPERCORN, "starlette_app:app"],
    "hypercorn-trio": [*HYPERCORN, "--worker-class=trio", "starlette_app:app"],
    "flask": [sys.executable, "flask_app.py"],
}
each_program = pytest.mark.parametrize("program", PROGRAMS)


class Server:
    """A program of the page, in a process of its own."""

    def __init__(self, program: str, folder: Path, upstream: FakeServer) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        write_files(PAGE, folder)
        for file in folder.glob("*_app.py"):  # a drain of 20 seconds is too long for a test
            file.write_text(file.read_text().replace("on_signal(20)", "on_signal(2)"))
        self.stopping = False
        self.process = subprocess.Popen(
            [part.format(port=self.port) for part in PROGRAMS[program]],
            cwd=folder,
            env={**os.environ, "UPSTREAM": upstream.url, "PORT": str(self.port)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @contextmanager
    def ask(self, method: str = "POST", path: str = "/ask") -> Iterator[HTTPResponse]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                connection.connect()
                break
            except ConnectionRefusedError:
                assert self.process.poll() is None, self.process.communicate()
                assert time.monotonic() < deadline
                time.sleep(0.02)  # it has to import everything
        with connection.sock:
            body = json.dumps({"question": "What is it?"})
            connection.request(method, path, body, {"Content-Type": "application/json"})
            with connection.getresponse() as response:
                yield response
        connection.close()

    def terminate(self) -> None:
        """Send SIGTERM. Only once: a second one may come while the event loop is being closed."""
        if not self.stopping:
            self.stopping = True
            self.process.send_signal(signal.SIGTERM)

    def stop(self) -> tuple[int, str]:
        """Send SIGTERM. Returns the exit code and the output."""
        self.terminate()
        output, _ = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, output

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def upstream() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server


@pytest.fixture
def serve(upstream: FakeServer, tmp_path: Path) -> Iterator[Callable[[str], Server]]:
    with ExitStack() as opened:

        def start(program: str) -> Server:
            server = Server(program, tmp_path, upstream)
            opened.callback(server.close)
            return server

        yield start


def events(response: HTTPResponse) -> Iterator[dict[str, object]]:
    for line in response:
        if line.startswith(b"data: "):
            yield json.loads(line.removeprefix(b"data: "))


@each_program
def test_answers_errors_leaving_and_stopping(
    program: str, serve: Callable[[str], Server], upstream: FakeServer
):
    server = serve(program)
    upstream.answer(text="The moon rises.")
    with server.ask() as response:
        assert (response.status, response.getheader("x-accel-buffering")) == (200, "no")
        assert response.getheader("content-length") is None
        *deltas, last = events(response)
    assert "".join(str(event["text"]) for event in deltas) == "The moon rises."
    assert last["kind"] == "completed"

    upstream.answer(error=RateLimitError("slowly", retry_after=7.0))
    with server.ask() as response:
        assert (response.status, response.getheader("retry-after")) == (429, "7")
        assert json.load(response)["error"]["message"] == "slowly"

    upstream.answer(text="The moon rises.", error=RateLimitError("slowly"))
    with server.ask() as response:
        *_, last = events(response)
    assert (last["kind"], last["message"]) == ("rate_limit_error", "slowly")

    upstream.answer(text="The moon rises.", fault="stall@1")
    with server.ask() as response:
        assert next(events(response))["text"] == "The"
    upstream.wait_until_left(SECONDS)  # in Flask after a heartbeat

    upstream.answer(text="The moon rises.", fault="stall@1")
    with server.ask() as response:
        received = events(response)
        next(received)
        server.terminate()
        *_, last = received
        assert (last["kind"], last["type"]) == ("server_error", "server_stopping")
        assert response.read() == b""  # the body has its proper end
    upstream.wait_until_left(SECONDS)
    returncode, output = server.stop()
    assert returncode in (0, -signal.SIGTERM), output
    assert "Traceback" not in output


@pytest.mark.parametrize("program", ["starlette", "flask"])
def test_what_runs_may_finish_when_the_server_stops(
    program: str, serve: Callable[[str], Server], upstream: FakeServer
):
    server = serve(program)
    upstream.answer(text="The moon rises.", seconds=0.3)
    with server.ask() as response:
        received = events(response)
        next(received)
        server.terminate()
        *_, last = received
    assert last["kind"] == "completed"
    output, _ = server.process.communicate(timeout=SECONDS)
    assert server.process.returncode in (0, -signal.SIGTERM), output


def test_fastapi_describes_the_response(serve: Callable[[str], Server]):
    with serve("fastapi").ask("GET", "/openapi.json") as response:
        assert response.status == 200
        described = json.load(response)["paths"]["/ask"]["post"]["responses"]["200"]
    assert list(described["content"]) == ["text/event-stream"]


def test_curl(serve: Callable[[str], Server], upstream: FakeServer):
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    server = serve("starlette")
    upstream.answer(text="The moon")
    with server.ask() as response:  # it is up
        response.read()
    upstream.answer(text="The moon")
    page = PAGE.read_text()
    (command,) = [line for line in page.splitlines() if line.startswith("curl ")]
    command = command.replace("curl ", "curl --silent --noproxy '*' ")
    ended = subprocess.run(
        ["sh", "-c", command.replace("localhost:8000", f"127.0.0.1:{server.port}")],
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert ended.stdout.startswith("id: 1\ndata: "), ended
    assert '"kind":"completed"' in ended.stdout
