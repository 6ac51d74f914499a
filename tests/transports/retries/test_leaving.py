"""A client that is closed, cancelled or interrupted while it waits for the next attempt."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

import pytest

from moondream_transports import Client, Timeouts, VirtualClock
from sansio_moondream import (
    ConnectionLost,
    LocalProtocolError,
    ServerError,
)
from tests.helpers import QUERY
from tests.transports.adapters import Adapter
from tests.transports.fakes import ENDPOINT, FakeStream
from tests.transports.retries.exchanges import (
    EACH,
    LONG,
    NO_BACKOFF,
    AsyncResponseSequence,
    Calls,
    Notes,
    ResponseSequence,
    each_async_backend,
    each_backend,
    http_error,
    refused,
    whole,
)


@pytest.mark.parametrize("first", [refused, lambda: http_error(503)], ids=["opening", "reading"])
class TestLeaving:
    @each_async_backend
    def test_cancelled(self, backend: Adapter, first: Callable[[], FakeStream]) -> None:
        async def main(cancel: Callable[[], object]) -> None:
            notes.then = cancel
            client = backend.client(
                AsyncResponseSequence(sequence), ENDPOINT, retries=LONG, hooks=notes
            )
            await client.send(QUERY)

        notes = Calls(lambda: None)
        sequence = ResponseSequence(first())
        began = monotonic()
        backend.run(backend.cancelled, main)
        assert monotonic() - began < 20
        assert sequence.open == 0
        assert (notes.called[-2:], notes.called.count("end")) == (["retry", "end"], 1)
        assert notes.timeline is not None
        assert not isinstance(notes.timeline.error, Exception)

    @each_async_backend
    def test_closed_by_another_task(
        self, backend: Adapter, first: Callable[[], FakeStream]
    ) -> None:
        async def main() -> None:
            client = backend.client(
                AsyncResponseSequence(sequence), ENDPOINT, retries=LONG, hooks=notes
            )
            stream = client.stream(QUERY)

            async def read() -> None:
                with pytest.raises(LocalProtocolError, match="not open"):
                    async with stream:
                        await stream.result()

            async def close() -> None:
                while not notes.retries:
                    await backend.sleep(0.001)
                await stream.aclose()

            await backend.together(read, close)

        notes = Notes()
        sequence = ResponseSequence(first())
        began = monotonic()
        backend.run(main)
        assert monotonic() - began < 20
        assert sequence.open == 0
        assert notes.called.count("end") == 1

    def test_closed_by_another_thread(self, first: Callable[[], FakeStream]) -> None:
        sequence = ResponseSequence(first())
        has_failed = threading.Event()
        client = EACH[0].client(
            sequence, ENDPOINT, retries=LONG, hooks=(notes := Calls(has_failed.set))
        )
        stream = client.stream(QUERY).sync  # type: ignore[attr-defined]

        def close() -> None:
            assert has_failed.wait(20)
            stream.close()

        closer = threading.Thread(target=close)
        closer.start()
        began = monotonic()
        with pytest.raises(LocalProtocolError, match="not open"), stream:
            stream.result()
        closer.join()
        assert monotonic() - began < 20
        assert sequence.open == 0
        assert notes.called.count("end") == 1

    @each_backend
    def test_closed_while_an_error_is_read(
        self, backend: Adapter, first: Callable[[], FakeStream]
    ) -> None:
        """What was read of it still says 503, but nobody wants another attempt."""

        def close() -> bytes:
            with pytest.raises(StopIteration):  # nothing in it waits
                stream.aclose().send(None)
            raise ConnectionLost("closed while it was read")

        async def main() -> None:
            with pytest.raises(ServerError):
                async with stream:
                    await stream.result()

        sequence = ResponseSequence(first(), FakeStream(b"sorry", close, status_code=503), whole())
        transport = AsyncResponseSequence(sequence) if backend.is_async else sequence
        notes = Notes()
        stream = backend.client(transport, ENDPOINT, retries=NO_BACKOFF, hooks=notes).stream(QUERY)
        backend.run(main)
        assert len(sequence.begun) == 2
        assert sequence.open == 0
        assert notes.called.count("end") == 1

    @each_backend
    @pytest.mark.parametrize("when", ["before the wait", "in the next attempt"])
    def test_closed_by_the_program_itself(
        self, backend: Adapter, first: Callable[[], FakeStream], when: str
    ) -> None:
        """So that a hook can stop what it sees being tried again."""
        second = whole()
        sequence = ResponseSequence(first(), second)
        transport = AsyncResponseSequence(sequence) if backend.is_async else sequence
        notes = Calls(lambda: close() if when == "before the wait" else None)
        stream = backend.client(transport, ENDPOINT, retries=NO_BACKOFF, hooks=notes).stream(QUERY)
        send = second.send

        def close() -> None:
            with pytest.raises(StopIteration):  # nothing in it waits
                stream.aclose().send(None)

        def send_and_close(request: Any, timeouts: Timeouts) -> FakeStream:
            close()
            return send(request, timeouts)

        async def main() -> None:
            with pytest.raises(LocalProtocolError, match="not open"):
                async with stream:
                    await stream.result()

        second.send = send_and_close  # type: ignore[method-assign]
        backend.run(main)
        assert len(sequence.begun) == (1 if when == "before the wait" else 2)
        assert sequence.open == 0
        assert notes.called.count("end") == 1


def test_closed_by_another_thread_that_is_not_done_with_it() -> None:
    """The reader is woken by the closing of the connection, and does not take what it has read for
    a reason to try again.
    """
    closing, over = threading.Event(), threading.Event()

    class Slow(FakeStream):
        def close(self) -> None:
            super().close()
            closing.set()
            assert over.wait(20)

    def read() -> bytes:
        closer.start()
        assert closing.wait(20)
        raise ConnectionLost("closed while it was read")

    sequence = ResponseSequence(Slow(b"sorry", read, status_code=503), whole())
    notes = Notes()
    stream = EACH[0].client(sequence, ENDPOINT, retries=NO_BACKOFF, hooks=notes).stream(QUERY).sync  # type: ignore[attr-defined]
    closer = threading.Thread(target=stream.close)
    with pytest.raises(ServerError), stream:
        stream.result()
    over.set()
    closer.join()
    assert notes.called == ["start", "head 503", "end"]


@pytest.mark.skipif(sys.platform == "win32", reason="a wait for a lock cannot be interrupted there")
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_a_real_wait() -> None:
    program = f"""
