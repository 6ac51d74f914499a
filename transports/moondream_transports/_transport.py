"""The contract of a transport, and its timeouts.

A transport sends one `HTTPRequest` and returns the body of the response as it arrives. It knows
nothing of the protocol inside: it does not follow redirects, decompress, retry, or raise for an
error status.

A sync transport may have a method `interrupt(request)`. Another thread calls it to end a `send` of
the same request, which then raises one of its errors. Without it, a stream that is closed while it
waits for the head waits on for it. A task is cancelled instead.

A transport that does not use the clock of the machine has an attribute `clock` with a method
`monotonic`. The client counts its deadlines on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol, cast

from msgspec import Struct

from sansio_moondream import HTTPRequest

HeaderTypes = Mapping[str, str] | Iterable[tuple[str | bytes, str | bytes]]

# What takes a client or session of a library, for who passes that as a transport.
_ADAPTERS = {
    "httpx": ("HttpxTransport", "AsyncHttpxTransport"),
    "httpx2": ("HttpxTransport", "AsyncHttpxTransport"),
    "aiohttp": (None, "AiohttpTransport"),
}


class Timeouts(Struct, frozen=True):
    """How long each part of an exchange may take, in seconds. None is no limit.

    When a timeout has passed, the connection is closed.

    Attributes:
        connect: to establish the connection, with name look-up, wait for a place in a pool, proxy
            and TLS. ConnectTimeout.
        first_event: from the connection to the first event, with sending the request, the server's
            queue, and the complete answer if it is not streamed. FirstEventTimeout.
        idle: without a byte, after the first event or in the body of an error. IdleTimeout.
        total: from the opening of the stream to the complete answer, with the time that the reader
            takes. It ends an answer that trickles for ever. TotalTimeout.

    Only time spent waiting counts for the first three: a slow reader is not a slow server.
    Raises ValueError for a timeout that is neither None nor above 0.
    """

    connect: float | None = 10.0
    first_event: float | None = 60.0
    idle: float | None = 30.0
    total: float | None = 600.0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(
                    f"{name} should be a number of seconds above 0, or None for no limit,"
                    f" not {value!r}"
                )


class ByteStream(Protocol):
    """The response to one request, after its head was read."""

    @property
    def status_code(self) -> int:
        """The status of the response."""
        ...

    @property
    def headers(self) -> HeaderTypes:
        """The header fields, as the server sent them."""
        ...

    @property
    def connected_at(self) -> float | None:
        """When the connection was established, in seconds of `time.monotonic()`.

        It is None if the HTTP library does not report it.
        """
        ...

    def read(self, timeout: float | None) -> bytes:
        """Return the next bytes of the body as soon as there are any, or b"" at its end.

        Only the HTTP framing is removed. `timeout` is how many seconds the wait may take, or None.
        The client does not read again after an error.

        Raises:
            TimeoutError: the builtin one. No byte came in time. The client knows which of its
                deadlines that was.
            ConnectionLost: the connection broke, or the body is shorter than its head announced.
            RemoteProtocolError: the framing is not that of HTTP.
        """
        ...

    def close(self) -> None:
        """Return the connection to its pool if the body was read completely, or close it at once.

        It does not raise. Further calls do nothing.
        """
        ...


class Transport(Protocol):
    """Send requests. Several threads may use one transport at once."""

    def send(self, request: HTTPRequest, timeouts: Timeouts) -> ByteStream:
        """Send `request` and wait for the head of its response.

        Observe `connect` and `first_event` of `timeouts`. Neither is longer than `total`, which
        counts from this call. Observe `total` too if the HTTP library allows it.

        Raises:
            ConnectError: there is no connection. The cause is the exception of the HTTP library.
            TLSError: as `ConnectError`, because of TLS.
            ConnectTimeout: there is none within `timeouts.connect`.
            TimeoutError: the builtin one. The head is not complete within `timeouts.first_event`.
            ConnectionLost: the connection broke.
            RemoteProtocolError: the response is not HTTP.
        """
        ...


class AsyncByteStream(Protocol):
    """The async twin of `ByteStream`."""

    @property
    def status_code(self) -> int:
        """The status of the response."""
        ...

    @property
    def headers(self) -> HeaderTypes:
        """The header fields, as the server sent them."""
        ...

    @property
    def connected_at(self) -> float | None:
        """When the connection was established, as in `ByteStream`."""
        ...

    async def read(self, timeout: float | None) -> bytes:
        """Return the next bytes of the body within `timeout` seconds, as `ByteStream.read`."""
        ...

    async def aclose(self) -> None:
        """Do as `ByteStream.close`, at once even in a task that is being cancelled."""
        ...


class AsyncTransport(Protocol):
    """Send requests from the tasks of one event loop.

    No task group and no cancel scope stays open between two calls.
    """

    async def send(self, request: HTTPRequest, timeouts: Timeouts) -> AsyncByteStream:
        """Send `request` within `timeouts`, as `Transport.send`. Close the connection on
        cancellation.
        """
        ...


def require_transport(transport: object) -> Transport:
    """Return the same transport. Raises TypeError for anything else, and says what to use."""
    return cast(Transport, _require(transport, is_async=False))


def require_async_transport(transport: object) -> AsyncTransport:
    """Return the same transport. Raises TypeError for anything else, and says what to use."""
    return cast(AsyncTransport, _require(transport, is_async=True))


def _require(transport: object, *, is_async: bool) -> object:
    from inspect import iscoroutinefunction  # a slow import

    if isinstance(transport, type):
        raise TypeError(f"transport should be an instance, not the class {transport.__name__}")
    kind = type(transport)
    for library in (base.__module__.partition(".")[0] for base in kind.__mro__):
        adapter = _ADAPTERS.get(library, (None, None))[is_async]
        if adapter is not None:
            raise TypeError(
                f"transport should be {adapter}(...), not {kind.__name__} of {library} itself"
            )
    send = getattr(transport, "send", None)
    if not callable(send):
        raise TypeError(f"transport should have a method send(), which {kind.__name__} has not")
    if iscoroutinefunction(send) is not is_async:
        colour, client = ("a sync", "Client") if is_async else ("an async", "AsyncClient")
        raise TypeError(f"{kind.__name__} is {colour} transport, for {client}")
    return transport
