"""The one mapping of what backends raise to what a transport raises."""

from __future__ import annotations

import ssl
from typing import cast

from moondream_transports._deadlines import sooner
from moondream_transports._transport import Timeouts
from sansio_moondream import ConnectError, ConnectionLost, ConnectTimeout, TLSError


def map_connect_error(error: Exception, timeouts: Timeouts) -> Exception:
    """Return what to raise for an error before the connection was established."""
    if _is_ours(error):
        within = sooner(timeouts.connect, timeouts.total)
        name = "connect" if within == timeouts.connect else "total"
        return ConnectTimeout(f"no connection within {within} seconds (Timeouts.{name})")
    kind = TLSError if isinstance(_origin(error), ssl.SSLError) else ConnectError
    return kind(f"the connection could not be made: {describe(error)}")


def map_error(error: Exception) -> Exception:
    """Return what to raise for an error on an established connection."""
    if _is_ours(error):
        return TimeoutError("nothing came in time")
    return ConnectionLost(f"the connection broke: {describe(error)}")


def describe(error: BaseException) -> str:
    """Return what the first cause of an error says: the errors of anyio often say nothing."""
    origin = _origin(error)
    return f"{type(origin).__name__}: {str(origin)[:200]}"


def _origin(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, ExceptionGroup):  # one for each address that was tried
        error = cast("ExceptionGroup[Exception]", error).exceptions[-1]
    return error


def _is_ours(error: Exception) -> bool:
    """Return whether a timeout of ours passed. The system's own (ETIMEDOUT) has a number."""
    return isinstance(error, TimeoutError) and error.errno is None
