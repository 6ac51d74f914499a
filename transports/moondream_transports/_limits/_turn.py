"""A turn: one request's leave to be sent."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from sansio_moondream import Endpoint, LocalProtocolError
from sansio_moondream.limiter._values import check_seconds

from ._async.wait import async_wait
from ._line import Line, Place
from ._sync.wait import wait


class Turn:
    """One request's leave to be sent: enter it with `with` or `async with`.

    `Limiter.turn` and `EndpointPool.turn` make it. Entering waits until it is the request's turn.
    The turn lasts until the block is left. A turn is used once. If it is dropped, it ends.

    Report with `succeed` and `fail` how the server does, as soon as that is known.

    Args:
        line: to stand in.
        endpoints: of the gates, or none.
        timeout: seconds that entering may take. None is no limit.
    """

    __slots__ = (
        "__weakref__",
        "_endpoints",
        "_has_begun",
        "_has_failed",
        "_line",
        "_place",
        "_timeout",
    )

    def __init__(self, line: Line, endpoints: Sequence[Endpoint], timeout: float | None) -> None:
        self._line = line
        self._endpoints = endpoints
        self._timeout = timeout
        self._has_begun = False
        self._has_failed = False
        self._place = Place()

    @property
    def endpoint(self) -> Endpoint | None:
        """The endpoint to ask. It is None before the turn has come, and without a pool."""
        ticket = self._place.ticket
        if ticket is None or ticket.gate is None or not self._endpoints:
            return None
        return self._endpoints[ticket.gate]

    @property
    def has_come(self) -> bool:
        """Whether it has come. It may have ended since."""
        ticket = self._place.ticket
        return ticket is not None and ticket.began_at is not None

    @property
    def queued(self) -> float:
        """Seconds from when the request stood in line to its turn, or to now while it waits."""
        ticket = self._place.ticket
        if ticket is None:
            return 0.0
        began_at = self._line.now() if ticket.began_at is None else ticket.began_at
        return began_at - ticket.joined_at

    def begin(self, timeout: float | None = None) -> bool:
        """Wait for the turn in this thread, at most `timeout` seconds. None is no limit.

        Returns True when it has come, and False if it was given up meanwhile.

        Raises:
            TimeoutError: it has not come in so many seconds. None is no limit.
            LocalProtocolError: the turn was used before.
        """
        self._require_unused()
        return wait(self._line, self._place, timeout)

    async def async_begin(self, timeout: float | None = None) -> bool:
        """Do as `begin`, in a task of asyncio or trio."""
        self._require_unused()
        return await async_wait(self._line, self._place, timeout)

    def succeed(self) -> None:
        """Report that the server answered, be it with a refusal of the request."""
        self._line.report(self._place, is_success=True)

    def fail(self, pause: float | None = None) -> None:
        """Report that the server failed. Only the first report of a failure counts.

        Args:
            pause: the seconds that the server asks to wait, by 429 or `Retry-After`. Nothing begins
                there before. None: the server is broken, and an `EndpointPool` lets it cool down.

        Raises:
            ValueError: `pause` is below 0, or not finite.
            TypeError: it is no number.
        """
        if pause is not None:
            check_seconds("pause", pause)  # here, as another thread may make the call of the queue
        if not self._has_failed:
            self._has_failed = True
            self._line.report(self._place, is_success=False, pause=pause)

    def end(self) -> None:
        """End the turn, or the wait for it. Any thread may call this. Further calls do nothing."""
        self.give_up()
        if self._place.state != "ended":
            self._line.end(self._place)

    def give_up(self) -> None:
        """End the wait for the turn. Any thread may call this. A turn that has come stays."""
        if self._place.state == "waiting":
            self._line.give_up(self._place)

    def __enter__(self) -> Turn:
        self._require(self.begin(self._timeout))
        return self

    async def __aenter__(self) -> Turn:
        self._require(await self.async_begin(self._timeout))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()

    def __del__(self) -> None:
        self.end()

    def __repr__(self) -> str:
        return f"<Turn, {self._place.state if self._has_begun else 'unused'}>"

    def _require_unused(self) -> None:
        if self._has_begun:
            raise LocalProtocolError("a turn comes once; ask the limiter for another")
        self._has_begun = True

    def _require(self, has_come: bool) -> None:
        if not has_come:
            raise LocalProtocolError("the turn was given up while it was waited for")
