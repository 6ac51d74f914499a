"""RecordingTransport and its async twin: the exchange stays as it is, and all of it is kept."""

from __future__ import annotations

import threading
from collections.abc import Callable
from math import inf
from typing import Any

import pytest

from moondream_transports import (
    Client,
    RecordingTransport,
    ReplayTransport,
    Timeouts,
    VirtualClock,
)
from moondream_transports.conformance._fault_server import (
    FaultServer,
    Peer,
    chunk,
    head,
)
from sansio_moondream import (
    ConnectionLost,
    Endpoint,
    HTTPRequest,
    MoondreamError,
)
from sansio_moondream.recording import (
    LEFT,
    Chunk,
    Ending,
    RecordedTimeouts,
    Recorder,
    Recording,
    RecordingHeader,
)
from tests.helpers import END, QUERY, TRACES, Trace, delta
from tests.transports.adapters import ADAPTERS, Adapter
from tests.transports.recording.transports import HEAD, LOCAL, recording_of


class FakeStream:
    """A transport's stream, and what is done with it."""

    status_code = 200
    connected_at = 7.0

    def __init__(self, *steps: Any) -> None:
        self.steps = list(steps)
        self.calls: list[Any] = []
        self.headers = (pair for pair in HEAD)  # readable once

    def read(self, timeout: float | None) -> bytes:
        self.calls.append(timeout)
        step = self.steps.pop(0)
        if isinstance(step, BaseException):
            raise step
        chunk: bytes = step
        return chunk

    def close(self) -> None:
        self.calls.append("close")


class FakeTransport:
    """A transport that gives one stream, or raises."""

    def __init__(
        self, given: FakeStream | BaseException, clock: VirtualClock | None = None
    ) -> None:
        self.given = given
        self.clock = clock or VirtualClock()
        self.asked: list[Any] = []

    def send(self, request: HTTPRequest, timeouts: Timeouts) -> FakeStream:
        self.asked.append((request, timeouts))
        self.clock.sleep(0.5)
        if isinstance(self.given, BaseException):
            raise self.given
        return self.given


HTTP = QUERY.to_http(LOCAL)


def opened(*steps: Any) -> tuple[Any, FakeStream, list[Recording]]:
    fake, saved = FakeStream(*steps), list[Recording]()
    return RecordingTransport(FakeTransport(fake), saved.append).send(HTTP, Timeouts()), fake, saved


class TestNothingIsChanged:
    def test_what_goes_in(self) -> None:
        transport = FakeTransport(FakeStream(b"A", b""))
        timeouts = Timeouts(connect=1)
        stream = RecordingTransport(transport, print).send(HTTP, timeouts)
        assert transport.asked == [(HTTP, timeouts)]
        assert (stream.status_code, tuple(stream.headers), stream.connected_at) == (200, HEAD, 7.0)
        assert stream.read(3) == b"A"
        assert stream.read(None) == b""
        assert transport.given.calls == [3, None]  # type: ignore[union-attr]

    @pytest.mark.parametrize(
        "error",
        [
            ConnectionLost("x"),
            TimeoutError("x"),
            KeyboardInterrupt(),
            OSError("x"),
            ReferenceError("a bug"),
        ],
    )
    def test_errors(self, error: BaseException) -> None:
        stream, fake, saved = opened(b"A", error)
        stream.read(None)
        with pytest.raises(type(error)) as caught:
            stream.read(None)
        assert caught.value is error
        assert len(saved) == 1
        stream.close()
        assert fake.calls[-1] == "close"
        assert len(saved) == 1
        with pytest.raises(type(error)) as caught:
            RecordingTransport(FakeTransport(error), saved.append).send(HTTP, Timeouts())
        assert caught.value is error
        assert (saved[1].header.status_code, saved[1].ending.seconds) == (None, 0.5)
        assert saved[1].header.timeouts == RecordedTimeouts(10, 60, 30, 600)

    def test_closing_that_fails(self) -> None:
        stream, fake, saved = opened()
        fake.close = lambda: fake.read(None)  # type: ignore[method-assign, assignment]
        fake.steps = [RuntimeError("a bug")]
        with pytest.raises(RuntimeError, match="a bug"):
            stream.close()
        assert saved[0].ending.fault == LEFT

    def test_reading_on_is_not_recorded(self) -> None:
        stream, _, saved = opened(b"A", TimeoutError(), b"B", b"", b"")
        stream.read(1)
        with pytest.raises(TimeoutError):
            stream.read(1)
        assert [stream.read(1), stream.read(1), stream.read(1)] == [b"B", b"", b""]
        assert [chunk.data for chunk in saved[0].chunks] == [b"A"]

    def test_what_saving_raises_comes_out(self) -> None:
        def full(recording: Recording) -> None:
            raise OSError("the disk is full")

        stream = RecordingTransport(FakeTransport(FakeStream(b"")), full).send(HTTP, Timeouts())
        with pytest.raises(OSError, match="disk is full"):
            stream.read(None)
        stream.close()

    def test_a_request_that_cannot_be_recorded_is_not_sent(self) -> None:
        transport = FakeTransport(FakeStream())
        with pytest.raises(ValueError, match="not JSON"):
            RecordingTransport(transport, print).send(
                HTTPRequest("POST", "http://h/v1/query", (), b"x"), Timeouts()
            )
        assert transport.asked == []


