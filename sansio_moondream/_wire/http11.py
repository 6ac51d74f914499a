"""HTTP/1.1 without a socket: bytes to send, bytes received, and the head and body of the response.

h11 is the parser. The code here makes its results independent of the chunks in which bytes arrive,
and refuses what h11 tolerates.

1. We collect a head and give it to h11 whole. Its first bytes must be `HTTP/1.`; the first byte
   that differs is the fault.
2. h11 checks the length of an unfinished line only when it waits for more of it. We count the bytes
   that we give to h11, so the limit on a line is the same for any chunks.
3. The bytes of the body that precede a fault in the framing are given out before the fault is
   raised.
4. The end of input inside a head or a body is `ConnectionLost`. So is an empty line in place of a
   chunk's size, by which h2o breaks off. Anything else that is not HTTP/1.1 is
   `RemoteProtocolError`. Further calls raise the same error. We do not quote what h11 saw.
5. A response with both Content-Length and Transfer-Encoding is refused. It is how responses are
   smuggled (RFC 9112, section 6.3).
6. The fast path: a chunk of the chunked coding that is plain (a size without an extension), and
   whole in the bytes that were received at once, does not go through h11. Servers send each event
   as such a chunk, and h11 takes 7.5 µs for one, we 0.8 µs. The first chunk that is not so, and all
   after it, go through h11. `http11_plain.py` is the fast path of requests, and of heads whose body
   has a length.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Literal

import h11

from sansio_moondream._errors import (
    ConnectionLost,
    LocalProtocolError,
    MoondreamError,
    RemoteProtocolError,
)
from sansio_moondream._events import FINISHED, NEED_DATA, Signal
from sansio_moondream._headers import Headers
from sansio_moondream._requests.http import HTTPRequest
from sansio_moondream._requests.sent import Sent

from .http11_plain import ResponseHead, connection_after_request, is_surely_chunked, plain_head
from .http11_request import describe, encode_request, not_http

MAX_HEAD_BYTES = 64 * 1024
"""Bytes of all heads of a response together; also of a chunk's size line, and of the trailers."""
_BLANK_LINE = re.compile(rb"\n\r?\n")
_START = b"HTTP/1."
_PLAIN_SIZE = re.compile(rb"([1-9a-fA-F][0-9a-fA-F]{0,6})\r\n")


