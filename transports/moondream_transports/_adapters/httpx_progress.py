"""How far an exchange on httpx is, and the deadline of its current wait.

1. The library reports its steps to our `trace` extension. A connection is made when the head of a
   request is about to be sent on it, other than CONNECT to a proxy.
2. A cancel scope ends a wait of the async library, a `Watch` on the connection one of the sync
   library. Before there is a connection, the `timeout` extension has the seconds that are left.
3. The sync library documents no way to learn which connection of its pool it takes. But it sets
   the timeout of a step on the socket. So we write the head of a request on an unknown connection
   with a timeout that no other exchange has, and look for the socket that has this timeout. If the
   program made the connection for its own requests, we know it only after the response's head.
4. A connection to another host or port than those of the URL is one to a proxy, of which we know
   no other way.
"""

from __future__ import annotations

import socket
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from math import inf
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from moondream_transports._deadlines import after, earlier
from moondream_transports._http11.route import Route, authority
from moondream_transports._transport import Timeouts
from sansio_moondream import ConnectionLost, HTTPRequest, MoondreamError

from .exceptions import map_exception
from .httpx_library import errors_of
from .watchdog import Watch

if TYPE_CHECKING:
    from anyio import CancelScope

_exchanges = count()


class Sockets:
    """The sockets of all connections that were made for a transport, as long as they live."""

    def __init__(self) -> None:
        self._known: WeakSet[socket.socket] = WeakSet()
        self._lock = Lock()

    def add(self, made: socket.socket) -> None:
        """Add the socket of a new connection."""
        with self._lock:
            self._known.add(made)

    def find(self, timeout: float) -> socket.socket | None:
        """Return the socket that has this timeout."""
        with self._lock:
            return next((known for known in self._known if known.gettimeout() == timeout), None)


class Progress:
    """How far one exchange is."""

    def __init__(self, library: Any, request: HTTPRequest, timeouts: Timeouts) -> None:
        self.connected_at: float | None = None
        self._url = request.url
        self._dialled = ""
        self.errors = errors_of(library)
        self._timeouts = timeouts
        self._end = after(timeouts.total)
        self.deadline = earlier(after(timeouts.connect), self._end)

    def left(self) -> float | None:
        """Seconds until the deadline; never 0, which for a socket means not to wait at all."""
        return None if self.deadline is None else max(self.deadline - monotonic(), 0.001)

    def wait_for(self, timeout: float | None) -> None:
        """Set a new deadline."""
        self.deadline = after(timeout)

    def has_connected(self, event: str, info: dict[str, Any]) -> bool:
        """Take an event of the trace.

        Returns:
            Whether the connection stands now, and with it the deadline has changed.
        """
        if event.endswith(".connect_tcp.started"):
            self._dialled = authority(info["host"], info["port"])
        if not event.endswith("send_request_headers.started"):
            return False
        if info["request"].method == b"CONNECT":
            return False
        self.connected_at = monotonic()
        self.deadline = earlier(after(self._timeouts.first_event), self._end)
        return True

    def failure(self, error: Exception) -> MoondreamError | TimeoutError:
        """Return what to raise for an exception of the library."""
        connected = self.connected_at is not None
        server = Route.to(self._url, None)
        is_direct = self._dialled in ("", authority(server.host, server.port))
        proxy = None if is_direct else self._dialled
        return map_exception(error, connected=connected, timeouts=self._timeouts, proxy=proxy)


class SyncProgress(Progress, Mapping[str, float | None]):
    """Ends waits by a `Watch`. It is itself the `timeout` extension, which says what is left."""

    def __init__(
        self, library: Any, request: HTTPRequest, timeouts: Timeouts, sockets: Sockets
    ) -> None:
        super().__init__(library, request, timeouts)
        self.watch = Watch()
        self.watch.begin(self.deadline)
        self._sockets = sockets
        self._stamp = 1e6 + next(_exchanges) % 1_000_000  # exact as a float, below 2**31 ms
        self._is_stamping = False
        self._is_exact = False
        self.is_http2 = False

    def __getitem__(self, step: str) -> float | None:
        if step == "write" and self._is_stamping:
            return self._stamp
        return None if step == "read" and self._is_exact else self.left()

    def __iter__(self) -> Iterator[str]:
        return iter(("connect", "read", "write", "pool"))

    def __len__(self) -> int:
        return 4

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """Take an event of the trace."""
        if self.has_connected(event, info):
            self.is_http2 = event.startswith("http2.")
            self.watch.begin(self.deadline)
            self._is_stamping = not self.watch.is_attached
        elif self._is_stamping and event.endswith("send_request_headers.complete"):
            self._is_stamping = False
            if (known := self._sockets.find(self._stamp)) is not None:
                self.watch.attach(known)
        elif event.endswith((".connect_tcp.complete", ".start_tls.complete")):
            made = info["return_value"].get_extra_info("socket")
            self._sockets.add(made)
            if not self.watch.is_attached:
                self.watch.attach(made)

    def read_body(self, network_stream: Any) -> None:
        """The head is there: from now on the watch alone ends the reads of this connection.

        Over HTTP/1.1 the library asks only once how long it may wait for any part of the body.
        """
        if not self.watch.is_attached and network_stream is not None:
            self.watch.attach(network_stream.get_extra_info("socket"))
        self._is_exact = self.watch.is_attached and self.watch.can_wait

    def failure(self, error: Exception | None) -> MoondreamError | TimeoutError:
        """Return what to raise for an exception, or for a shutdown that ended a body."""
        if self.watch.has_expired:
            return super().failure(TimeoutError())
        return (
            ConnectionLost("closed while it was read") if error is None else super().failure(error)
        )


class AsyncProgress(Progress):
    """Ends waits by a cancel scope of the running event loop."""

    def __init__(self, library: Any, request: HTTPRequest, timeouts: Timeouts) -> None:
        super().__init__(library, request, timeouts)
        self._newest: Any = None  # the newest connection that the library has made for this
        self._scope: CancelScope | None = None

    @contextmanager
    def limited(self) -> Generator[CancelScope, None, None]:
        """End at the deadline what waits in the block."""
        import anyio  # both libraries come with it

        with anyio.CancelScope(deadline=self._loop_deadline()) as self._scope:
            yield self._scope
        self._scope = None

    def _loop_deadline(self) -> float:
        import anyio

        left = self.left()
        return inf if left is None else anyio.current_time() + left

    async def trace(self, event: str, info: dict[str, Any]) -> None:
        """Take an event of the trace."""
        if event.endswith(".connect_tcp.complete"):
            self._newest = info["return_value"]
        if self.has_connected(event, info) and self._scope is not None:
            self._scope.deadline = self._loop_deadline()

    async def close_dialled(self) -> None:
        """Close what the library leaves open if it is cancelled in the TLS handshake."""
        if self._newest is not None and self.connected_at is None:
            with no_waiting():  # closing begins with what counts
                await self._newest.aclose()


@contextmanager
def no_waiting() -> Generator[None, None, None]:
    """End the block where it would wait. No cancellation from outside ends it."""
    import anyio

    with anyio.CancelScope(shield=True) as scope:
        scope.cancel()
        yield
