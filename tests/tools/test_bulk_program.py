"""`moondream-stream bulk` as a program: signals, a killed run, and a terminal."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from moondream_tools.cli import Exit
from moondream_transports.conformance._fault_server import FaultServer, Peer
from moondream_transports.conformance._faults import sized
from tests.helpers import PIXEL
from tests.tools.command_line import in_a_terminal, program

ANSWER = sized(b'{"answer": "A moon.", "request_id": "7"}', kind="application/json")


class Held:
    """A server that holds its answers back until it is released."""

    def __init__(self) -> None:
        self.arrived = threading.Semaphore(0)
        self.released = threading.Event()
        self.questions: list[str] = []

    def __call__(self, peer: Peer) -> None:
        while True:
            try:
                _, body = peer.read_request()
            except ConnectionError:
                return
            self.questions.append(json.loads(body)["question"])
            self.arrived.release()
            assert self.released.wait(60)
            try:
                peer.send(ANSWER)
            except ConnectionError:
                return


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.gif").write_bytes(PIXEL.data)
    return folder


@pytest.fixture
def held() -> Held:
    return Held()


@pytest.fixture
def server(held: Held) -> Iterator[FaultServer]:
    with FaultServer(held) as server:
        yield server
        held.released.set()


def command(photos: Path, server: FaultServer, output: Path, *options: str) -> list[str]:
    question = ["--question", "{id}?", "--endpoint", server.url, "--concurrent", "2"]
    return program("bulk", "query", str(photos), *question, "--output", str(output), *options)


def rows(path: Path) -> dict[str, str]:
    return {row["id"]: row["answer"] for row in map(json.loads, path.read_text().splitlines())}


@pytest.mark.usefixtures("interruptible")
def test_the_first_signal_finishes_what_is_in_flight(
    photos: Path, held: Held, server: FaultServer, tmp_path: Path
) -> None:
    output = tmp_path / "out.jsonl"
    with subprocess.Popen(
        command(photos, server, output, "--summary", "-"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        for _ in range(2):
            assert held.arrived.acquire(timeout=60)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert process.stdout is not None
        line = process.stderr.readline()
        assert "stopping when the requests in flight have ended" in line
        held.released.set()
        err, out = process.stderr.read(), process.stdout.read()
    assert process.returncode == Exit.INTERRUPTED, err
    assert "2 done, 0 failed of 6" in err
    assert "To go on, run the same command again" in err
    summary = json.loads(out)
    assert (summary["interrupted"], summary["done"]) == (True, 2)
    assert rows(output) == {"0.gif": "A moon.", "1.gif": "A moon."}
    assert sorted(held.questions) == ["0.gif?", "1.gif?"]


@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
def test_the_second_signal_stops_and_the_next_run_goes_on(
    photos: Path, held: Held, server: FaultServer, tmp_path: Path
) -> None:
    output = tmp_path / "out.jsonl"
    with subprocess.Popen(
        command(photos, server, output), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        for _ in range(2):
            assert held.arrived.acquire(timeout=60)
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        assert "stopping when" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        err = process.stderr.read()
    assert process.returncode == Exit.INTERRUPTED
    assert "0 done, 0 failed of 6" in err
    assert "To go on, run the same command again" in err
    assert "Traceback" not in err
    held.released.set()
    shown = in_a_terminal(command(photos, server, output), {"TERM": "xterm", "COLUMNS": "80"})
    assert "6 done, 0 failed of 6" in shown
    assert rows(output) == {f"{number}.gif": "A moon." for number in range(6)}
    assert sorted(held.questions) == sorted(
        [f"{number}.gif?" for number in range(6)] + ["0.gif?", "1.gif?"]
    )
