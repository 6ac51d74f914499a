"""The answer to one frame of a video."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from moondream_transports._exchange import R
from moondream_transports._pictures import shown
from sansio_moondream import MoondreamError

F = TypeVar("F")


@dataclass(frozen=True, eq=False, repr=False)
class Answer(Generic[F, R]):
    """What the model says about one frame.

    Attributes:
        frame: that was asked, as the source gave it.
        result: of the request. None if the request failed.
        error: why the request failed. Its `partial` has what had arrived. None if it did not fail.
        seconds: since the request for the frame began to be made.
        skipped: how many frames came after the last frame with an answer and before this one. All
            partial answers to one frame have the same number.
    """

    frame: F
    result: R | None
    error: MoondreamError | None
    seconds: float
    skipped: int

    def __repr__(self) -> str:
        ended = self.error if self.result is None else self.result
        return f"<Answer to {shown(self.frame)} after {self.seconds:.3f} s: {ended!r}>"
