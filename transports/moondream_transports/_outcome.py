"""What became of one request of many."""

from __future__ import annotations

from typing import Generic, cast

from sansio_moondream import MoondreamError, Request
from sansio_moondream._repr import OwnRepr

from ._exchange import R


class Outcome(OwnRepr, Generic[R], frozen=True):
    """The outcome of one request: a result or an error.

    Its repr has the class of the request, and the error. `request`, `result` and `error` have JSON
    forms of their own, by `to_dict()`.

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

    def unwrap(self) -> R:
        """Return the result. Raises the error if there is none."""
        if self.error is not None:
            raise self.error
        return cast("R", self.result)

    def __repr__(self) -> str:
        ending = "complete" if self.error is None else repr(self.error)
        attempts = f"{self.attempts} attempt{'s' * (self.attempts != 1)}"
        kind = type(self.request).__name__
        return f"<Outcome of {kind}: {ending}, {attempts}, {self.seconds:.3f} s>"
