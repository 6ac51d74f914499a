# Generated from ../_async/broadcasts.py by `make generate`; do not edit.
"""The broadcasts of one process, by their ids.

1. An id has 128 random bits, so that who knows it was given it.
2. A broadcast stays for its `keep_seconds` after the end, unless a bound makes it go before: then
   the oldest that has ended goes first. One that runs never goes for another.
3. Where one has gone, its readers still get the rest: see `ReplayBuffer.close`.
4. A worker looks once a second after what is to go. It runs while there are broadcasts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from secrets import token_urlsafe
from threading import RLock
from time import monotonic
from types import TracebackType
from typing import Any, Final, Self

from moondream_transports._client._sync.stream import ClientStream
from moondream_transports._concurrency import Flag
from moondream_transports._workers import Worker
from sansio_moondream import Event
from sansio_moondream.relay import Format, ReplayLimits, StreamEncoder
from sansio_moondream.relay._refusals import not_found, stopping, too_many

from .broadcast import CLOSING_SECONDS, Broadcast

_NAME: Final = re.compile("[A-Za-z0-9_]*")
_ID_BYTES: Final = 16
_SWEEP_SECONDS: Final = 1.0


class Broadcasts:
    """Keep the broadcasts of a server, each by an id that nobody can guess.

    Leaving the block, or `close`, ends those that run. Their readers get an error that says that
    the server stops.

    Args:
        name: that the ids begin with, and a dash. With the name of each process in its ids, a proxy
            knows where a stream is: see docs/how-to/resume.md.
        limits: of each broadcast.
        cancel_after: of each broadcast, see `Broadcast`.
        max_broadcasts: how many there may be, running or kept.
        max_bytes: of all records that are kept. Broadcasts that have ended go to keep it. Those
            that run have a bound each: `limits.max_bytes`.
        retry_after: seconds, for who finds too many that run.

    Raises:
        ValueError: The name has other characters than ASCII letters, digits and underscores.
    """

    def __init__(
        self,
        *,
        name: str = "",
        limits: ReplayLimits | None = None,
        cancel_after: float | None = None,
        max_broadcasts: int = 1000,
        max_bytes: int = 256 * 1024 * 1024,
        retry_after: float = 1.0,
    ) -> None:
        if not _NAME.fullmatch(name):
            raise ValueError(f"name should have letters, digits and underscores, not {name!r}")
        self._prefix = f"{name}-" if name else ""
        self._limits = limits
        self._cancel_after = cancel_after
        self._max_broadcasts = max_broadcasts
        self._max_bytes = max_bytes
        self._retry_after = retry_after
        self._mutex = RLock()  # a finalizer may run in its blocks, in any thread
        self._broadcasts: dict[str, Broadcast] = {}
        self._leaving: list[Broadcast] = []  # without an id, but with readers
        self._is_swept = self._is_closed = False
        self._closed: Flag | None = None  # for the worker

    def __len__(self) -> int:
        return len(self._broadcasts)

    @property
    def kept_bytes(self) -> int:
        """The size of all records that are kept."""
        return sum(broadcast.kept_bytes for broadcast in list(self._broadcasts.values()))

    def open(
        self,
        stream: ClientStream[Any] | Iterable[Event],
        format: Format | str | StreamEncoder = Format.EVENTS,
    ) -> str:
        """Start a broadcast, and return its id.

        Args:
            stream: the upstream, which is not entered yet, or any iterable of events.
            format: as in `relay`.

        Raises:
            ServerError: There are too many that run, or the server stops.
            ValueError: As `relay` does.
        """
        broadcast = Broadcast(stream, format, limits=self._limits, cancel_after=self._cancel_after)
        with self._mutex:
            if self._is_closed:
                raise stopping()
            self._remove_surplus(self._max_broadcasts - 1)
            if len(self._broadcasts) >= self._max_broadcasts:
                raise too_many(self._retry_after)
            id_ = self._prefix + token_urlsafe(_ID_BYTES)
            broadcast.start()
            self._broadcasts[id_] = broadcast
            is_swept, self._is_swept = self._is_swept, True
        if not is_swept:
            self._closed = closed = Flag()
            Worker(self._sweep, closed.set)
        return id_

    def get(self, id: str) -> Broadcast:
        """Return the broadcast with that `id`.

        Raises:
            NotFoundError: There is none, or it is no longer kept.
        """
        broadcast = self._broadcasts.get(id)
        if broadcast is None:
            raise not_found()
        return broadcast

    def cancel(self, id: str) -> None:
        """Cancel the upstream of the broadcast with that `id`, and keep nothing.

        Its readers get an error that says so.

        Raises:
            NotFoundError: As `get` does.
        """
        with self._mutex:
            broadcast = self.get(id)
            self._remove(id)
        broadcast.cancel()

    def close(self) -> None:
        """End all that run, as the server stops, and accept no more. Further calls do nothing."""
        with self._mutex:
            self._is_closed = True
            running = [*self._broadcasts.values(), *self._leaving]
            self._broadcasts.clear()
            self._leaving.clear()
            if self._closed is not None:
                self._closed.set()
        for broadcast in running:
            broadcast.stop()
        deadline = monotonic() + CLOSING_SECONDS
        for broadcast in running:
            broadcast.wait_closed(max(0.0, deadline - monotonic()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _sweep(self) -> None:
        closed = self._closed
        while closed is not None and not closed.wait(_SWEEP_SECONDS):
            with self._mutex:
                self._remove_surplus(self._max_broadcasts)
                self._is_swept = bool(self._broadcasts or self._leaving)
                if not self._is_swept:
                    return

    def _remove_surplus(self, max_broadcasts: int) -> None:
        for broadcast in self._broadcasts.values():
            broadcast.expire()
        for broadcast in self._leaving:
            broadcast.expire(early=True)
        self._leaving = [each for each in self._leaving if not each.is_expired]
        ended = [id_ for id_, each in self._broadcasts.items() if each.is_ended]
        kept_bytes = self.kept_bytes
        for id_ in ended:
            broadcast = self._broadcasts[id_]
            is_surplus = len(self._broadcasts) > max_broadcasts or kept_bytes > self._max_bytes
            if is_surplus or broadcast.is_closed:
                kept_bytes -= broadcast.kept_bytes
                self._remove(id_)

    def _remove(self, id: str) -> None:
        broadcast = self._broadcasts.pop(id)
        broadcast.expire(early=True)
        if not broadcast.is_expired:
            self._leaving.append(broadcast)
