"""The default transports of the SDK and of the pytest plugin. They keep no connection open."""

from __future__ import annotations

from ._transport import AsyncTransport, Transport


def default_transport() -> Transport:
    """Return a transport that nobody has to close."""
    from moondream_transports import UrllibTransport

    return UrllibTransport(max_idle=0)


def async_default_transport() -> AsyncTransport:
    """Return an async transport that nobody has to close. It needs the extra `anyio`."""
    from moondream_transports import AnyioTransport

    return AnyioTransport(max_idle=0)
