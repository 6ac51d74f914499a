"""An `AdmissionQueue` for all threads and event loops of a process.

1. Calls of the queue go through a list. Whoever adds one makes all that are in it, unless another
   thread is doing that. That one looks again before it goes. So a call never waits for a lock, and
   may come from a finalizer or a signal handler, in the middle of another call, too.
2. There is no timer thread. The first in line waits with a timeout, its `alarm`, and then looks
   whose turn it is. When another becomes the first, it is woken to take that over.
3. A place is woken by its own function, which is called in any thread. It raises RuntimeError if
   its event loop is closed: nobody waits there any more, and the place is given up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from threading import Lock
from time import monotonic
from typing import Any

from sansio_moondream.limiter import AdmissionQueue, Cooldown, RateLimit, Ticket


class Place:
    """Where one request is: in line, then open, then ended.

    Attributes:
        ticket: of the queue, or None before it is in line.
        alarm: when to call `Line.look`. None: not before this place is woken.
        is_given_up: before it was in line.
        wake: wakes who waits. None while nobody does. It is called in any thread.
    """

    __slots__ = ("alarm", "is_given_up", "ticket", "wake")

    def __init__(self) -> None:
        self.ticket: Ticket | None = None
        self.is_given_up = False
        self.alarm: float | None = None
        self.wake: Callable[[], object] | None = None

    @property
    def state(self) -> str:
        """The state of the ticket."""
        if self.ticket is not None:
            return self.ticket.state
        return "ended" if self.is_given_up else "waiting"


class Line:
    """Let places join and end, and wake those whose turn has come.

    Args:
        limits: of the gates, one each.
        cooldown: after failures.
        clock: has the time, and sleeps. None is the clock of the machine.
    """

    def __init__(self, limits: Sequence[RateLimit], cooldown: Cooldown | None, clock: Any) -> None:
        self.queue = AdmissionQueue(limits, cooldown)
        self.now: Callable[[], float] = monotonic if clock is None else clock.monotonic
        self.sleep: Callable[[float], Any] | None = None if clock is None else clock.sleep
        self._calls: deque[Callable[[float], object]] = deque()
        self._places: dict[Ticket, Place] = {}  # of those in line
        self._lock = Lock()

    def join(self, place: Place) -> None:
        """Stand in line, unless the place is given up."""

        def join(now: float) -> None:
            if not place.is_given_up:
                place.ticket = ticket = self.queue.join(now)
                self._places[ticket] = place

        self._call(join)

    def look(self) -> None:
        """Look whose turn it is."""
        self._call(lambda _: None)

    def give_up(self, place: Place) -> None:
        """End the wait for a turn, and wake who waits. Nothing is done once the turn has come."""

        def give_up(now: float) -> None:
            ticket = place.ticket
            if ticket is None:
                place.is_given_up = True
            elif ticket.state == "waiting":
                self.queue.leave(ticket, now)
                self._wake(self._places.pop(ticket))

        self._call(give_up)

    def end(self, place: Place, *, unused: bool = False) -> None:
        """End a turn that has come. `unused` is whether no request was sent in it."""

        def end(now: float) -> None:
            ticket = place.ticket
            if ticket is not None and ticket.state == "open":
                (self.queue.leave if unused else self.queue.release)(ticket, now)

        self._call(end)

    def report(self, place: Place, *, is_success: bool, pause: float | None = None) -> None:
        """Report how the server does, while the turn lasts."""

        def report(now: float) -> None:
            ticket = place.ticket
            if ticket is None or ticket.state != "open":
                return
            if is_success:
                self.queue.succeed(ticket, now)
            else:
                self.queue.fail(ticket, now, pause)

        self._call(report)

    def _call(self, call: Callable[[float], object]) -> None:
        self._calls.append(call)
        while self._calls and self._lock.acquire(blocking=False):
            try:
                while self._calls:
                    now = self.now()
                    self._calls.popleft()(now)
                    self._admit(now)
            finally:
                self._lock.release()

    def _admit(self, now: float) -> None:
        for ticket in self.queue.admit(now):
            self._wake(self._places.pop(ticket))
        if (first := self.queue.first) is not None:
            place, moment = self._places[first], self.queue.next_at(now)
            is_earlier = moment is not None and (place.alarm is None or moment < place.alarm)
            place.alarm = moment
            if is_earlier:
                self._wake(place)

    def _wake(self, place: Place) -> None:
        if (wake := place.wake) is not None:
            try:
                wake()
            except RuntimeError:  # the event loop is closed, and who waited went with it
                self.give_up(place)
                self.end(place, unused=True)
