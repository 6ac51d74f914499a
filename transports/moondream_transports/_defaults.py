"""The default transports: each is a pair, `default_x` and `async_default_x`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._anyio import AnyioTransport
    from ._urllib import UrllibTransport


def default_transport(max_idle: int = 10) -> UrllibTransport:
    """Return a transport. With `max_idle=0` nobody has to close it."""
    from ._urllib import UrllibTransport

    return UrllibTransport(max_idle=max_idle)


def async_default_transport(max_idle: int = 10) -> AnyioTransport:
    """Return an async transport. With `max_idle=0` nobody has to close it.

    Raises ModuleNotFoundError if anyio is not installed.
    """
    try:
        from ._anyio import AnyioTransport
    except ModuleNotFoundError as error:
        if error.name != "anyio":
            raise
        raise ModuleNotFoundError(
            "the default async transport needs anyio, which is not installed:"
            " pip install 'sansio-moondream[anyio]', or pass another transport",
            name="anyio",
        ) from None
    return AnyioTransport(max_idle=max_idle)
