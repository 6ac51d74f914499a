"""Broadcast and Broadcasts in threads. They are generated, so this is about threads only."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from moondream_transports import Client
from moondream_transports.relay import Broadcast, Broadcasts, Relay
from moondream_transports.relay._broadcast._sync.channel import Channel
from moondream_transports.relay._broadcast._sync.subscription import Subscription
from sansio_moondream import Dialect, Event, LocalProtocolError, NotFoundError
from sansio_moondream.relay import EventsEncoder, ReplayLimits
from tests.helpers import END, QUERY, delta
from tests.transports.adapters import LONGEST_WAIT
from tests.transports.fakes import ENDPOINT, FakeStream

from .upstreams import ALL, DELTAS, DONE, encoded


def stepwise(*events: Event) -> tuple[Iterator[Event], threading.Semaphore]:
    """Return events, each of which waits for the semaphore."""
    steps = threading.Semaphore(0)

    def given() -> Iterator[Event]:
        for event in events:
            assert steps.acquire(timeout=LONGEST_WAIT)
            yield event

    return given(), steps


def test_many_readers_get_all():
    events = [*DELTAS * 50, DONE]
    stream, steps = stepwise(*events)
    with Broadcast(stream) as broadcast, ThreadPoolExecutor(20) as threads:
        started = [broadcast.subscribe() for _ in range(20)]
        bodies = [threads.submit(b"".join, relay) for relay in started]
        for _ in events:
            steps.release()
        for body in bodies:
            assert body.result(LONGEST_WAIT) == b"".join(encoded(*events))
        assert b"".join(broadcast.subscribe("99")) == b"".join(encoded(*events)[99:])
    assert broadcast.readers == 0


class Silent(FakeStream):
    """After its steps, it is silent until it is closed."""

    def __init__(self, *steps: bytes) -> None:
        self.is_closed = threading.Event()
        super().__init__(*steps, self.wait)

    def wait(self) -> bytes:
        assert self.is_closed.wait(LONGEST_WAIT)
        raise OSError("closed")

    def close(self) -> None:
        super().close()
        self.is_closed.set()


def test_a_stream_of_a_client_is_closed_while_a_reader_waits():
    """Closing interrupts the thread that reads, and wakes the one that waits."""
    transport = Silent(delta("A"))
    broadcast = Broadcast(Client(transport, ENDPOINT).stream(QUERY))
    with broadcast, ThreadPoolExecutor(1) as threads:
        relay = broadcast.subscribe()
        assert next(relay) == ALL[0]
        rest = threads.submit(b"".join, relay)
        broadcast.cancel()
        assert b"stream_cancelled" in rest.result(LONGEST_WAIT)
    assert transport.closed == 1


def test_a_reader_leaves_while_it_waits():
    stream, steps = stepwise(*DELTAS, DONE)
    with Broadcast(stream, cancel_after=60) as broadcast:
        relay: Relay = broadcast.subscribe()
        steps.release()
        assert next(relay) == ALL[0]
        relay.close()
        assert broadcast.readers == 0
        steps.release(2)
        assert b"".join(broadcast.subscribe(1)) == b"".join(ALL[1:])


def test_a_whole_answer():
    transport = FakeStream(delta("A"), END, b"")
    with Broadcast(Client(transport, ENDPOINT).stream(QUERY)) as broadcast:
        assert b"".join(broadcast.subscribe()).startswith(ALL[0])
    assert transport.closed == 1


def test_it_is_cancelled_when_nobody_listens():
    transport = Silent(delta("A"))
    with Broadcast(Client(transport, ENDPOINT).stream(QUERY), cancel_after=0.01) as broadcast:
        assert transport.is_closed.wait(LONGEST_WAIT)
        assert b"stream_cancelled" in b"".join(broadcast.subscribe())


def test_by_their_ids():
    with Broadcasts(name="w1", max_broadcasts=2) as broadcasts:
        id_ = broadcasts.open(iter([*DELTAS, DONE]))
        assert id_.startswith("w1-")
        assert b"".join(broadcasts.get(id_).subscribe()) == b"".join(ALL)
        transport = Silent(delta("A"))
        other = broadcasts.open(Client(transport, ENDPOINT).stream(QUERY))
        relay = broadcasts.get(other).subscribe()
        assert next(relay) == ALL[0]
        broadcasts.cancel(other)
        assert b"stream_cancelled" in next(relay)
        with pytest.raises(NotFoundError):
            broadcasts.get(other)
        assert len(broadcasts) == 1
    assert transport.closed == 1


def test_a_reader_that_is_closed_before_it_joins_does_not_wait():
    """Another thread closed it in between. Nothing else would end its wait."""
    channel = Channel(ReplayLimits(), lambda: None)
    reader = Subscription(channel, EventsEncoder(), Dialect.CHAT, None)
    reader.close()
    with pytest.raises(LocalProtocolError, match="has left"):
        reader.next_part()
    assert channel.buffer.readers == 0


def test_a_stream_that_is_closed_while_a_thread_reads_it_is_no_mistake(
    caplog: pytest.LogCaptureFixture,
):
    is_read, is_closed = threading.Event(), threading.Event()

    class Events:
        def __iter__(self) -> Events:
            return self

        def __next__(self) -> Event:
            is_read.set()
            assert is_closed.wait(LONGEST_WAIT)
            raise LocalProtocolError("the stream is not open")

        def close(self) -> None:
            is_closed.set()

    with Broadcast(Events()) as broadcast:
        assert is_read.wait(LONGEST_WAIT)
        broadcast.cancel()
        assert b"stream_cancelled" in b"".join(broadcast.subscribe())
    assert caplog.records == []
