"""HTTP/1.1 on a socket, without the socket: bytes to send out, bytes received in, the response's
head and body out.

h11 is the parser. What is ours makes it behave alike however the bytes are cut, and refuses what
h11 lets pass.

1. The head is collected here and given to h11 whole. Its first bytes must be `HTTP/1.`: the first
   that is not is the fault.
2. h11 counts an unfinished line only when it has to wait for more of it. Bytes of the body go to it
   in portions that never hold a longer line than is allowed, so the limit is the same for every
   fragmentation.
3. Good bytes of the body come out before a fault in the framing behind them.
4. The end of input inside a head or a body is `ConnectionLost`; anything that is not HTTP/1.1 is
   `RemoteProtocolError`. Both are raised again by each further pull. What h11 saw is not quoted,
   and its error is not kept: it may be a cookie, or the key.
5. Chunks that are plain (a size without extension) and whole in the chunk that they come in do not
   go through h11, which takes ten times as long for one as the decoder does. They are how servers
   write events; the lane closes at the first that is not so.
6. A response with both a length and chunked framing is refused: it is how responses are smuggled
(RFC 9112, section 6.3)."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import urlsplit

import h11
from msgspec import Struct

from sansio_moondream._errors import (
    ConnectionLost,
    LocalProtocolError,
    MoondreamError,
    RemoteProtocolError,
    shorten,
)
from sansio_moondream._events import FINISHED, NEED_DATA, Signal
from sansio_moondream._headers import Headers
from sansio_moondream._requests.http import HTTPRequest

MAX_HEAD_BYTES = (
    64 * 1024
)  # of all heads of a response together; and of a chunk's size line, and of the trailers
_BLANK_LINE = re.compile(rb"\n\r?\n")
_START = b"HTTP/1."
_PLAIN_CHUNK = re.compile(rb"([1-9a-fA-F][0-9a-fA-F]{0,6})\r\n")
_QUOTED = re.compile(r":? (?:bytearray\()?b?['\"].*", re.DOTALL)
_URL = re.compile(r"https?://[!-~]+", re.IGNORECASE)
_DEFAULT_PORTS = {"http": 80, "https": 443}


class ResponseHead(Struct, frozen=True):
    """Status and header fields of a response."""

    status_code: int
    headers: Headers


class HTTP11Exchange:
    """One request and its response on one connection.

    Send `data_to_send()`, hand in what comes with `receive_data` and `receive_eof`, and pull:
    `next_event()` gives the head, then chunks of the body, then FINISHED; behind the head,
    `next_body()` gives all chunks at once. Where `reusable` is true at the end, the connection may
    carry another exchange.

    `absolute` asks a proxy for a whole URL (RFC 9112, section 3.2.2). A request whose method is
    CONNECT names the host and port of its URL, and its response has no body: a status of 2xx means
    that the connection is now a tunnel.

    Raises LocalProtocolError for a request that HTTP/1.1 cannot carry.
    """

    def __init__(self, request: HTTPRequest, *, absolute: bool = False) -> None:
        self._connection = h11.Connection(
            h11.CLIENT, max_incomplete_event_size=2 * MAX_HEAD_BYTES
        )  # ours comes first
        self._method = request.method
        self._to_send = self._encode(request, absolute)
        # What came: the newest here, and behind that a stack with the oldest on top. An empty deque
        # would be 0.7 KB.
        self._input: list[bytes | memoryview] = []
        self._older: list[bytes | memoryview] = []
        self._ended = False
        self._head = bytearray()
        self._head_allowed = MAX_HEAD_BYTES
        self._had_head = False
        self._starved = (
            False  # h11 needs more before it can go on; a body may be at its end with the head
        )
        self._in_lane: tuple[bytes, int] | None = (
            None  # a chunk that begins with a chunk, and where its next chunk does
        )
        self._lane_open = False
        # so much may go to h11 before it has to be asked how long the line is that it holds
        self._room = MAX_HEAD_BYTES
        self._told_end = False  # h11 knows that input has ended
        self._finished = False
        self._surplus = False  # bytes came that belong to no response of ours
        self._error: MoondreamError | None = None

    @property
    def reusable(self) -> bool:
        """Whether the connection can carry another exchange: both sides are done, want to go on,
        and nothing unasked-for came.
        """
        done = self._connection.states == {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}
        return self._finished and done and not (self._to_send or self._surplus or self._ended)

    def data_to_send(self) -> bytes:
        """The request, whole and once; after that b"", and the body is no longer kept."""
        data, self._to_send = self._to_send, b""
        return data

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Bytes came from the socket.

        Empty ones mean nothing. Raises LocalProtocolError after the end of input.
        """
        if self._ended:
            raise LocalProtocolError("receive_data() came after the end of input")
        if type(data) is not bytes:
            data = bytes(memoryview(data))
        if not data:
            return
        if self._finished or self._error is not None:
            self._surplus = True
        else:
            self._input.append(data)

    def receive_eof(self) -> None:
        """The server closed its side of the connection. May repeat."""
        self._ended = True

    def next_event(self) -> ResponseHead | bytes | Signal:
        """The head (1xx ones are skipped), a chunk of the body, NEED_DATA if there is neither yet,
        or FINISHED for ever.

        Raises RemoteProtocolError or ConnectionLost.
        """
        if self._error is not None:
            raise self._error.with_traceback(None)
        if self._finished:
            return FINISHED
        try:
            return self._next_of_body() if self._had_head else self._next_of_head()
        except h11.RemoteProtocolError as error:
            said = _in_words(error)
        if self._told_end:
            raise self._fail(
                ConnectionLost("the server closed the connection before the end of the body")
            )
        raise self._fail(RemoteProtocolError(f"the server sent what is not HTTP/1.1: {said}"))

    def next_body(self) -> bytes | Literal[Signal.NEED_DATA]:
        """All of the body that has come, joined; NEED_DATA if none has; b"" for ever after its end.
        It is for use behind the head.

        Raises as `next_event` does, and LocalProtocolError before the head.
        """
        if self._lane_open and self._in_lane is None and not (self._older or self._ended):
            # How streams are read: a chunk comes, one chunk is in it, it is taken.
            if not self._input:
                return NEED_DATA
            data = self._input[0]
            line = _PLAIN_CHUNK.match(data)
            if (
                line
                and line.end() + int(line[1], 16) + 2 == len(data)
                and data[-2:] == b"\r\n"
                and len(self._input) == 1
            ):
                self._input.clear()
                return bytes(data[line.end() : -2])
        if not self._had_head:
            raise LocalProtocolError("next_body() came before the head: next_event() gives that")
        chunks: list[bytes] = []
        try:
            while isinstance(event := self.next_event(), bytes):
                chunks.append(event)
        except MoondreamError:
            if not chunks:  # else the next call raises it
                raise
            return b"".join(chunks)
        return NEED_DATA if not chunks and event is not FINISHED else b"".join(chunks)

    def _next_of_head(self) -> ResponseHead | Signal:
        while self._collect_head():
            self._connection.receive_data(bytes(self._head))
            self._head.clear()
            event = self._connection.next_event()
            if isinstance(event, h11.Response):
                headers = Headers(event.headers)
                if "transfer-encoding" in headers and "content-length" in headers:
                    raise self._fail(
                        RemoteProtocolError(
                            "the server sent a head with both Content-Length and Transfer-Encoding"
                        )
                    )
                self._had_head = True
                # Only what surely has chunks: some responses have no body, whatever they say (RFC
                # 9112, section 6.3).
                self._lane_open = (
                    self._method == "POST"
                    and event.status_code not in (204, 304)
                    and _is_chunked(headers)
                )
                return ResponseHead(event.status_code, headers)
            if self._connection.their_state is h11.SWITCHED_PROTOCOL:
                raise self._fail(RemoteProtocolError("the server switched to another protocol"))
        if self._ended:
            raise self._fail(
                ConnectionLost(
                    "the server closed the connection before the head of a response was whole"
                )
            )
        return NEED_DATA

    def _collect_head(self) -> bool:
        """Take in bytes up to the blank line that ends a head; False if it has not come."""
        while self._has_input():
            data = memoryview(self._older.pop())
            before = len(self._head)
            taken = data[: self._head_allowed - before]
            self._head += taken
            if before < len(_START) and not _START.startswith(self._head[: len(_START)]):
                wrong = next(
                    at
                    for at, (seen, due) in enumerate(zip(self._head, _START, strict=False))
                    if seen != due
                )
                seen = shorten(repr(bytes(self._head[: wrong + 1])))
                raise self._fail(
                    RemoteProtocolError(
                        f"the server does not speak HTTP/1.1: its answer begins with {seen}, not with HTTP/1."
                    )
                )
            if blank_line := _BLANK_LINE.search(self._head, max(before - 2, 0)):
                end = blank_line.end()
                self._head_allowed -= end
                rest = data[end - before :]
                del self._head[end:]
                if rest:
                    self._older.append(rest)
                return True
            if len(self._head) == self._head_allowed:
                raise self._fail(
                    RemoteProtocolError(
                        f"the server sent a head that is longer than {MAX_HEAD_BYTES:,} bytes"
                    )
                )
        return False

    def _next_of_body(self) -> bytes | Signal:
        if self._lane_open and (data := self._next_of_lane()):
            return data
        while not self._starved or self._feed():
            event = self._connection.next_event()
            self._starved = event is h11.NEED_DATA
            if isinstance(event, h11.Data):
                return bytes(event.data)
            if not self._starved:
                self._finished = True
                self._surplus = bool(self._has_input() or self._connection.trailing_data[0])
                self._input.clear()
                self._older.clear()
                return FINISHED
        return NEED_DATA

    def _next_of_lane(self) -> bytes | None:
        """The next chunk, if it is one of the plainest and whole.

        From the first that is not, all goes to h11.
        """
        if self._in_lane is None:
            if not self._has_input():
                return None
            self._in_lane = bytes(self._older.pop()), 0
        data, start = self._in_lane
        if line := _PLAIN_CHUNK.match(data, start):
            end = line.end() + int(line[1], 16)
            if data.startswith(b"\r\n", end):
                self._in_lane = (data, end + 2) if end + 2 < len(data) else None
                return data[line.end() : end]
        self._lane_open, self._in_lane = False, None
        self._older.append(memoryview(data)[start:])
        return None

    def _feed(self) -> bool:
        """Give h11 what there is, up to a portion; False if there is nothing."""
        if self._has_input():
            # asking copies what h11 holds, an unfinished line: done for each chunk, it would not be
            # linear
            if not self._room:
                self._room = MAX_HEAD_BYTES - len(self._connection.trailing_data[0])
            if not self._room:
                raise self._fail(
                    RemoteProtocolError(
                        f"the server sent a line of the chunked framing that is longer than {MAX_HEAD_BYTES:,} bytes"
                    )
                )
            data = self._older.pop()
            if len(data) > self._room:
                view = memoryview(data)
                data = view[: self._room]
                self._older.append(view[self._room :])
            self._room -= len(data)
            self._connection.receive_data(data)  # type: ignore[arg-type] # any bytes-like does
            return True
        if self._ended and not self._told_end:
            self._told_end = True
            self._connection.receive_data(b"")
            return True
        return False

    def _has_input(self) -> bool:
        """Whether there is any; if so, the oldest chunk is on top of `_older`."""
        if self._input and not self._older:
            self._older, self._input = self._input[::-1], []
        return bool(self._older)

    def _fail(self, error: MoondreamError) -> MoondreamError:
        self._error = error
        self._input.clear()
        self._older.clear()
        return error

    def _encode(self, request: HTTPRequest, absolute: bool) -> bytes:
        try:
            method, target, headers = _request_line_and_headers(request, absolute)
            chunks = [
                self._connection.send(h11.Request(method=method, target=target, headers=headers)),
                self._connection.send(h11.Data(request.body)),
                self._connection.send(h11.EndOfMessage()),
            ]
        except h11.LocalProtocolError as error:
            said = _in_words(error)
        except UnicodeError:
            said = "a character in its head that HTTP does not have"
        except ValueError:
            said = "its URL should be http(s)://host[:port]/path in ASCII"
        else:
            return b"".join(chunks)
        raise LocalProtocolError(f"HTTP/1.1 cannot carry this request: {said}")


