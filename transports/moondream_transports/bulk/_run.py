"""A run: the items that are not in the ledger are asked, and each answer is committed in it.

1. One thread reads the items, and skips what the ledger has. Tasks of one event loop ask about the
   others: threads took twice the processor time. What has ended waits in a list.
2. The task that called `run_bulk` has all that waits committed in one transaction: at once if the
   last one began more than 0.1 seconds ago, else then, or when as many have ended as are asked at
   once. A transaction waits for the disk, and costs as much for one row as for ten.
3. What has ended leaves the list after its commit. Whatever ends the run, the list is committed
   before the error is raised.
4. Files are written from the ledger: a shard when it is full, the others at the end. Meanwhile the
   others go on.
5. The event loop waits for no file: pictures are read, rows committed and files written in threads.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TypeVar

from moondream_transports._client._async.client import AsyncClient
from moondream_transports._concurrency import AsyncFlag, async_in_thread, async_sleep
from moondream_transports._map._async.concurrent_map import AsyncConcurrentMap
from moondream_transports._map.running import Running
from moondream_transports._workers import AsyncWorker

from ._asking import Asker, Ended
from ._columns import Columns
from ._files import Files, require_number
from ._ledger import Ledger
from ._outputs import open_output
from ._reading import ReadAhead
from ._schema import Layout
from ._tasks import Task, Tasks
from ._template import Template
from ._values import Counts, Item, OutputFormat, Summary

_COMMIT_INTERVAL = 0.1  # seconds
_REPORT_INTERVAL = 0.2
_WATCH_INTERVAL = 0.1
_READ_AHEAD = 32  # items, which may hold pictures. 16 take 8 % more processor time, 64 no less

T = TypeVar("T")


async def run_bulk(
    client: AsyncClient,
    items: Iterable[Item],
    template: Template,
    output: str | os.PathLike[str],
    *,
    format: OutputFormat | None = None,
    rows_per_shard: int = 10_000,
    masks: bool = False,
    concurrent: int | None = None,
    limit: int | None = None,
    retry_failed: bool = False,
    stream: bool = False,
    total: int | None = None,
    on_progress: Callable[[Counts], object] | None = None,
    stop: threading.Event | None = None,
    abort: threading.Event | None = None,
) -> Summary:
    """Ask about each item that is not in the ledger of the output, and write the answers to files.

    An item is in the ledger when it has ended: with its answer, or with an error, which is a row of
    the output, too. So a run that was stopped, by whatever, is continued by calling this again with
    the same arguments. What was being asked when it was stopped is asked again.

    An item ends with an error if its picture cannot be read, if its request cannot be made, and if
    the client raises a `MoondreamError`. The client's `RetryPolicy` decides what is tried again
    before that. Any other error is a mistake of a program, and ends the run.

    Args:
        client: sends the requests, with its retries, timeouts and limiter.
        items: are read one after the other, when there is a place for them, in a thread, which
            closes their iterator at the end. Of those with the same id and the same question only
            the first is asked. The counts name others.
        template: makes the requests. An answer belongs to its model, or to that of the client.
        output: a folder for shards, or a file that ends in .parquet, .jsonl or .csv. The ledger is
            in the folder, or beside the file.
        format: of the files. None takes that of the file, or that of the folder's shards, else
            Parquet.
        rows_per_shard: of each file in a folder.
        masks: whether the files have the masks of segmentations.
        concurrent: how many items are asked, or wait for their turn, at once. The default is that
            of the client's limiter, or 16.
        limit: how many items are asked in this run at most.
        retry_failed: whether items that ended with an error are asked again. Their rows are
            replaced.
        stream: whether answers are streamed. It makes a difference to the partial answer of an
            error.
        total: how many items there are, for the counts.
        on_progress: is called in this task with the counts, once at the beginning and at the end,
            and in between some times a second while items end. It gets the same object each time.
        stop: ends the run early when it is set: no further request begins, and what is in flight is
            finished. An item that waits for its turn, or for a retry, is as if it had not begun.
            If `items` waits for its next one, the run ends after that. `abort` ends it in a second.
        abort: ends the run at once when it is set: what is in flight is cancelled, too. It is asked
            again by the next run.

    Returns:
        The counts, the files, and whether `stop` or `abort` ended the run.

    Raises:
        LedgerInUse: another run uses the same output.
        BulkError: the ledger or a file cannot be used, or was made for other arguments.
        ValueError: an argument is out of its range, or the output belongs to something else.
        OSError: the folder of the output cannot be made or read.
        TypeError: the client is not an `AsyncClient`, or an item is no `Item`.

    Any other error of the items and of the program, and a cancellation, cancels what runs. It is
    raised after what has ended is committed and written.
    """
    if not isinstance(client, AsyncClient):
        raise TypeError(f"client should be an AsyncClient, not {type(client).__name__}")
    require_number("rows_per_shard", rows_per_shard, 1)
    require_number("limit", limit, 0)
    started = monotonic()
    stop, abort = stop or threading.Event(), abort or threading.Event()
    place = open_output(output, format)
    columns = Columns(template.skill, masks)
    layout = Layout(template.skill, place.format, None if place.single else rows_per_shard, masks)
    place.ledger.parent.mkdir(parents=True, exist_ok=True)
    with Ledger(place.ledger, layout) as ledger:
        place.remove_unfinished()
        model = template.model or client.model or ""
        counts = Counts(total)
        tasks = Tasks(
            items,
            template,
            model,
            ledger,
            counts,
            retry_failed=retry_failed,
            limit=limit,
            stop=stop,
        )
        asker = Asker(client, template, model, stream, stop)
        files = Files(ledger, place, columns)
        places = client.concurrent if concurrent is None else concurrent
        run = _Run(tasks, asker, ledger, files, counts, on_progress, places, stop, abort)
        written = await run.run()
    return Summary(counts, monotonic() - started, tasks.is_interrupted, written, place.ledger)


class _Run:
    """The part of a run that its task does. The rules are at the top of the module."""

    def __init__(
        self,
        tasks: Tasks,
        asker: Asker,
        ledger: Ledger,
        files: Files,
        counts: Counts,
        on_progress: Callable[[Counts], object] | None,
        concurrent: int,
        stop: threading.Event,
        abort: threading.Event,
    ) -> None:
        self._tasks = tasks
        self._asker = asker
        self._ledger = ledger
        self._files = files
        self._counts = counts
        self._on_progress = on_progress
        self._next_commit = self._next_report = 0.0
        self._concurrent = concurrent
        self._stop = stop
        self._abort = abort
        self._asked: set[Running] = set()  # the workers that ask now
        self._ended: list[Ended] = []  # and not committed
        self._enough = AsyncFlag()  # has ended, so that workers would wait
        self._writing = threading.Lock()  # a thread goes on if its task is cancelled

    async def run(self) -> tuple[Path, ...]:
        """Ask all tasks. Returns the files."""
        self._report(monotonic())
        items = ReadAhead(self._tasks, _READ_AHEAD)
        endings = AsyncConcurrentMap(self._ask, items, concurrent=self._concurrent, ordered=False)
        watcher = AsyncWorker(partial(self._watch, endings), lambda: None)
        try:
            async with endings:
                async for _ in endings:
                    if self._ended:
                        await self._enough.wait(max(0.0, self._next_commit - monotonic()))
                        self._next_commit = monotonic() + _COMMIT_INTERVAL
                        self._enough.clear()
                        endings.ready()  # their places are free
                        await self._commit(self._write_full)
                    if (now := monotonic()) >= self._next_report:
                        self._report(now)
            files = await self._commit(self._write_all)
        except BaseException:
            with suppress(Exception):  # what ended the run is raised
                self._write_all(self._ended)
            raise
        finally:
            watcher.cancel()
        self._report(monotonic())
        return files

    async def _ask(self, task: Task, running: Running) -> None:
        self._asked.add(running)
        ended = None
        try:
            ended = await self._asker.ask(task, running)
        finally:
            self._asked.discard(running)
            if ended is None:
                self._tasks.is_interrupted = True
        if ended is not None:
            self._ended.append(ended)
            if len(self._ended) >= self._concurrent:
                self._enough.set()

    async def _watch(self, endings: AsyncConcurrentMap[None]) -> None:
        """Look now and then at the events, which a thread or a signal handler may set."""
        while not self._abort.is_set():
            if self._stop.is_set():
                for running in self._asked:
                    running.withdraw()
            await async_sleep(_WATCH_INTERVAL)
        self._stop.set()  # the iterable of the tasks ends, too
        self._tasks.is_interrupted = True
        await endings.aclose()

    async def _commit(self, write: Callable[[list[Ended]], T]) -> T:
        """Commit what has ended, and write files, in a thread. Others count what is committed."""
        ended = self._ended[:]
        written = await async_in_thread(write, ended)
        del self._ended[: len(ended)]
        self._tasks.release(one.row for one in ended)
        for one in ended:
            self._count(one)
        return written

    def _write_full(self, ended: list[Ended]) -> None:
        with self._writing:
            self._ledger.commit(one.row for one in ended)
            self._files.write_full(len(ended))

    def _write_all(self, ended: list[Ended]) -> tuple[Path, ...]:
        with self._writing:
            self._ledger.commit(one.row for one in ended)
            return self._files.write_all()

    def _count(self, ended: Ended) -> None:
        counts = self._counts
        if ended.failure is None:
            counts.done += 1
            counts.input_tokens += ended.input_tokens
            counts.output_tokens += ended.output_tokens
        else:
            counts.failed += 1
            counts.failures[ended.failure] = counts.failures.get(ended.failure, 0) + 1
            counts.examples.setdefault(ended.failure, f"{ended.row.id}: {ended.message}")

    def _report(self, now: float) -> None:
        self._counts.in_flight = len(self._asked)
        self._next_report = now + _REPORT_INTERVAL
        if self._on_progress is not None:
            self._on_progress(self._counts)
