"""What the sync and the async transport on httpx share: nothing here waits. Used by `_httpx.py`.

1. `Progress` is the one place that knows how far an exchange is and what it waits for. The library
   tells it by its `trace` extension: a connection stands when the head of a request that is no
   CONNECT to a proxy is about to be sent, on a new or a used one alike.
2. The library takes its timeouts from one dict of the request, anew before each step, but for the
   body only once. So for as long as an exchange has an HTTP/1.1 connection to itself, the
   connection's `network_stream` asks `Progress` how long each read may take.
3. The library's exceptions name what it was doing. What that means for the user depends on whether
the connection stood."""

from __future__ import annotations

import ssl
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Self

from sansio_moondream import (
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    HTTPRequest,
    RemoteProtocolError,
    TLSError,
)

from ._deadlines import after, earlier
from ._transport import Timeouts

if TYPE_CHECKING:
    from anyio import CancelScope

_CHUNK = 64 * 1024
_LOST = (
    "Server disconnected",
    "peer closed connection",
    "peer unexpectedly closed connection",
    "<StreamReset",
    "<ConnectionTerminated",
)


def library_of(client: object) -> Any:
    """The module httpx2 or httpx, whichever made the client, or the class that its class is derived
    from.
    """
    for kind in type(client).__mro__:
        name = kind.__module__.partition(".")[0]
        if name in ("httpx2", "httpx"):
            return sys.modules[name]
    raise TypeError(f"client should be one of httpx2 or of httpx, not {client!r}")


def installed_library() -> Any:
    """The module httpx2, else httpx. Raises ModuleNotFoundError if there is neither."""
    for name in ("httpx2", "httpx"):
        try:
            return import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
    raise ModuleNotFoundError(
        "this needs httpx2, which is not installed: pip install 'sansio-moondream[httpx2]'",
        name="httpx2",
    )


