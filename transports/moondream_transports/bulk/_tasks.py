"""What a run asks about: the items that are not in its ledger."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

from msgspec import Struct

from ._ledger import Ledger
from ._template import Template
from ._values import Counts, Item, Status


class Task(Struct, frozen=True):
    """An item to ask about, and the digest of its request."""

    item: Item
    digest: str


class Tasks:
    """Iterate once over the items that have to be asked, and count the others as skipped.

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
        begun: how many have been given, without those that were withdrawn.
        is_interrupted: `stop` was set when there were more.
    """

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
        stop: threading.Event | None,
    ) -> None:
        self._items = items
        self._template = template
        self._model = model
        self._ledger = ledger
        self._counts = counts
        self._retry_failed = retry_failed
        self._limit = limit
        self._stop = stop
        self._lock = threading.Lock()
        self.begun = 0
        self.is_interrupted = False

    def __iter__(self) -> Iterator[Task]:
        if self._limit == 0:
            return
        for item in self._items:
            if self._stop is not None and self._stop.is_set():
                self.is_interrupted = True
                return
            task = Task(item, self._template.digest(item))
            status = self._status(task)
            if status is None or (self._retry_failed and status is Status.FAILED):
                with self._lock:
                    self.begun += 1
                yield task
                if self.begun == self._limit:
                    return
            else:
                self._counts.skipped += 1
                self._counts.failed_before += status is Status.FAILED

    def withdraw(self) -> bool:
        """Return whether a task must not begin, as the run was stopped after it was given."""
        if self._stop is None or not self._stop.is_set():
            return False
        with self._lock:
            self.begun -= 1
        self.is_interrupted = True
        return True

    def _status(self, task: Task) -> Status | None:
        """Return how a task ended in an earlier run, or None.

        Raises:
            ValueError: the same id with the same request came before.
        """
        name = task.item.id
        if not self._ledger.is_first(name, task.digest):
            raise ValueError(
                f"the id {name!r} comes twice in the input, with the same question. Ids tell the"
                " rows of the output apart, so each item needs its own. All answers before it are"
                " in the ledger: start the run again with other ids, and it goes on from there"
            )
        return self._ledger.status(name, task.digest, self._model)
