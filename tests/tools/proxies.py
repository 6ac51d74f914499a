"""Ask `moondream-stream record`, before a server of recordings or a scripted one."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from moondream_transports import Client, UrllibTransport
from moondream_transports.conformance._fault_server import FaultServer, Peer
from sansio_moondream import Endpoint, Event, MoondreamError, Request
from sansio_moondream.recording import Recording
from tests.tools.programs import TIMEOUT, Program

KEY = "planted-key-7f3a"


class Recorded:
    """A `record` program and the folder that it writes to."""

    def __init__(self, program: Program, folder: Path) -> None:
        self.program = program
        self.folder = folder
        self.names = set(folder.glob("*.jsonl"))

    def new(self, count: int = 1) -> list[Recording]:
        """Wait for `count` new recordings, and return them."""
        until = time.monotonic() + TIMEOUT
        while len(found := sorted(set(self.folder.glob("*.jsonl")) - self.names)) < count:
            assert time.monotonic() < until, (found, self.program.lines)
            time.sleep(0.01)
        assert len(found) == count
        self.names.update(found)
        return [Recording.decode(path.read_bytes()) for path in found]


class Scripted:
    """A server that follows the script of a test, and a proxy before it."""

    def __init__(self, server: FaultServer, recorded: Recorded) -> None:
        self.server = server
        self.recorded = recorded
        self.program = recorded.program


SCRIPT: list[Callable[[Peer], None]] = []


def client(program: Program, /, **headers: str) -> Client:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return Client(UrllibTransport(proxies={}), Endpoint(program.url, api_key=KEY, headers=fields))


def asked(program: Program, request: Request[Any], /, **headers: str) -> tuple[list[Event], Any]:
    events: list[Event] = []
    try:
        with client(program, **headers).stream(request) as stream:
            events.extend(stream)
            return events, stream.result()
    except MoondreamError as error:
        return events, error


def http_request(
    program: Program, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, list[tuple[str, str]], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", program.port, timeout=20)
    try:
        connection.request(
            method, path, body, {name.replace("_", "-"): value for name, value in headers.items()}
        )
        response = connection.getresponse()
        return response.status, response.getheaders(), response.read()
    finally:
        connection.close()


def raw(program: Program, data: bytes) -> bytes:
    """Send bytes, and return all bytes of the answer."""
    with socket.create_connection(("127.0.0.1", program.port), timeout=20) as connection:
        connection.sendall(data)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def post(*headers: str) -> bytes:
    body = json.dumps({"question": "What is this?", "stream": True})
    lines = [
        "POST /v1/query HTTP/1.1",
        "Host: localhost",
        "Connection: close",
        f"Content-Length: {len(body)}",
        *headers,
        "",
        body,
    ]
    return "\r\n".join(lines).encode()
