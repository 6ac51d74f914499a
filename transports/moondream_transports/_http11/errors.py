"""What a transport raises for what its backend raises, and for what TLS negotiated."""

from __future__ import annotations

import ssl
from typing import cast

from moondream_transports._deadlines import earlier
from moondream_transports._http11.route import Proxy
from moondream_transports._transport import Timeouts
from sansio_moondream import ConnectError, ConnectionLost, ConnectTimeout, TLSError


def map_error(
    error: Exception, timeouts: Timeouts | None = None, proxy: Proxy | None = None
) -> Exception:
    """Return what to raise.

    `timeouts`, and the proxy, are given where the connection was not established yet.
    """
    way = "" if proxy is None else f" by way of the proxy {proxy.address}"
    # The system's own timeout (ETIMEDOUT) has a number, and is an error like any other.
    if isinstance(error, TimeoutError) and error.errno is None:
        if timeouts is None:
            return TimeoutError("nothing came in time")
        within = earlier(timeouts.connect, timeouts.total)
        name = "connect" if within == timeouts.connect else "total"
        return ConnectTimeout(f"no connection{way} within {within} seconds (Timeouts.{name})")
    origin: BaseException = error  # the errors of anyio say nothing, but where they come from
    while origin.__cause__ is not None:
        origin = origin.__cause__
    if isinstance(origin, ExceptionGroup):  # one for each address that was tried
        origin = cast("ExceptionGroup[Exception]", origin).exceptions[-1]
    words = f"{type(origin).__name__}: {str(origin)[:200]}"
    if timeouts is None:
        return ConnectionLost(f"the connection broke: {words}")
    kind = TLSError if isinstance(origin, ssl.SSLError) else ConnectError
    return kind(f"the connection{way} could not be made: {words}")


def check_protocol(protocol: str | None) -> None:
    """Check what TLS negotiated (ALPN).

    Raises TLSError for what is not HTTP/1.1.
    """
    if protocol not in (None, "http/1.1"):
        raise TLSError(
            f"TLS negotiated {protocol} (ALPN), and this transport speaks HTTP/1.1: give it an "
            "SSLContext of its own, not one that is shared with an HTTP/2 client"
        )
