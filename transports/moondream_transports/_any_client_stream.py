"""What the stream of a sync and of an async client have in common: everything that does not wait."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Generic, TypeVar

from sansio_moondream import LocalProtocolError

from ._exchange import Exchange, R

T = TypeVar("T")
B = TypeVar("B")
S = TypeVar("S")


class AnyClientStream(Generic[R, T, B, S]):
    """An exchange by way of a transport `T`, whose byte stream `B` is there while the stream is
    open. What sleeps gives an `S`.
    """

    _connection: B | None = None
    _left = False  # by `close`, maybe from elsewhere: no further attempt

    def __init__(
        self, transport: T, exchange: Exchange[R], sleep: Callable[[float], S] | None = None
    ) -> None:
        self._transport = transport
        self._exchange = exchange
        self._sleep = sleep  # between two attempts, if not as usual

    @property
    def snapshot(self) -> R | None:
        """All that has arrived so far, as a result; None before the head of an answer."""
        return self._exchange.decoder.snapshot

    @property
    def request_id(self) -> str | None:
        """The server's id of the exchange, as soon as it is known."""
        return self._exchange.decoder.request_id

    def _opened(self) -> B:
        if self._connection is None:
            raise LocalProtocolError(
                "the stream is not open: it is open inside its `with` block, until it is closed or an error came"
            )
        return self._connection

    def _warn(self) -> None:
        warnings.warn(
            f"{self!r} was never closed: use it in a `with` statement",
            ResourceWarning,
            source=self,
            stacklevel=3,
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}, {self._exchange.decoder.state.value}{'' if self._connection is None else ', open'}>"
