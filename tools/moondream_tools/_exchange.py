"""One exchange of a server: a request, and how a handler answers it.

The handler decides about every byte of the answer. h11 does the framing.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import cached_property
from http import HTTPStatus

import h11

from sansio_moondream import Headers, HTTPRequest

from ._writer import Writer

_HOP_BY_HOP = frozenset({
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
})  # fmt: skip

_CORS = "access-control-"

Field = tuple[str, str]


class Exchange:
    """A request, and the state of its answer.

    Attributes:
        request: its URL has the target of the request, and always the host `localhost`.
        headers: of the request.
        path: of the request, without a query string.
        began_at: a time of `time.monotonic`.
        status_code: of the answer, or None before `start`.
        bytes_sent: length of the body so far.
        note: a remark for the log.
        fault: the fault that is simulated, or None.
        client_left: True if the client left before the end of the answer.
        is_aborted: True if the answer was aborted.
        cross_origin: headers of the answer that let a web page read it, in place of those that
            `start` gets.
    """

    def __init__(self, request: HTTPRequest, http: h11.Connection, writer: Writer) -> None:
        self.request = request
        self.headers = Headers(request.headers)
        self.path = "/" + request.url.split("/", 3)[3].partition("?")[0]
        self.began_at = time.monotonic()
        self.status_code: int | None = None
        self.bytes_sent = 0
        self.note = ""
        self.fault: str | None = None
        self.client_left = False
        self.is_aborted = False
        self.cross_origin: list[Field] = []
        self._http = http
        self._writer = writer

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the request's body, in hexadecimal."""
        return hashlib.sha256(self.request.body).hexdigest()

    @property
    def is_open(self) -> bool:
        """True until the end of the answer is sent."""
        return self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE, h11.SEND_BODY)

    async def start(self, status_code: int, headers: Iterable[Field] = ()) -> None:
        """Send the head.

        Without a Content-Length the body is chunked. For a client of HTTP/1.0 it ends with the
        connection.
        """
        self.status_code = status_code
        if self.cross_origin:  # a recording may have those for the page that it was made with
            headers = [pair for pair in headers if not pair[0].lower().startswith(_CORS)]
        fields = [
            (name.encode("ascii"), value.encode("latin-1", "replace").strip())
            for name, value in (*headers, *self.cross_origin)
        ]
        head = h11.Response(status_code=status_code, headers=fields, reason=_reason(status_code))
        await self._send(head)

    async def send(self, data: bytes) -> None:
        """Send a part of the body at once. In a chunked body it is one HTTP chunk."""
        if self.request.method != "HEAD" and data:
            self.bytes_sent += len(data)
            await self._send(h11.Data(data))

    async def send_unframed(self, data: bytes) -> None:
        """Send bytes without framing. Only `abort` may follow."""
        await self._writer.send(data)

    async def end(self) -> None:
        """Send the end of the answer."""
        await self._send(h11.EndOfMessage())

    async def answer(self, status_code: int, body: bytes, headers: Iterable[Field] = ()) -> None:
        """Send a complete answer, with its Content-Length."""
        await self.start(status_code, [*headers, ("content-length", str(len(body)))])
        await self.send(body)
        await self.end()

    def abort(self, *, reset: bool = False) -> None:
        """Close the connection without an end of the answer.

        Args:
            reset: send a TCP reset (RST), as a machine that crashed does.
        """
        self.is_aborted = True
        if reset:
            self._writer.abort(reset=True)
        else:
            self._writer.begin_close()

    async def _send(self, event: h11.Event) -> None:
        await self._writer.send(self._http.send(event) or b"")


def end_to_end(headers: Iterable[Field]) -> list[Field]:
    """Return the headers without those for a single connection (RFC 9110, section 7.6.1)."""
    fields = list(headers)
    listed = {
        word.strip().lower()
        for name, value in fields
        if name.lower() == "connection"
        for word in value.split(",")
    }
    return [(name, value) for name, value in fields if name.lower() not in _HOP_BY_HOP | listed]


def _reason(status_code: int) -> bytes:
    with suppress(ValueError):
        return HTTPStatus(status_code).phrase.encode("ascii")
    return b""
