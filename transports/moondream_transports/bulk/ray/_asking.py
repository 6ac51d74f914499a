"""What an actor of a pool does: it asks about the rows of a batch, and returns those of the output.

1. An actor has one event loop in one thread, with one client, which all its batches share. So the
   connections stay open, and the next batch begins before the last answer of the one before.
2. A row in, a row out. An error of an item is a row, as on one machine. What else is raised is a
   mistake of a program, and ends the run.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from msgspec import Struct

from moondream_transports._anyio import AnyioTransport
from moondream_transports._client._async.client import AsyncClient
from moondream_transports._limits import Limiter
from moondream_transports._map.running import Running
from moondream_transports._retries import RetryPolicy
from moondream_transports._transport import AsyncTransport, Timeouts
from moondream_transports.bulk._asking import Asker, Ended
from moondream_transports.bulk._columns import Columns
from moondream_transports.bulk._encoders import arrow_schema, record_batch, require_pyarrow
from moondream_transports.bulk._inputs._options import Options
from moondream_transports.bulk._refusals import Refusals
from moondream_transports.bulk._tasks import Task
from moondream_transports.bulk._template import Template
from moondream_transports.bulk._values import Item
from sansio_moondream import Endpoint, MoondreamError
from sansio_moondream.limiter import RateLimit

from ._actor import LEASE, RayLimiter, limiter_name
from ._limiter import LeasedLimiter
from ._source import items_of, items_of_rows

CONCURRENT = 16


class Asking(Struct, frozen=True, kw_only=True):
    """How each actor of a pool asks. It goes to the actors, with the key of the endpoint.

    Attributes:
        template: makes the requests.
        endpoint: that is asked.
        limit: of all actors together: a rate, and no `concurrent`. None: no rate, and each actor
            heeds the pauses of the server by itself.
        lease: seconds that a lease of this limit lasts. See `LeaseQueue`.
        limiter: name of the limiter's actor. The default is one for the server, its key, the limit
            and the lease.
        concurrent: requests that each actor has open at most.
        timeouts, retries: of its client. The wait for a turn is in `Timeouts.total`.
        transport: makes the transport of an actor. None is an `AnyioTransport` that observes the
            proxies of the environment.
        stream: whether answers are streamed, as in `run_bulk`.
        masks: whether the rows have masks of segmentations.
        picture_column, pictures: of a dataset with columns of its own, as in `read_items`.
        give_up_on: errors that end the run, as all further requests would have them, too.
        give_up_after: so many requests in a row of one actor have to end so. 0 is never.
    """

    template: Template
    endpoint: Endpoint
    limit: RateLimit | None = None
    lease: float = LEASE
    limiter: str | None = None
    concurrent: int = CONCURRENT
    timeouts: Timeouts | None = None
    retries: RetryPolicy | None = None
    transport: Callable[[], AsyncTransport] | None = None
    stream: bool = False
    masks: bool = False
    picture_column: str | None = None
    pictures: bool = True
    give_up_on: tuple[type[MoondreamError], ...] = ()
    give_up_after: int = 0

    @property
    def model(self) -> str:
        """The model of the rows, or "" for the server's choice."""
        return self.template.model or self.endpoint.model or ""

    def shared_limiter(self) -> RayLimiter | None:
        """Return the limiter of all actors, or None without a limit. Raises ValueError."""
        if self.limit is None:
            return None
        name = self.limiter or limiter_name(self.endpoint, self.limit, self.lease)
        return RayLimiter(name, self.limit, self.lease)


class AskBatches:
    """Ask about the rows of batches: a callable class for `map_batches` on a pool of actors.

    `run_bulk_on_ray` uses it. Use it in a pipeline of your own with `batch_format="pyarrow"`.

    Args:
        asking: how.
        has_items: whether the tables are those of `item_tables`. Their items are unpickled, which
            can run any code. So a dataset from elsewhere must never have it.

    Raises:
        ValueError: a value is out of its range, or the answers have no masks.
        ModuleNotFoundError: pyarrow, anyio, or with a limit Ray, is not installed.
    """

    def __init__(self, asking: Asking, has_items: bool = False) -> None:
        self._asking = asking
        self._columns = Columns(asking.template.skill, asking.masks)
        self._schema = arrow_schema(self._columns)
        options = Options(
            template=asking.template,
            id_column="id",
            picture_column=asking.picture_column,
            pictures=asking.pictures,
        )
        self._items = items_of if has_items else partial(items_of_rows, options=options)
        self._stop = threading.Event()
        self._refusals = Refusals(asking.give_up_on, asking.give_up_after, self._stop)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="asking", daemon=True)
        self._thread.start()
        try:
            self._run(self._open)
        except BaseException:
            self._end_loop()
            raise

    def __call__(self, batch: Any) -> Any:
        """Return the table of the output for `batch`, a table of items, in the same order.

        Raises:
            MoondreamError: the run is given up, as all requests end with this error.
            ValueError: a column or an id is missing.
        """
        ended = self._run(self._ask_all, self._items(batch))
        read = [self._columns.read(one.row) for one in ended]
        return require_pyarrow().Table.from_batches([record_batch(read, self._schema)])

    def close(self) -> None:
        """Close the connections, and end the thread. Ray ends the process instead."""
        if self._thread.is_alive():
            self._run(self._close)
            self._end_loop()

    def _run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(function(*arguments), self._loop).result()

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _open(self) -> None:
        asking = self._asking
        shared = asking.shared_limiter()
        concurrent = asking.concurrent
        limiter = LeasedLimiter(shared, concurrent) if shared else Limiter(concurrent=concurrent)
        make = asking.transport
        self._transport = make() if make else AnyioTransport(max_idle=concurrent, trust_env=True)
        client = AsyncClient(
            self._transport,
            asking.endpoint,
            timeouts=asking.timeouts,
            hooks=self._refusals,
            retries=asking.retries,
            limiter=limiter,
        )
        self._asker = Asker(client, asking.template, asking.model, asking.stream, self._stop)
        self._places = asyncio.Semaphore(concurrent)  # an item that waits has no picture

    async def _close(self) -> None:
        close = getattr(self._transport, "aclose", None)
        if close is not None:
            await close()

    async def _ask_all(self, items: Iterable[Item]) -> list[Ended]:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._ask(item)) for item in items]
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        ended = [task.result() for task in tasks]
        if self._refusals.given_up is not None:
            raise self._refusals.given_up
        return [one for one in ended if one is not None]

    async def _ask(self, item: Item) -> Ended | None:
        async with self._places:
            task = Task(item, self._asking.template.digest(item))
            return await self._asker.ask(task, Running())
