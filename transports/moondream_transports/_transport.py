"""What a transport is, and how long it may take.

A transport sends one `HTTPRequest` and hands over the response's body as it comes. It knows nothing
of the protocol inside: it does not follow redirects, decompress, retry, or take an error status for
an exception. What it raises:

    ConnectError, TLSError    there was no connection; with the HTTP library's own exception as the cause
    ConnectTimeout              ... within `timeouts.connect`
    builtin TimeoutError        no head within `timeouts.first_event`, or no bytes within `read(timeout)`: which of its deadlines
                                that was, only the client knows, and names it
    ConnectionLost              the connection broke after it stood, or the body stopped short of what its head announced
    RemoteProtocolError         what came is not HTTP

A transport whose time is not the machine's has it as `clock`, with a method `monotonic`: deadlines
count on that, then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from msgspec import Struct

from sansio_moondream import HTTPRequest

HeaderTypes = Mapping[str, str] | Iterable[tuple[str | bytes, str | bytes]]


class Timeouts(Struct, frozen=True):
    """How long each part of an exchange may take, in seconds; None waits for ever. Passing one
    closes the connection.

    Attributes:
        connect: until the connection stands: name look-up, wait for a place in a pool, proxy and
            TLS included. ConnectTimeout.
        first_event: from then on until the first event: sending the request, the server's queue,
            and the whole answer where it is not streamed. FirstEventTimeout.
        idle: without a single byte, after the first event or in the body of an error. IdleTimeout.
        total: from when the stream is opened until the answer is complete, the time its reader
            takes included; it is what ends an answer that never stops dribbling. TotalTimeout.

    Only time spent waiting counts for the first three, so a slow reader is not a slow server.
    Raises ValueError for what is neither None nor above 0."""

    connect: float | None = 10.0
    first_event: float | None = 60.0
    idle: float | None = 30.0
    total: float | None = 600.0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(
                    f"{name} should be a number of seconds above 0, or None to wait for ever, not {value!r}"
                )


class ByteStream(Protocol):
    """The response to one request, its head read: what a `Transport` gives."""

    @property
    def status_code(self) -> int: ...

    @property
    def headers(self) -> HeaderTypes: ...

    @property
    def connected_at(self) -> float | None:
        """When the connection stood, as `time.monotonic()` has it;

        None where the HTTP library does not tell.
        """
        ...

    def read(self, timeout: float | None) -> bytes:
        """The next bytes of the body, as soon as there are any, undecoded but for the HTTP framing;
        b"" at its end.

        Raises the builtin TimeoutError after `timeout` seconds without any, ConnectionLost,
        RemoteProtocolError. Nothing is read after any of them."""
        ...

    def close(self) -> None:
        """Give the connection back if the body was read to its end, else close it, at once.

        May repeat; does not raise.
        """
        ...


class Transport(Protocol):
    """Sends requests. One transport may be used by several threads at once."""

    def send(self, request: HTTPRequest, timeouts: Timeouts) -> ByteStream:
        """Send `request` and wait for the head of its response.

        Heed `connect` and `first_event`, neither of which is longer than `total`; and `total`,
        counted from this call, where the HTTP library lets you. What is raised stands at the top of
        this module."""
        ...


class AsyncByteStream(Protocol):
    """The response to one request, its head read: what an `AsyncTransport` gives. All as in
    `ByteStream`, but to be awaited.
    """

    @property
    def status_code(self) -> int: ...

    @property
    def headers(self) -> HeaderTypes: ...

    @property
    def connected_at(self) -> float | None: ...

    async def read(self, timeout: float | None) -> bytes: ...

    async def aclose(self) -> None:
        """As `ByteStream.close`. It closes at once even in a task that is being cancelled."""
        ...


class AsyncTransport(Protocol):
    """Sends requests from tasks of one event loop.

    Nothing of it stays open between two calls: no task group, no cancel scope.
    """

    async def send(self, request: HTTPRequest, timeouts: Timeouts) -> AsyncByteStream:
        """As `Transport.send`. Cancelled, it closes the connection."""
        ...
