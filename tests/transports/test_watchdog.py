"""What ends the waits of sync httpx, and never anything else."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from time import monotonic

import pytest

from moondream_transports._adapters import watchdog
from moondream_transports._adapters.watchdog import Watch

from .adapters import LONGEST_WAIT


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a connection."""
    with ExitStack() as stack:
        one, other = socket.socketpair()
        stack.enter_context(one)
        stack.enter_context(other)
        one.settimeout(LONGEST_WAIT)
        other.settimeout(LONGEST_WAIT)
        yield one, other


def test_wait_ends_at_its_deadline(pair: tuple[socket.socket, socket.socket]) -> None:
    one, _ = pair
    watch = Watch()
    watch.attach(one)
    began = monotonic()
    watch.begin(began + 0.1)
    assert one.recv(1) == b""  # shut down
    assert watch.has_expired
    assert 0.1 <= monotonic() - began < LONGEST_WAIT
    watch.end()
    watch.close()


def test_wait_that_has_ended_is_not_shut_down(pair: tuple[socket.socket, socket.socket]) -> None:
    one, other = pair
    late, early = Watch(), Watch()
    late.attach(one)
    early.attach(one)
    early.begin(monotonic() + 1)
    early.end()
    ended = socket.socketpair()
    late_pair = Watch()
    late_pair.attach(ended[0])
    late_pair.begin(monotonic() + 1.1)
    ended[0].settimeout(LONGEST_WAIT)
    assert ended[0].recv(1) == b""  # by now the deadline of the other one has passed, too
    other.send(b"x")
    assert one.recv(1) == b"x"
    assert (early.has_expired, late_pair.has_expired) == (False, True)
    for watch in (late, early, late_pair):
        watch.close()
    for end in ended:
        end.close()


def test_number_of_a_closed_socket_may_be_used_again(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """The watch has a descriptor of its own, so it never meets a stranger."""
    one, other = pair
    watch = Watch()
    watch.attach(one)
    number = one.fileno()
    watch.begin(monotonic() + 0.1)
    one.close()
    with ExitStack() as stack:
        strangers = [stack.enter_context(end) for end in socket.socketpair()]
        assert number in [end.fileno() for end in strangers]
        assert other.recv(1) == b""  # the watch has shut its own connection down
        strangers[0].send(b"x")
        assert strangers[1].recv(1) == b"x"
    watch.close()


def test_deadlines_move_both_ways(pair: tuple[socket.socket, socket.socket]) -> None:
    one, _ = pair
    watch = Watch()
    watch.attach(one)
    began = monotonic()
    watch.begin(began + 3600)
    watch.begin(None)
    watch.begin(began + 3600)
    watch.begin(began + 0.1)
    assert one.recv(1) == b""
    watch.close()


def test_connection_that_comes_too_late_is_shut_down_at_once(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    one, other = pair
    watch = Watch()
    watch.shut_down()
    watch.attach(one)
    assert one.recv(1) == b""
    watch.close()
    one.close()
    watch.attach(other)
    other.close()
    watch.attach(other)  # closed meanwhile: there is nothing to watch
    watch.close()


def test_thread_ends_with_the_last_wait(pair: tuple[socket.socket, socket.socket]) -> None:
    watch = Watch()
    watch.attach(pair[0])
    watch.begin(monotonic() + 1)
    (thread,) = [thread for thread in threading.enumerate() if "watchdog" in thread.name]
    thread.join(LONGEST_WAIT)
    assert not thread.is_alive()
    assert watch.has_expired
    watch.close()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_process_ends_no_wait_of_its_parent(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = pair
    watch = Watch()
    watch.attach(one)
    watch.begin(monotonic() + 3600)
    if not (child := os.fork()):
        try:
            monkeypatch.setattr(watchdog, "monotonic", lambda: monotonic() + 7200)
            mine = socket.socketpair()
            mine[0].settimeout(LONGEST_WAIT)
            own = Watch()
            own.attach(mine[0])
            own.begin(monotonic())
            os._exit(0 if mine[0].recv(1) == b"" else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not watch.has_expired
    other.send(b"x")
    assert one.recv(1) == b"x"
    watch.close()


def test_no_thread_can_be_started(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From Python 3.12 on, no `atexit` handler can start one."""

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    watch = Watch()
    with monkeypatch.context() as patch:
        patch.setattr(watchdog, "_thread", None)
        patch.setattr(threading.Thread, "start", start)
        watch.begin(monotonic() + 60)
    assert not watch.can_wait
    assert watch not in watchdog._waiting
    watch.end()
    one, _ = pair
    later = Watch()
    later.attach(one)
    later.begin(monotonic() + 0.1)
    assert one.recv(1) == b""
    assert later.can_wait
    later.close()
