"""A transport on the standard library alone.

1. Its proxies, and what goes past them, are urllib's (`urllib.request.getproxies`, `proxy_bypass`):
   the variables of the environment, and the settings of macOS and Windows. The rest is `_http11`.
2. A program may forget to close it: idle connections are closed with it, without a warning.
3. Looking up a name cannot be interrupted: `Timeouts.connect` counts it, but acts only after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Self
from weakref import finalize

from sansio_moondream import HTTPRequest

from ._transport import Timeouts

if TYPE_CHECKING:
    import ssl

    from ._http11._sync.stream import HTTP11Stream
    from ._http11.sending import Sending


class UrllibTransport:
    """Sends requests with sockets of the standard library: there is nothing to install. Use it in
    `with`, or call `close()`, to close idle connections before it is forgotten.

    Args:
        ssl_context: takes the place of `ssl.create_default_context()`.
        proxies: such as `{"https": "http://user:password@proxy:3128"}`, takes the place of the
            proxies and the `no_proxy` of the environment (`{}`: no proxy). Its keys are `http` and
            `https`. Without it, requests to this machine go directly, and a key over plain http is
            not sent to a proxy of the environment on another machine (LocalProtocolError).
        max_idle: how many idle connections are kept for each server.
        idle_seconds: how long.

    Raises:
        ValueError: A proxy is not an HTTP proxy.
        TypeError: `proxies` is not a mapping.
    """

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext | None = None,
        proxies: Mapping[str, str] | None = None,
        max_idle: int = 10,
        idle_seconds: float = 15.0,
    ) -> None:
        # With them come h11, ssl and the like: only where they are used.
        from ._http11._sync.engine import Engine
        from ._http11.route import environment_proxy, parse_proxy, require_proxy
        from ._http11.sending import Sending
        from ._http11.sockets import SocketBackend

        self._environment_proxy = environment_proxy if proxies is None else None
        is_valid = isinstance(proxies, Mapping | None)
        given = (
            {key: parse_proxy(url) for key, url in proxies.items()} if proxies and is_valid else {}
        )
        del proxies  # error reporters print local variables
        if not is_valid:
            raise TypeError('proxies should be a mapping, such as {"https": "http://proxy:3128"}')
        # urllib has more keys, such as "no".
        used = [scheme for scheme in given if scheme in ("http", "https")]
        self._given = {scheme: require_proxy(given[scheme]) for scheme in used}
        self._engine = Engine(SocketBackend(), ssl_context, max_idle, idle_seconds)
        self._make_sending = Sending
        self._sending: dict[int, Sending] = {}  # by the ids of the requests
        finalize(self, self._engine.close)

    def send(self, request: HTTPRequest, timeouts: Timeouts) -> HTTP11Stream:
        """As `Transport.send` says."""
        if self._environment_proxy is not None:
            proxy = self._environment_proxy(request)
        else:
            proxy = self._given.get(request.url.partition(":")[0].lower())
        self._sending[id(request)] = sending = self._make_sending()
        try:
            return self._engine.send(request, timeouts, proxy, sending.begin)
        finally:
            self._sending.pop(id(request), None)

    def interrupt(self, request: HTTPRequest) -> None:
        """End a `send` of `request` that waits in another thread. It raises an error."""
        sending = self._sending.get(id(request))
        if sending is not None:
            sending.interrupt()

    def close(self) -> None:
        """Close the idle connections. Those in use are closed when their exchanges end."""
        self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
