"""What a run asks about: the items that are not in its ledger."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

from msgspec import Struct

from ._ledger import Ledger
from ._template import Template
from ._values import Counts, Item, Row, Status

_SHOWN = 5  # ids that came twice


class Task(Struct, frozen=True):
    """An item to ask about, and the digest of its request."""

    item: Item
    digest: str


class Tasks:
    """Iterate once over the items that have to be asked, and count the others.

    Args:
        items: of the input.
        template: of their requests.
        model: that is asked.
        ledger: has the items that ended.
        counts: of the run.
        retry_failed: whether items that ended with an error are asked again.
        limit: how many items there are at most.
        stop: ends the iteration when it is set.

    Attributes:
        is_interrupted: `stop` was set when there were more.
    """

    is_interrupted = False

    def __init__(
        self,
        items: Iterable[Item],
        template: Template,
        model: str,
        ledger: Ledger,
        counts: Counts,
        *,
        retry_failed: bool,
        limit: int | None,
        stop: threading.Event,
    ) -> None:
        self._items = items
        self._template = template
        self._model = model
        self._ledger = ledger
        self._counts = counts
        self._retry_failed = retry_failed
        self._limit = limit
        self._stop = stop
        self._open: set[tuple[str, str]] = set()  # given, and perhaps not in the ledger

    def __iter__(self) -> Iterator[Task]:
        given = 0
        if self._limit == 0:
            return
        for item in self._items:
            if self._stop.is_set():
                self.is_interrupted = True
                return
            task = Task(item, self._template.digest(item))
            if self._has_to_be_asked(task):
                self._open.add((item.id, task.digest))
                yield task
                given += 1
                if given == self._limit:
                    return

    def release(self, rows: Iterable[Row]) -> None:
        """Release the tasks of rows that were committed: now the ledger has them."""
        for row in rows:
            self._open.discard((row.id, row.request))

    def _has_to_be_asked(self, task: Task) -> bool:
        """Look for a task in the ledger, and count it if it is there."""
        name, digest = task.item.id, task.digest
        is_first = (name, digest) not in self._open
        found = self._ledger.find(name, digest, self._model)
        if found is not None:
            is_first = is_first and not found.is_new and self._ledger.is_first(name, digest)
        if not is_first:
            self._counts.duplicates += 1
            if len(self._counts.duplicate_ids) < _SHOWN:
                self._counts.duplicate_ids.append(name)
            return False
        if found is None or (self._retry_failed and found.status is Status.FAILED):
            return True
        self._counts.skipped += 1
        self._counts.failed_before += found.status is Status.FAILED
        return False
