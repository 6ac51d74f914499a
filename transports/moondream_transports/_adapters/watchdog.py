"""Ends the waits of a library that has no deadlines for them.

1. A `Watch` belongs to one exchange. It has a descriptor of its own for the exchange's connection
   (`socket.fromfd`), so what it shuts down is that connection, even if the library closes its own
   descriptor meanwhile and the system gives the number to another socket.
2. It shuts the connection down only between `begin` and `end` of a wait, under the lock. So a
   connection that is back in its pool is never shut down.
3. One thread watches over all waits of the process. It starts with the first wait. It ends when it
   wakes up at a deadline and no wait is left. Where no thread can be started, as in an `atexit`
   handler, `can_wait` is False, and the library's own timeouts have to do.
4. A forked process begins with no waits and a lock of its own. A copy of its parent's wait would
   never be ended there, and its deadline would shut down the connection of the parent.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from contextlib import suppress
from math import inf
from threading import Condition, Thread
from time import monotonic

_NO_LINGERING = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)

_changed = Condition()  # its lock guards all that follows, and every Watch
_waiting: set[Watch] = set()
_thread: Thread | None = None
_wakes_at = inf


class Watch:
    """Shuts one connection down when a wait for it passes its deadline."""

    def __init__(self) -> None:
        self.has_expired = False
        self.is_shut = False
        self.can_wait = True
        self._socket: socket.socket | None = None
        self.deadline = inf

    @property
    def is_attached(self) -> bool:
        """Whether the connection is known."""
        return self._socket is not None

    def attach(self, connection: socket.socket) -> None:
        """Watch over this connection, in place of any other."""
        with suppress(OSError):  # it may be closed already
            ours = socket.fromfd(connection.fileno(), connection.family, connection.type)
            with _changed:
                self._close()
                self._socket = ours
                if self.is_shut or self.has_expired:
                    self._shut_down()

    def begin(self, deadline: float | None) -> None:
        """Begin a wait, or move the deadline of the one that has begun."""
        global _thread  # noqa: PLW0603 - there is one for the process
        with _changed:
            self.deadline = inf if deadline is None else deadline
            if self.deadline == inf:
                _waiting.discard(self)
                return
            _waiting.add(self)
            if _thread is None or not _thread.is_alive():
                thread = Thread(target=_watch, name="moondream watchdog", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the interpreter is ending, or there are too many threads
                    _waiting.discard(self)
                    self.can_wait = False
                else:
                    _thread = thread
            elif self.deadline < _wakes_at:
                _changed.notify()

    def end(self) -> None:
        """End the wait: the connection is not shut down any more."""
        with _changed:
            _waiting.discard(self)

    def shut_down(self) -> None:
        """Shut the connection down now. This wakes a thread that reads from it."""
        with _changed:
            self.is_shut = True
            self._shut_down()

    def expire(self) -> None:
        """Shut the connection down because the deadline has passed. The lock is held."""
        self.has_expired = True
        _waiting.discard(self)
        self._shut_down()

    def close(self) -> None:
        """Close the descriptor. The connection lives until the library closes its own."""
        with _changed:
            _waiting.discard(self)
            self._close()

    def _shut_down(self) -> None:
        if self._socket is not None:
            with suppress(OSError):  # the other end may have closed it
                # When the library closes it, too, the other end is not waited for.
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGERING)
                self._socket.shutdown(socket.SHUT_RDWR)
                # Megabytes may have come already, which the library would decode for seconds.
                while self._socket.recv(1024 * 1024):  # never waits after the shutdown
                    pass

    def _close(self) -> None:
        ours, self._socket = self._socket, None
        if ours is not None:
            ours.close()


def _watch() -> None:
    global _wakes_at, _thread  # noqa: PLW0603
    with _changed:
        while _waiting:
            now = monotonic()
            for watch in [watch for watch in _waiting if watch.deadline <= now]:
                watch.expire()
            _wakes_at = min((watch.deadline for watch in _waiting), default=now)
            _changed.wait(_wakes_at - now)
        _wakes_at, _thread = inf, None


def _forget_parent() -> None:
    global _changed, _wakes_at, _thread
    _waiting.clear()
    _changed, _wakes_at, _thread = Condition(), inf, None


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_forget_parent)
