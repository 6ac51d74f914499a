"""The choice of the newest: which frames of a video are asked, and which answers are given.

A camera has more frames than a model can answer. `Newest` decides, and computes nothing else. Its
user reads the frames, sends the requests and does all waiting. Its rules:

1. Frames are numbered 1, 2, 3, … in the order in which they are offered.
2. At most `concurrent` frames run. At most one waits, and it is the newest: a newer frame replaces
   it. So memory is bounded, however slow the answers are.
3. A frame that waits begins as soon as there is a place for it.
4. A frame has its place from `begin` to `end`, even if it is cancelled in between. What is still
   closing its connection runs.
5. By default, what runs is finished. With `cancel`, a frame that has to wait cancels the oldest one
   that runs. It cancels none if another is still ending after it was cancelled, because one place
   is enough for the one that waits.
6. Answers never go back in time. The answer of a frame is given when the frame ends, unless the
   frame was cancelled, or the answer of a newer one was given before.
7. Each frame that does not wait or run was either given or skipped. Those that were skipped before
   a frame is given are the frames between it and the last one that was given.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from msgspec import Struct

from sansio_moondream._errors import LocalProtocolError

F = TypeVar("F")


class Turn(Struct, Generic[F], frozen=True, eq=False):
    """A frame that is asked.

    Attributes:
        number: of the frame: 1, 2, 3, … in the order in which they were offered.
        frame: that was offered.
    """

    number: int
    frame: F


class Newest(Generic[F]):
    """Choose which frames of a video are asked, and which answers are given.

    After each `offer` and each `end`, call `begin` until it returns None.

    Args:
        concurrent: how many frames may run at once.
        cancel: whether a newer frame cancels one that runs, if it has to wait for a place. If
            frames come faster than answers, nothing is ever answered then.

    Raises:
        ValueError: `concurrent` is no whole number of at least 1.
    """

    def __init__(self, *, concurrent: int = 1, cancel: bool = False) -> None:
        if type(concurrent) is not int or concurrent < 1:
            raise ValueError(f"concurrent must be a whole number of at least 1, not {concurrent!r}")
        self._concurrent = concurrent
        self._cancel = cancel
        self._offered = 0
        self._given = 0
        self._waiting: Turn[F] | None = None
        self._running: dict[int, Turn[F]] = {}  # by their numbers, the oldest first
        self._cancelled: Turn[F] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether no frame runs or waits."""
        return not self._running and self._waiting is None

    def offer(self, frame: F) -> Turn[F] | None:
        """Take a new `frame`. Returns the turn that has to be cancelled for it, if there is one.

        Call `end` when a cancelled turn has ended.
        """
        self._offered += 1
        self._waiting = Turn(self._offered, frame)
        if not self._cancel or self._cancelled is not None or self._has_place():
            return None
        self._cancelled = next(iter(self._running.values()))
        return self._cancelled

    def begin(self) -> Turn[F] | None:
        """Return the frame that has to be asked now. None: there is none, or it has to wait."""
        if self._waiting is None or not self._has_place():
            return None
        turn, self._waiting = self._waiting, None
        self._running[turn.number] = turn
        return turn

    def skipped(self, turn: Turn[F]) -> int:
        """Return how many frames are between the last one that was given and that of `turn`."""
        return turn.number - self._given - 1

    def end(self, turn: Turn[F]) -> bool:
        """End a `turn`: it was answered, failed, or was cancelled.

        Returns:
            Whether its answer or error is given. Otherwise it is dropped.

        Raises:
            LocalProtocolError: the turn does not run.
        """
        if self._running.get(turn.number) is not turn:
            raise LocalProtocolError(f"frame {turn.number} does not run: it ends once, after begin")
        del self._running[turn.number]
        if turn is self._cancelled:
            self._cancelled = None
            return False
        if self.skipped(turn) < 0:  # a newer one was given before
            return False
        self._given = turn.number
        return True

    def _has_place(self) -> bool:
        return len(self._running) < self._concurrent
