"""The line of those who wait to send a request. It computes whose turn it is, and nothing else.

One line stands before one or several gates. A gate is a server with its `RateLimit`. The user
of this class sends the requests, reports how they go, and does all waiting. Its rules:

1. First come, first served: tickets are admitted in the order of `join`. One that leaves the line
   does not change the order of the others.
2. Only the first in line is considered, for all gates at once. So nothing waits while it may go:
   `admit` admits until no gate is free, and at `next_at` a gate is free.
3. The first in line gets the gate that is free soonest. Of several that are free, it gets one with
   the fewest open requests, and of those the one where the last request began the longest ago. So
   a gate that has cooled down is used again.
4. A gate is free if its rate allows a request, fewer than `concurrent` are open, no pause and no
   cool-down lasts. A ticket is open from `admit` to `release` or `leave`.
5. A pause is asked for by the server: 429, or 503 with `Retry-After`. It applies to all that wait
   for the gate. The latest end counts, so reports of requests that were in flight together do
   not add up. `_schedule.py` says how the rate grows back.
6. A failure without such a wish begins a cool-down. It doubles with each further failure, up to a
   maximum, until a request succeeds. What began before the cool-down changes nothing: many
   requests may fail of one cause, and late successes say nothing about the server now.
7. If all gates cool down, the one whose cool-down ends first is used as if it did not. So one gate
   alone never waits for a cool-down.
8. A ticket that leaves after its turn has come has not begun. Its gate gets the place back. The
   rate gets it back too, if nothing has begun there since and no pause.
9. Nothing here has a clock. Moments are seconds of any clock that never goes back. A queue and its
   tickets are for one thread at a time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from math import inf
from typing import Literal

from sansio_moondream._errors import LocalProtocolError

from ._gate import Gate, GateStatus
from ._values import Cooldown, RateLimit, check_seconds


class Ticket:
    """A place in the line, and then a turn.

    Attributes:
        state: "waiting" in the line, "open" from its turn on, and then "ended".
        joined_at: when it came into the line.
        gate: the number of its gate, from 0. None until its turn has come.
        began_at: when its turn came, or None.
    """

    __slots__ = ("began_at", "gate", "joined_at", "state")

    def __init__(self, joined_at: float) -> None:
        self.state: Literal["waiting", "open", "ended"] = "waiting"
        self.joined_at = joined_at
        self.gate: int | None = None
        self.began_at: float | None = None

    def __repr__(self) -> str:
        gate = "" if self.gate is None else f", gate {self.gate}"
        return f"<Ticket, {self.state}{gate}>"


class AdmissionQueue:
    """Decide which request begins, when, and at which gate.

    After each call of `join`, `leave`, `fail`, `succeed` or `release`, and at `next_at`, call
    `admit`.


    Each method takes `now`, the time in seconds of any clock that does not go back. A `ticket` is
    one that `join` returned.

    Args:
        limits: of the gates, one each. A gate's number is the place of its limit.
        cooldown: how long a gate is left alone after a failure.

    Raises:
        ValueError: there is no limit.
        TypeError: what should be a limit is none.
    """

    def __init__(self, limits: Sequence[RateLimit], cooldown: Cooldown | None = None) -> None:
        if not limits:
            raise ValueError("limits should have a RateLimit for each gate, and there is none")
        for limit in limits:
            if not isinstance(limit, RateLimit):
                raise TypeError(f"a limit should be RateLimit(...), not {type(limit).__name__}")
        self._gates = [Gate(limit, cooldown or Cooldown()) for limit in limits]
        self._line: OrderedDict[Ticket, None] = OrderedDict()
        self._open: dict[Ticket, tuple[Gate, float]] = {}  # their gates, and when they began

    @property
    def waiting(self) -> int:
        """How many are in line."""
        return len(self._line)

    @property
    def first(self) -> Ticket | None:
        """The first in line, or None."""
        return next(iter(self._line), None)

    def join(self, now: float) -> Ticket:
        """Stand in line. Returns the ticket, whose turn `admit` may find at once."""
        ticket = Ticket(now)
        self._line[ticket] = None
        return ticket

    def admit(self, now: float) -> list[Ticket]:
        """Return the tickets whose turn it is, in order. They are open from now on."""
        admitted: list[Ticket] = []
        while self._line:
            moment, number = self._next_gate(now)
            if moment > now:
                break
            ticket, _ = self._line.popitem(last=False)
            ticket.state, ticket.gate, ticket.began_at = "open", number, now
            gate = self._gates[number]
            gate.begin(ticket, now)
            self._open[ticket] = gate, now
            admitted.append(ticket)
        return admitted

    def next_at(self, now: float) -> float | None:
        """Return when to call `admit` again, if nothing else happens before.

        It is exact: the first in line is admitted at that moment, and not before. None: nobody
        waits, or all gates wait for the end of an open request.
        """
        moment = self._next_gate(now)[0] if self._line else inf
        return None if moment == inf else moment

    def leave(self, ticket: Ticket, now: float) -> None:
        """Give up a place in the line, or a turn whose request was not sent.

        Raises LocalProtocolError if the ticket has ended.
        """
        if ticket in self._line:
            del self._line[ticket]
            ticket.state = "ended"
        else:
            self._end(ticket).undo(ticket)

    def succeed(self, ticket: Ticket, now: float) -> None:
        """Report that the server answered, before `release`. It may be a refusal of the request.

        Raises LocalProtocolError if the ticket is not open.
        """
        gate, began_at = self._find(ticket)
        gate.warm(began_at)

    def fail(self, ticket: Ticket, now: float, pause: float | None = None) -> None:
        """Report a failure of the server, before `release`.

        Args:
            ticket: an open one.
            now: the moment.
            pause: the seconds that the server asks to wait. None begins a cool-down.

        Raises:
            LocalProtocolError: the ticket is not open.
            ValueError: `pause` is below 0.
        """
        gate, began_at = self._find(ticket)
        if pause is None:
            gate.cool(began_at, now)
        else:
            check_seconds("pause", pause)
            gate.pause(now, pause)

    def release(self, ticket: Ticket, now: float) -> None:
        """End a turn: the request is over, and its connection closed or free for another.

        Raises LocalProtocolError if the ticket is not open.
        """
        self._end(ticket).open -= 1

    def status(self, now: float) -> tuple[GateStatus, ...]:
        """Return how busy each gate is."""
        return tuple(gate.status(now) for gate in self._gates)

    def _find(self, ticket: Ticket) -> tuple[Gate, float]:
        """Return the gate of an open ticket, and when its turn came."""
        if ticket not in self._open:
            raise LocalProtocolError(f"the ticket is {ticket.state}: a turn ends once, after admit")
        return self._open[ticket]

    def _end(self, ticket: Ticket) -> Gate:
        gate, _ = self._find(ticket)
        del self._open[ticket]
        ticket.state = "ended"
        return gate

    def _next_gate(self, now: float) -> tuple[float, int]:
        """Return when the first in line may begin, and the number of its gate."""
        # If this one cools down, all do.
        exempt = min(self._gates, key=lambda gate: gate.cool_until)
        moment, _, _, number = min(
            (max(gate.free_at(cooling=gate is not exempt), now), gate.open, gate.begun_at, number)
            for number, gate in enumerate(self._gates)
        )
        return moment, number
