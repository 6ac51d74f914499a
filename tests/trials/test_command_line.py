"""The programs: number 26 of "What broke in trials"."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from moondream_transports.conformance._fault_server import (
    LAST_CHUNK,
    FaultServer,
    Peer,
    chunk,
    head,
)
from tests.helpers import END, PIXEL, delta, record
from tests.tools.programs import TIMEOUT, running

DAMAGED = "A moon \ufffd\ufffd over"
RIGHT = "A moon 🌙 over"


def redirected(tmp_path: Path, *rest: bytes) -> tuple[bytes, bytes]:
    """What `moondream-stream query` writes to a pipe before the rest is sent, and after.

    Only what surely is right can be waited for before the rest is sent, so only that is.
    """

    def script(peer: Peer) -> None:
        peer.answer(head(), chunk(delta("A moon ")), chunk(delta(DAMAGED.removeprefix("A moon "))))
        peer.wait_for_event()
        for segment in rest:
            peer.send(segment)

    image = tmp_path / "pixel.gif"
    image.write_bytes(PIXEL.data)
    with FaultServer(script) as server:
        program = [sys.executable, "-m", "moondream_tools.cli"]
        process = subprocess.Popen(
            [*program, "query", str(image), "What is this?", "--endpoint", server.url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, "NO_PROXY": "*", "PYTHONIOENCODING": "utf-8"},
        )
        assert process.stdout is not None
        early = process.stdout.read(len("A moon "))
        server.saw_event()
        late, _ = process.communicate(timeout=TIMEOUT)
    assert early is not None
    return early, late


def test_redirected_text_has_the_damaged_characters_too(tmp_path: Path) -> None:
    """Number 26."""
    end = record({"chunk": "", "completed": True, "answer": RIGHT})
    early, late = redirected(tmp_path, chunk(end), LAST_CHUNK)
    assert early.startswith(b"A moon")
    assert (early + late).decode() == RIGHT + "\n"


@pytest.mark.parametrize(
    "rest",
    [(chunk(END), LAST_CHUNK), ()],
    ids=["no whole text comes", "the connection breaks"],
)
def test_redirected_text_is_all_there(tmp_path: Path, rest: tuple[bytes, ...]) -> None:
    """Number 26: what is held back is written in the end where nothing better comes."""
    early, late = redirected(tmp_path, *rest)
    assert early.startswith(b"A moon")
    assert (early + late).decode() == DAMAGED + "\n"


def test_http2_preface_is_logged_as_a_wrong_host() -> None:
    """Number 26."""
    with running("serve", "--speed", "max") as server:
        with socket.create_connection(("127.0.0.1", server.port), TIMEOUT) as sock:
            sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
            while sock.recv(65536):
                pass
        _, log = server.stopped()
    assert "HTTP/2" in log
    assert "Host" not in log
