"""The limiter of a cluster: an actor of Ray, and how workers reach it.

1. The actor has a name, so workers on all nodes find the same one. It belongs to no program:
   several runs with the same name share it. It ends when nobody has called it for a minute.
2. Ray starts it anew if it dies, on another node if its node is gone. A worker that finds none
   makes one. A new actor knows nothing of the one before: its burst is empty.
3. A call is not repeated by Ray. The worker makes another one, as a lease counts from its call.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable
from time import monotonic
from typing import Any

import msgspec

from sansio_moondream import Endpoint
from sansio_moondream.limiter import Lease, LeaseQueue, LeaseTicket, RateLimit

from ._library import NAMESPACE, require_ray

LEASE = 0.25
"""Seconds that a lease lasts by default."""

_LOGGER = logging.getLogger("moondream_transports")
_LONGEST_CALL = 1.0  # seconds: a worker that died leaves the line after so long
_GRACE = 5.0  # seconds, in which an answer should arrive
_START = 60.0  # seconds, in which a new actor should answer for the first time
_WAIT = 0.1  # seconds before a call is made again
_IDLE = 60.0  # seconds without a call, after which the actor ends


class LimiterActor:
    """Hand out leases. It is thin: `LeaseQueue` decides, and this waits, in a loop of asyncio.

    Args:
        limit: of all workers together.
        seconds: that a lease lasts.
        end: ends the process. It is called when nobody has called for a minute.
    """

    def __init__(
        self, limit: RateLimit, seconds: float, end: Callable[[], object] | None = None
    ) -> None:
        self._queue = LeaseQueue(limit, seconds, monotonic())
        self._answers: dict[LeaseTicket, asyncio.Future[None]] = {}
        self._alarm: asyncio.TimerHandle | None = None
        self._end = end or _end_actor
        self._watch: asyncio.TimerHandle | None = None
        self._watch_idle()  # Ray may start it anew when nobody is left who calls

    async def ask(self, want: int, pause: float) -> Lease:
        """Wait for a lease. After a second it is one of no requests: the worker asks again.

        `want` and `pause` are those of `SharedLimiter.ask`.
        """
        began = monotonic()
        self._watch_idle()
        if pause:
            self._queue.pause(pause, began)
        ticket = self._queue.join(want, began)
        self._answers[ticket] = answer = asyncio.get_running_loop().create_future()
        self._look()
        try:
            async with asyncio.timeout(_LONGEST_CALL):
                await answer
        except TimeoutError:
            pass  # what was granted just now is in the ticket
        finally:
            self._queue.leave(ticket)
            self._answers.pop(ticket, None)
        return Lease(ticket.count, ticket.granted_at - began, self._queue.seconds)

    async def pause(self, seconds: float) -> None:
        """Grant nothing for so many seconds."""
        self._queue.pause(seconds, monotonic())
        self._look()

    async def where(self) -> str:
        """Return the id of the node that this runs on."""
        node: str = require_ray().get_runtime_context().get_node_id()
        return node

    def _look(self) -> None:
        for ticket in self._queue.admit(monotonic()):
            if not (answer := self._answers[ticket]).done():
                answer.set_result(None)
        if self._alarm is not None:
            self._alarm.cancel()
        now = monotonic()
        if (moment := self._queue.next_at(now)) is not None:
            self._alarm = asyncio.get_running_loop().call_later(moment - now, self._look)

    def _watch_idle(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self._watch = asyncio.get_running_loop().call_later(_IDLE, self._end)


class RayLimiter:
    """The limiter of the cluster for one worker. It finds the actor, or makes it.

    Args:
        name: of the actor. Workers with the same name share a limit.
        limit: of all workers together, without `concurrent`.
        lease: seconds that a lease lasts.
        options: more of Ray's options for the actor, such as `scheduling_strategy`.

    Raises:
        ValueError: a value is out of its range.
        ModuleNotFoundError: Ray is not installed.
    """

    def __init__(self, name: str, limit: RateLimit, lease: float = LEASE, **options: Any) -> None:
        LeaseQueue(limit, lease, 0.0)  # which checks them
        require_ray()
        self._name = name
        self._limit = limit
        self._lease = lease
        self._options = options
        self._actor: Any = None

    def start(self) -> Any:
        """Return the handle of the actor. It is made if there is none."""
        ray = require_ray()
        options: dict[str, Any] = {
            "name": self._name,
            "namespace": NAMESPACE,
            "get_if_exists": True,
            "lifetime": "detached",
            "max_restarts": -1,
            "max_task_retries": 0,
            "max_concurrency": 10_000,
            "num_cpus": 0,
        }
        made = ray.remote(LimiterActor).options(**options | self._options)
        return made.remote(self._limit, self._lease)

    async def ask(self, want: int, pause: float) -> Lease | None:
        """Wait for a lease. `want` and `pause` are those of `SharedLimiter.ask`."""
        errors = require_ray().exceptions
        try:
            if self._actor is None:
                actor = await asyncio.to_thread(self.start)
                async with asyncio.timeout(_START):
                    await actor.where.remote()
                self._actor = actor
                return None  # a lease counts from the call, which began before the actor was there
            async with asyncio.timeout(_LONGEST_CALL + _GRACE):
                lease: Lease = await self._actor.ask.remote(want, pause)
            return lease
        except errors.RayTaskError:
            raise  # the actor is there, and its program has a mistake
        except (errors.RayError, TimeoutError, ValueError) as error:
            # A ValueError is of Ray: the actor ended while its name was looked up.
            why = str(error) or "it does not answer"
            _LOGGER.warning("the limiter of the cluster is gone, and nothing begins: %s", why)
            self._actor = None
            await asyncio.sleep(_WAIT)
            return None

    def pause(self, seconds: float) -> None:
        """Report a pause of `seconds`, without waiting."""
        if self._actor is not None:
            self._actor.pause.remote(seconds)


def limiter_name(endpoint: Endpoint, limit: RateLimit, lease: float) -> str:
    """Return the name of the limiter of an endpoint. It does not show the key.

    Args:
        endpoint: the server and its key.
        limit: of all actors together.
        lease: how many seconds a lease lasts.
    """
    numbers = [limit.per_second, limit.burst, limit.recovery, lease]
    parts = [endpoint.url, endpoint.api_key, *(n if n is None else float(n) for n in numbers)]
    return f"limiter-{hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:20]}"


def _end_actor() -> None:
    ray = require_ray()
    ray.kill(ray.get_runtime_context().current_actor)
