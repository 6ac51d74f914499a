"""Ask `moondream-stream serve`: with our client, with http.client, and byte by byte."""

from __future__ import annotations

import http.client
import json
import socket
from importlib.resources import files
from typing import Any

from moondream_transports import Client, Timeouts, UrllibTransport
from sansio_moondream import Dialect, Endpoint, Event, MoondreamError, Request, encode_image
from sansio_moondream.recording import Recording
from tests.helpers import REQUESTS
from tests.tools.programs import Program

SHIPPED = files("moondream_tools") / "recordings"


RECORDED = {
    skill: Recording.decode((SHIPPED / f"{skill}.jsonl").read_bytes()) for skill in REQUESTS
}


HARBOUR = encode_image((SHIPPED / "harbour.jpg").read_bytes())


BODY = json.dumps({"question": "What is in this image?", "stream": True})


DIALECTS = [dialect for dialect in Dialect if dialect is not Dialect.CHAT]


def client(
    server: Program, timeouts: Timeouts | None = None, api_key: str | None = None, /, **headers: str
) -> Client:
    fields = {f"X-Moondream-{name}": value for name, value in headers.items()}
    return Client(
        UrllibTransport(proxies={}),
        Endpoint(server.url, api_key=api_key, headers=fields),
        timeouts=timeouts or Timeouts(),
    )


def asked(
    server: Program, request: Request[Any], timeouts: Timeouts | None = None, /, **headers: str
) -> tuple[list[Event], Any]:
    """Return the events of a stream, and its result or the error that ended it."""
    events: list[Event] = []
    try:
        with client(server, timeouts, **headers).stream(request) as stream:
            events.extend(stream)
            return events, stream.result()
    except MoondreamError as error:
        return events, error


def http_request(
    server: Program,
    method: str = "POST",
    path: str = "/v1/query",
    body: str | bytes | None = BODY,
    **headers: str,
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        connection.request(
            method, path, body, {name.replace("_", "-"): value for name, value in headers.items()}
        )
        response = connection.getresponse()
        return (
            response.status,
            {name.lower(): value for name, value in response.getheaders()},
            response.read(),
        )
    finally:
        connection.close()


def raw(server: Program, data: bytes, *, until: bytes | None = None) -> bytes:
    """Send bytes, and return the answer up to its end or up to `until`."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(data)
        received = b""
        while until is None or until not in received:
            if not (more := connection.recv(65536)):
                break
            received += more
        return received


def post(body: str = BODY, *headers: str, version: str = "1.1") -> bytes:
    """Return the bytes of a request that closes its connection."""
    lines = [
        f"POST /v1/query HTTP/{version}",
        "Host: localhost",
        "Connection: close",
        f"Content-Length: {len(body)}",
        *headers,
        "",
        body,
    ]
    return "\r\n".join(lines).encode()
