"""The limiter of a cluster in this process, without Ray."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from moondream_transports.bulk.ray import LimiterActor
from sansio_moondream.limiter import Lease, RateLimit


class LocalLimiter:
    """What a worker sees of the actor. Workers of one event loop may share it.

    Attributes:
        calls: `want` and `pause` of each call.
    """

    def __init__(self, limit: RateLimit, lease: float = 0.25) -> None:
        self.limit, self.lease = limit, lease
        self.calls: list[tuple[int, float]] = []
        self.reports: list[asyncio.Task[None]] = []
        self.die()

    def die(self) -> None:
        """Let another actor take the place of this one, which forgets all."""
        self.actor = LimiterActor(self.limit, self.lease, end=lambda: None)

    async def ask(self, want: int, pause: float) -> Lease | None:
        self.calls.append((want, pause))
        actor = self.actor
        lease = await actor.ask(want, pause)
        return lease if actor is self.actor else None  # the dead do not answer

    def pause(self, seconds: float) -> None:
        self.reports.append(asyncio.create_task(self.actor.pause(seconds)))


def run(main: Coroutine[object, object, None]) -> None:
    """Run a test in an event loop. A hang fails it."""

    async def within() -> None:
        await asyncio.wait_for(main, 60)

    asyncio.run(within())