def _is_chunked(headers: Headers) -> bool:
    return headers.get("transfer-encoding", "").lower() == "chunked"


def _request_line_and_headers(
    request: HTTPRequest, absolute: bool
) -> tuple[str, str, list[tuple[bytes, bytes]]]:
    """Method, target and header fields.

    Raises ValueError for a URL that cannot be sent, UnicodeError for a header that cannot.
    """
    url = urlsplit(request.url)
    if not _URL.fullmatch(request.url) or not url.hostname or url.port == 0:
        raise ValueError("not a URL to send")
    authority = url.netloc.rpartition("@")[2]
    target = f"{url.path or '/'}{'?' if url.query else ''}{url.query}"
    named = {name.lower() for name, _ in request.headers}
    added: list[tuple[str, str]] = []
    if request.method == "CONNECT":
        authority = target = (
            authority if url.port else f"{authority.removesuffix(':')}:{_DEFAULT_PORTS[url.scheme]}"
        )
    elif absolute:
        target = f"{url.scheme}://{authority}{target}"
    if "host" not in named:
        added.append(("Host", authority))
    if request.method != "CONNECT" and named.isdisjoint(("content-length", "transfer-encoding")):
        added.append(("Content-Length", str(len(request.body))))
    headers = [
        (name.encode("ascii"), value.encode("latin-1"))
        for name, value in (*added, *request.headers)
    ]
    return request.method, target, headers


def _in_words(error: h11.ProtocolError) -> str:
    """What h11 says, without what it saw."""
    return _QUOTED.sub("", str(error))
