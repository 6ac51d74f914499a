"""Idle connections, kept for the next exchange with the same server.

1. This is only the bookkeeping. Who takes a connection checks that nothing can be read from it, and
   who gets one back from here closes it.
2. The connection that was used last is used first: its server is the least likely to close it soon.
3. There is no timer. Connections that were idle for too long are closed when any is taken or kept.
4. After `clear` none is kept any more.
5. A process that was forked must not write to the connections of its parent, so they are not found
   there. The lock may be taken again by its thread, as the collector may call `clear` anywhere.
"""

from __future__ import annotations

import os
from threading import RLock
from time import monotonic
from typing import Generic, TypeVar

from .route import Route

C = TypeVar("C")


class Pool(Generic[C]):
    """Up to `max_idle` connections for each route, for `idle_seconds`."""

    def __init__(self, max_idle: int, idle_seconds: float) -> None:
        self._max_idle = max_idle
        self._idle_seconds = idle_seconds
        # With the moment when each was put here, the oldest first.
        self._idle: dict[tuple[int, Route], list[tuple[float, C]]] = {}
        self._lock = RLock()

    def take(self, route: Route) -> C | None:
        """Return the connection that was used last, if there is one."""
        with self._lock:
            kept = self._idle.get((os.getpid(), route))
            return kept.pop()[1] if kept else None

    def keep(self, route: Route, connection: C) -> list[C]:
        """Keep a connection whose exchange is over. Return those to close instead."""
        with self._lock:
            kept = self._idle.setdefault((os.getpid(), route), [])
            kept.append((monotonic(), connection))
            surplus = [kept.pop(0)[1]] if len(kept) > self._max_idle else []
            return surplus + self.expired()

    def expired(self) -> list[C]:
        """Remove the connections that were idle for too long, and return them."""
        with self._lock:
            return self._remove_until(monotonic() - self._idle_seconds)

    def clear(self) -> list[C]:
        """Remove all connections, return them, and keep none from now on."""
        with self._lock:
            self._max_idle = 0
            return self._remove_until(float("inf"))

    def _remove_until(self, moment: float) -> list[C]:
        removed: list[C] = []
        for key, kept in list(self._idle.items()):
            while kept and kept[0][0] <= moment:
                removed.append(kept.pop(0)[1])
            if not kept:
                del self._idle[key]
        return removed