class Progress:
    """How far one exchange is, and until when it may wait."""

    def __init__(self, library: Any, timeouts: Timeouts) -> None:
        self.connected_at: float | None = None
        self.dialled: Any = None  # the newest network stream that the library has made for this
        self.limits: dict[
            str, float | None
        ] = {}  # the dict that the library reads; an empty one sets no limit
        self.errors = _errors(library)
        self._library = library
        self._timeouts = timeouts
        self._end = after(timeouts.total)
        self._deadline = earlier(after(timeouts.connect), self._end)

    def left(self) -> float | None:
        """Seconds until the deadline; never 0, which for a socket means not to wait at all."""
        return None if self._deadline is None else max(self._deadline - monotonic(), 0.001)

    def wait_for(self, timeout: float | None) -> None:
        """Set a new deadline."""
        self._deadline = None if timeout is None else monotonic() + timeout

    def scope(self) -> CancelScope:
        """A cancel scope, of whichever event loop is running, that ends at the deadline."""
        import anyio  # both libraries come with it

        left = self.left()
        return anyio.CancelScope(deadline=inf if left is None else anyio.current_time() + left)

    async def close_dialled(self) -> None:
        """The library leaves a connection open if it is cancelled in the TLS handshake."""
        if self.dialled is not None and self.connected_at is None:
            with self.no_waiting():  # closing begins with what counts
                await self.dialled.aclose()

    @contextmanager
    def no_waiting(self) -> Generator[None, None, None]:
        """What would wait in the block ends it instead; no cancellation from outside does, so that
        all of it is caught here.
        """
        with self.scope() as scope:
            scope.shield = True
            scope.cancel()
            yield

    def has_connected(self, event: str, info: dict[str, Any]) -> bool:
        """Take an event of the trace.

        True if the connection stands now, and with it the deadline has changed.
        """
        if event.endswith(".connect_tcp.complete"):
            self.dialled = info["return_value"]
        if (
            not event.endswith(".send_request_headers.started")
            or info["request"].method == b"CONNECT"
        ):
            return False
        self.connected_at = monotonic()
        self._deadline = earlier(after(self._timeouts.first_event), self._end)
        return True

    def limit(self, event: str, info: dict[str, Any]) -> None:
        """Take an event of the trace, and let the step that begins with it wait for no longer than
        until the deadline.
        """
        self.has_connected(event, info)
        if event.endswith(".started"):
            self.limits.update(dict.fromkeys(("connect", "read", "write", "pool"), self.left()))
            if "timeout" in info:  # connecting: what is in here is what the step is called with
                info["timeout"] = self.left()

    def watch(self, network_stream: Any) -> None:
        """Let each read from the connection wait until the deadline."""
        read: Callable[[int, float | None], Any] = network_stream.read

        # the library gives one
        def read_until_deadline(max_bytes: int, timeout: float | None = None) -> Any:  # noqa: ARG001
            return read(max_bytes, self.left())

        network_stream.read = read_until_deadline

    def unwatch(self, network_stream: Any) -> None:
        """Undo `watch`, before the connection goes back into its pool."""
        with suppress(AttributeError):
            del network_stream.read

    def named(self, error: Exception, *, connected: bool) -> Exception:
        """The exception to raise for one of the library's."""
        chain = _chain(error)
        tls = [cause for cause in chain if isinstance(cause, ssl.SSLError)]
        told = next(
            (cause for cause in [*tls, *chain] if str(cause)), error
        )  # on trio the library's own says nothing
        what = f"{type(told).__name__}: {str(told)[:200]}"
        if isinstance(error, (self._library.TimeoutException, TimeoutError)):
            return self.timed_out(connected=connected)
        if not connected:
            kind = TLSError if tls else ConnectError
            return kind(f"the connection could not be made: {what}")
        if isinstance(error, self._library.RemoteProtocolError) and not str(error).startswith(
            _LOST
        ):
            return RemoteProtocolError(f"what came is not HTTP: {what}")
        return ConnectionLost(f"the connection broke: {what}")

    def timed_out(self, *, connected: bool) -> Exception:
        if connected:
            return TimeoutError("nothing came in time")
        return ConnectTimeout(
            f"no connection stood within {self._timeouts.connect:g} seconds (Timeouts.connect)"
        )


class _Chunks:
    """The body of a request, and its own iterator.

    No async generator: one that is left early would stay open.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def let_go(self) -> None:
        """It was sent: it may be 13 MB."""
        self._data = b""

    def __iter__(self) -> Self:
        self._at = (
            0  # the library sends it once more where a connection turns out not to be available
        )
        return self

    __aiter__ = __iter__

    def __next__(self) -> bytes:
        chunk = self._data[self._at : self._at + _CHUNK]
        self._at += _CHUNK
        if not chunk:
            raise StopIteration
        return chunk

    async def __anext__(self) -> bytes:
        if (chunk := next(self, None)) is None:
            raise StopAsyncIteration
        return chunk


@cache
def _errors(library: Any) -> tuple[type[Exception], ...]:
    """What the library raises. UnicodeError: a host that IDNA refuses."""
    return library.TransportError, library.InvalidURL, OSError, UnicodeError


@cache
def _chunks(library: Any) -> Callable[[bytes], _Chunks]:
    """The library takes only streams of its own classes."""
    return type("Chunks", (_Chunks, library.SyncByteStream, library.AsyncByteStream), {})


def build_request(library: Any, request: HTTPRequest, extensions: dict[str, Any]) -> Any:
    """A request of the library's, with none of a client's own headers, parameters and cookies."""
    length = (
        []
        if any(name.lower() == "content-length" for name, _ in request.headers)
        else [("Content-Length", str(len(request.body)))]
    )
    built = library.Request(
        request.method, request.url, headers=[*request.headers, *length], extensions=extensions
    )
    built.stream = _chunks(library)(request.body)
    return built


def _chain(error: BaseException) -> list[BaseException]:
    """An exception, and what it was raised for."""
    cause = error.__cause__ or error.__context__
    return [error] if cause is None else [error, *_chain(cause)]