import os, signal, threading, time
from moondream_transports import Client, Hooks, RetryPolicy
from sansio_moondream import ConnectError, Endpoint, QueryRequest

class Refuses:
    def send(self, request, timeouts):
        raise ConnectError("refused")

class Interrupts(Hooks):
    def on_retry(self, timeline, error, seconds):
        threading.Timer(0.05, os.kill, (os.getpid(), {int(signal.SIGINT)})).start()
    def on_end(self, timeline):
        print("end", type(timeline.error).__name__)

began = time.monotonic()
try:
    endpoint = Endpoint("http://localhost:2020/v1")
    retries = RetryPolicy(initial_backoff=60, max_backoff=60)
    client = Client(Refuses(), endpoint, retries=retries, hooks=Interrupts())
    client.send(QueryRequest(question="?"))
except KeyboardInterrupt:
    print("interrupted", time.monotonic() - began < 20)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=os.environ
    )
    assert (done.stdout.split("\n"), done.returncode) == (
        ["end KeyboardInterrupt", "interrupted True", ""],
        0,
    ), done.stderr


def test_closed_between_the_wait_and_the_next_attempt() -> None:
    """As another thread may do it. Here the clock does, when the deadlines are begun anew."""

    class ClosingClock(VirtualClock):
        is_armed = False

        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            self.is_armed = True

        def monotonic(self) -> float:
            if self.is_armed:
                self.is_armed = False
                stream.close()
            return super().monotonic()

    sequence = ResponseSequence(http_error(503), whole(), clock=ClosingClock())
    stream = Client(sequence, ENDPOINT, retries=NO_BACKOFF).stream(QUERY)
    with pytest.raises(LocalProtocolError, match="not open"), stream:
        stream.result()
    assert sequence.open == 0
