"""What became of one request of many."""

from __future__ import annotations

from typing import Generic

from msgspec import Struct

from sansio_moondream import MoondreamError, Request

from ._exchange import R


class Outcome(Struct, Generic[R], frozen=True):
    """The outcome of one request: a result or an error.

    Attributes:
        request: that was sent.
        result: the complete answer, or None.
        error: what ended the request, or None. Its `partial` has what arrived of the answer.
        attempts: how many were begun. 0 if the request never had its turn.
        seconds: from the opening of the exchange to its end, with the wait for its turn.
    """

    request: Request[R]
    result: R | None
    error: MoondreamError | None
    attempts: int
    seconds: float