class HTTP11Exchange:
    """One request and its response on one connection.

    Send `data_to_send()`, and pass what arrives to `receive_data` and `receive_eof`. `next_event()`
    returns the head, then the body in chunks, then FINISHED. After the head, `next_body()` returns
    all chunks at once. If `reusable` is true at the end, the connection can carry another exchange.

    The response to a request with the method CONNECT has no body. A status of 2xx means that the
    connection is a tunnel now.

    Args:
        request: the request to send.
        absolute: send the whole URL, as a proxy needs it (RFC 9112, section 3.2.2).

    Raises:
        LocalProtocolError: HTTP/1.1 cannot carry the request.
    """

    def __init__(self, request: HTTPRequest, *, absolute: bool = False) -> None:
        self._method = request.method
        self._sent = Sent(request)
        self._to_send, self._connection = encode_request(request, absolute)
        self._input: deque[bytes | memoryview] = deque()
        self._at = 0  # where the fast path is in the first bytes of the input
        self._fast = False
        self._left: int | None = None  # bytes of the body to come, after a plain head
        self._ended = False
        self._head = bytearray()
        self._head_budget = MAX_HEAD_BYTES
        self._had_head = False
        self._starved = False  # h11 needs more before it can go on
        self._line_budget = MAX_HEAD_BYTES  # so many bytes surely make no line too long
        self._h11_ended = False  # h11 was given the end of input
        self._finished = False
        self._surplus = False  # bytes came that belong to no response
        self._error: MoondreamError | None = None

    @property
    def reusable(self) -> bool:
        """Whether the connection can carry another exchange.

        Both sides are done and keep the connection open, and no surplus bytes came.
        """
        done = self._connection is None or {*self._connection.states.values()} == {h11.DONE}
        return self._finished and done and not (self._to_send or self._surplus or self._ended)

    def data_to_send(self) -> bytes:
        """Return the whole request, once. After that b"" is returned, and nothing is kept."""
        data, self._to_send = self._to_send, b""
        return data

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Receive `data` from the socket. Empty data is ignored.

        Raises:
            LocalProtocolError: The input has ended.
        """
        if self._ended:
            raise LocalProtocolError("receive_data() came after the end of input")
        data = data if type(data) is bytes else bytes(memoryview(data))
        if data and (self._finished or self._error is not None):
            self._surplus = True
        elif data:
            self._input.append(data)

    def receive_eof(self) -> None:
        """Receive the end of input: the server closed its side of the connection. May repeat."""
        self._ended = True

    def next_event(self) -> ResponseHead | bytes | Signal:
        """Return the head (1xx heads are skipped), then the body in chunks, then FINISHED.

        NEED_DATA if the next of them has not arrived.

        Raises:
            RemoteProtocolError: The server sent what is not HTTP/1.1.
            ConnectionLost: The input ended inside the response.
        """
        if self._error is not None:
            raise self._error.with_traceback(None)
        if self._finished:
            return FINISHED
        try:
            if not self._had_head:
                return self._next_of_head()
            return self._next_of_body() if self._left is None else self._next_of_length(self._left)
        except h11.RemoteProtocolError as error:
            reason, is_empty_size = describe(error), str(error).endswith(r"bytearray(b'\r\n')")
        if self._h11_ended:
            raise self._lost("the server closed the connection before the end of the body")
        if is_empty_size:
            raise self._lost("the server broke the body off: the size of its next chunk is empty")
        raise self._fail(RemoteProtocolError(f"the server sent what is not HTTP/1.1: {reason}"))

    def next_body(self) -> bytes | Literal[Signal.NEED_DATA]:
        """Return all of the body that has arrived; NEED_DATA if none has, b"" after the body's end.

        Raises as `next_event` does.

        Raises:
            LocalProtocolError: The head has not been returned yet.
        """
        chunks = list(iter(self._next_plain_chunk, b"")) if self._fast else []
        if self._fast and not self._ended:
            return b"".join(chunks) if chunks else NEED_DATA
        if not self._had_head:
            raise LocalProtocolError("next_body() came before the head: next_event() gives that")
        try:
            while isinstance(event := self.next_event(), bytes):
                chunks.append(event)
        except MoondreamError:
            if chunks:  # the next call raises it
                return b"".join(chunks)
            raise
        return NEED_DATA if not chunks and event is not FINISHED else b"".join(chunks)

    def _next_of_head(self) -> ResponseHead | Signal:
        while self._collect_head():
            head = bytes(self._head)
            self._head.clear()
            if self._connection is None:
                if plain := plain_head(head):
                    self._had_head = True
                    response, self._left = plain
                    return response
                self._connection = connection_after_request()
            self._connection.receive_data(head)
            event = self._connection.next_event()
            if isinstance(event, h11.Response):
                headers = Headers(event.headers)
                if "transfer-encoding" in headers and "content-length" in headers:
                    message = (
                        "the server sent a head with both Content-Length and Transfer-Encoding"
                    )
                    raise self._fail(RemoteProtocolError(message))
                self._had_head = True
                response = ResponseHead(event.status_code, headers)
                self._fast = is_surely_chunked(self._method, response)
                if self._fast and self._input:
                    self._input[0] = bytes(self._input[0])
                return response
            if self._connection.their_state is h11.SWITCHED_PROTOCOL:
                raise self._fail(RemoteProtocolError("the server switched to another protocol"))
        if self._ended:
            message = "the server closed the connection before the head of a response was whole"
            raise self._lost(message)
        return NEED_DATA

    def _collect_head(self) -> bool:
        """Take input up to the blank line that ends a head. False if it has not arrived."""
        while self._input:
            data = memoryview(self._input.popleft())
            before = len(self._head)
            self._head += data[: self._head_budget - before]
            if before < len(_START) and not _START.startswith(self._head[: len(_START)]):
                raise self._fail(RemoteProtocolError(not_http(self._head, _START)))
            if blank_line := _BLANK_LINE.search(self._head, max(before - 2, 0)):
                end = blank_line.end()
                self._head_budget -= end
                del self._head[end:]
                if rest := data[end - before :]:
                    self._input.appendleft(rest)
                return True
            if len(self._head) == self._head_budget:
                message = f"the server sent a head that is longer than {MAX_HEAD_BYTES:,} bytes"
                raise self._fail(RemoteProtocolError(message))
        return False

    def _next_of_length(self, left: int) -> bytes | Signal:
        if left and self._input:
            data = memoryview(self._input.popleft())
            self._left = max(left - len(data), 0)
            if rest := data[left:]:
                self._input.appendleft(rest)
            return bytes(data[:left])
        if left and self._ended:
            raise self._lost("the server closed the connection before the end of the body")
        return NEED_DATA if left else self._finish(surplus=bool(self._input))

    def _finish(self, *, surplus: bool) -> Signal:
        self._finished, self._surplus = True, surplus
        self._input.clear()
        return FINISHED

    def _next_of_body(self) -> bytes | Signal:
        assert self._connection is not None  # a body without a length needs it
        if self._fast and (data := self._next_plain_chunk()):
            return data
        while not self._starved or self._feed_h11(self._connection):
            event = self._connection.next_event()
            self._starved = event is h11.NEED_DATA
            if isinstance(event, h11.Data):
                return bytes(event.data)
            if not self._starved:
                return self._finish(surplus=bool(self._input or self._connection.trailing_data[0]))
        return NEED_DATA

    def _next_plain_chunk(self) -> bytes:
        """Return the next chunk by the fast path; b"" if there is no input, or it is refused."""
        if not self._input:
            return b""
        data: bytes = self._input[0]  # type: ignore[assignment] # while the fast path is open
        if line := _PLAIN_SIZE.match(data, self._at):
            start = line.end()
            end = start + int(line[1], 16)
            if data.startswith(b"\r\n", end):
                if end + 2 < len(data):
                    self._at = end + 2
                else:
                    self._at = 0
                    self._input.popleft()
                return data[start:end]
        self._fast = False
        self._input[0] = memoryview(data)[self._at :]
        return b""

    def _feed_h11(self, connection: h11.Connection) -> bool:
        """Give h11 some of the input. False if there is none."""
        if self._input:
            if not self._line_budget:
                # This copies the unfinished line that h11 holds, so we do not do it each time.
                self._line_budget = MAX_HEAD_BYTES - len(connection.trailing_data[0])
            if not self._line_budget:
                message = "the server sent a line of the chunked framing that is longer than "
                raise self._fail(RemoteProtocolError(f"{message}{MAX_HEAD_BYTES:,} bytes"))
            data = memoryview(self._input.popleft())
            if rest := data[self._line_budget :]:
                self._input.appendleft(rest)
                data = data[: self._line_budget]
            self._line_budget -= len(data)
            connection.receive_data(data)  # type: ignore[arg-type] # accepts a memoryview
            return True
        if self._ended and not self._h11_ended:
            self._h11_ended = True
            connection.receive_data(b"")
            return True
        return False

    def _lost(self, message: str) -> MoondreamError:
        return self._fail(ConnectionLost(message))

    def _fail(self, error: MoondreamError) -> MoondreamError:
        self._sent.complete(error)
        self._error = error
        self._input.clear()
        return error