class TestWhatIsKept:
    def test_chunks_times_and_the_end(self) -> None:
        timeouts = RecordedTimeouts(1, 60, None, None)
        original = Recording(
            RecordingHeader.of(HTTP, 200, HEAD, seconds=0.25, connected=0, timeouts=timeouts),
            (Chunk(0.5, delta("A")), Chunk(0, b"\xe6"), Chunk(1, END)),
            Ending(2),
        )
        saved: list[Recording] = []
        transport = RecordingTransport(
            ReplayTransport([original], clock=VirtualClock()), saved.append
        )
        stream = transport.send(HTTP, Timeouts(connect=1, idle=None, total=inf))
        while stream.read(None):
            pass
        assert saved == [original]

    @pytest.mark.parametrize("trace", TRACES, ids=[trace.name for trace in TRACES])
    def test_a_recording_of_a_replay_is_the_recording(self, trace: Trace) -> None:
        http = trace.request.to_http(LOCAL)
        ending = (
            Ending(1) if trace.ending is None else Ending(1, "ConnectionLost", str(trace.ending))
        )
        chunks = tuple(Chunk(0.25, chunk) for chunk in trace.chunks)
        original = Recording(
            RecordingHeader.of(
                http,
                trace.status_code,
                trace.headers,
                seconds=0.5,
                connected=0,
                timeouts=RecordedTimeouts(10, 60, 30, 600),
            ),
            chunks,
            ending,
        )
        saved: list[Recording] = []
        client = Client(
            RecordingTransport(ReplayTransport([original], clock=VirtualClock()), saved.append),
            LOCAL,
        )
        try:
            with client.stream(trace.request) as stream:
                stream.result()
        except MoondreamError:
            pass
        (copy,) = saved
        assert copy.header == original.header
        assert copy.chunks == original.chunks[: len(copy.chunks)]
        if copy.ending.fault == original.ending.fault:
            assert (copy.chunks, copy.ending) == (original.chunks, original.ending)
        else:  # the client had all it wanted before the end
            assert copy.ending.fault in (LEFT, "TimeoutError")

    def test_watching(self) -> None:
        seen: list[Any] = []

        def watch(recorder: Recorder) -> None:
            chunks = [chunk.data for chunk in recorder.peek_chunks()]
            seen.append((recorder.header.status_code, chunks))

        transport = FakeTransport(FakeStream(b"A", b"B", ConnectionLost("x")))
        stream = RecordingTransport(transport, seen.append, watch=watch).send(HTTP, Timeouts())
        assert seen == [(None, []), (200, [])]
        assert stream.read(None) == b"A"
        assert stream.read(None) == b"B"
        assert seen[2:] == [(200, [b"A"]), (200, [b"A", b"B"])]
        with pytest.raises(ConnectionLost):
            stream.read(None)
        assert [type(each) for each in seen[4:]] == [Recording]

    def test_leaving_early(self) -> None:
        stream, _, saved = opened(b"A", b"B")
        stream.read(None)
        stream.close()
        stream.close()
        assert [(recording.chunks, recording.ending) for recording in saved] == [
            ((Chunk(0, b"A"),), Ending(0, LEFT))
        ]

    def test_closed_by_another_thread(self) -> None:
        """One recording is saved, whether the reader or the other thread ends the stream. The
        reader gets what the transport returns.
        """
        reading, closed = threading.Event(), threading.Event()

        class Slow(FakeStream):
            def read(self, timeout: float | None) -> bytes:
                reading.set()
                assert closed.wait(10)
                return b"too late"

        saved: list[Recording] = []
        stream = RecordingTransport(FakeTransport(Slow()), saved.append).send(HTTP, Timeouts())
        read: list[bytes] = []
        thread = threading.Thread(target=lambda: read.append(stream.read(None)))
        thread.start()
        assert reading.wait(10)
        stream.close()
        closed.set()
        thread.join()
        assert read == [b"too late"]
        assert [(recording.chunks, recording.ending.fault) for recording in saved] == [((), LEFT)]

    @pytest.mark.parametrize(
        "adapter",
        [adapter for adapter in ADAPTERS if adapter.name.startswith("anyio")],
        ids=lambda adapter: adapter.name,
    )
    def test_cancelled(self, adapter: Adapter) -> None:
        saved: list[Recording] = []

        def hold(peer: Peer) -> None:
            peer.answer(head(), chunk(delta("A")))
            peer.wait_until_closed()

        async def main(server: FaultServer) -> None:
            async with adapter.transport() as transport:
                client = adapter.client(
                    recording_of(adapter, transport, saved.append), Endpoint(server.url)
                )

                async def read(cancel: Callable[[], object]) -> None:
                    async with client.stream(QUERY) as stream:
                        async for _ in stream:
                            cancel()

                await adapter.cancelled(read)

        with FaultServer(hold) as server:
            adapter.run(main, server)
        assert [
            (b"".join(part.data for part in one.chunks), one.ending.fault) for one in saved
        ] == [(delta("A"), LEFT)]
