"""A transport on anyio, for asyncio and trio.

1. All but the streams of anyio is `_http11`.
2. Looking up a name is given up in time, but the thread that does it goes on; asyncio waits for it
   where the program ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from sansio_moondream import HTTPRequest

from ._http11.streams import AnyioBackend
from ._transport import Timeouts

if TYPE_CHECKING:
    import ssl

    from ._http11._async.stream import AsyncHTTP11Stream


class AnyioTransport:
    """Sends requests with anyio, in the event loop that is running. Use it in `async with`, or call
    `aclose()`.

    Args:
        ssl_context: takes the place of `ssl.create_default_context()`.
        proxy: such as `http://user:password@proxy:3128`, is used for all requests.
        trust_env: whether the proxies and the `no_proxy` of the environment are used, if no `proxy`
            is given, as `UrllibTransport` uses them.
        max_idle: how many idle connections are kept for each server.
        idle_seconds: how long.

    Raises:
        ValueError: `proxy` is not an HTTP proxy.
    """

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        trust_env: bool = False,
        max_idle: int = 10,
        idle_seconds: float = 15.0,
    ) -> None:
        # With them comes h11: only where it is used.
        from ._http11._async.engine import AsyncEngine
        from ._http11.route import environment_proxy, parse_proxy, require_proxy

        is_direct = proxy is None
        parsed = parse_proxy(proxy or "")
        del proxy  # error reporters print local variables
        self._proxy = None if is_direct else require_proxy(parsed)
        self._environment_proxy = environment_proxy if is_direct and trust_env else None
        self._engine = AsyncEngine(AnyioBackend(), ssl_context, max_idle, idle_seconds)

    async def send(self, request: HTTPRequest, timeouts: Timeouts) -> AsyncHTTP11Stream:
        """As `AsyncTransport.send` says."""
        find = self._environment_proxy
        proxy = self._proxy if find is None else find(request)
        sending = self._engine.send(request, timeouts, proxy)
        del request  # as in the engine
        return await sending

    async def aclose(self) -> None:
        """Close the idle connections. Those in use are closed when their exchanges end."""
        await self._engine.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.aclose()
