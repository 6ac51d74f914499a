"""AsyncClient and AsyncClientStream over a transport that plays a script, on both event
loops.
"""

from __future__ import annotations

import gc
import inspect
import json
import pydoc
from collections.abc import AsyncIterator
from typing import Any

import pytest

import sansio_moondream
from moondream_transports import AsyncClient, Client, Timeouts
from sansio_moondream import (
    APIError,
    Completed,
    ConnectError,
    ConnectionLost,
    FirstEventTimeout,
    IdleTimeout,
    LocalProtocolError,
    QueryResult,
    TextDelta,
    TotalTimeout,
)
from tests.helpers import END, PIXEL, QUERY, delta, record
from tests.transports.adapters import Adapter, never
from tests.transports.fakes import ENDPOINT, WHOLE, AsyncFakeStream, FakeStream, JSONFakeStream

LOOPS = [Adapter(name, name, never) for name in ("asyncio", "trio")]
each_loop = pytest.mark.parametrize("loop", LOOPS, ids=lambda loop: loop.name)
EVENTS = [TextDelta("A"), TextDelta(" moon")]


def client(transport: FakeStream, timeouts: Timeouts | None = None) -> AsyncClient:
    return AsyncClient(AsyncFakeStream(transport), ENDPOINT, timeouts=timeouts)


@each_loop
class TestStream:
    def test_events_as_they_come(self, loop: Adapter) -> None:
        async def main() -> None:
            transport = FakeStream(*WHOLE)
            async with client(transport).stream(QUERY, extra_body={"variant": "x"}) as stream:
                assert transport.requests == [QUERY.to_http(ENDPOINT, extra_body={"variant": "x"})]
                assert await anext(stream) == EVENTS[0]
                assert len(transport.reads) == 1
                assert stream.snapshot is not None and stream.snapshot.text == "A"
                assert [event async for event in stream] == [
                    EVENTS[1],
                    Completed(await stream.result()),
                ]
                assert [event async for event in stream] == []
            assert (await stream.result()).text == "A moon"
            assert transport.closed == 1

        loop.run(main)

    def test_result_and_text(self, loop: Adapter) -> None:
        async def main() -> None:
            async with client(FakeStream(*WHOLE)).stream(QUERY) as stream:
                assert [text async for text in stream.text()] == ["A", " moon"]
            async with client(
                FakeStream(record({"chunk": "A", "request_id": "7"}), END, b"")
            ).stream(QUERY) as stream:
                assert stream.request_id is None
                assert (await stream.result()).text == "A"
                assert stream.request_id == "7"

        loop.run(main)

    def test_text_that_is_left_early_leaves_nothing_open(self, loop: Adapter) -> None:
        async def main() -> None:
            transport = FakeStream(*WHOLE)
            async with client(transport).stream(QUERY) as stream:
                async for text in stream.text():
                    assert text == "A"
                    break
            assert transport.closed == 1
            gc.collect()

        loop.run(main)

    def test_send_and_shorthands(self, loop: Adapter) -> None:
        async def main() -> None:
            transport = JSONFakeStream(b'{"answer": "A moon"}', b"")
            assert (await client(transport).send(QUERY)).text == "A moon"
            assert transport.requests == [QUERY.to_http(ENDPOINT, stream=False)]
            transport = JSONFakeStream(b'{"answer": "A"}', b"")
            result: QueryResult = await client(transport).query(question="Q", image=PIXEL.data)
            assert result.text == "A"
            assert json.loads(transport.requests[0].body) == {
                "question": "Q",
                "image_url": PIXEL.data_url,
                "stream": False,
            }

        loop.run(main)

    def test_faults(self, loop: Adapter) -> None:
        async def outcome(
            transport: FakeStream, timeouts: Timeouts | None = None
        ) -> tuple[list[Any], Any]:
            events: list[Any] = []
            stream = client(transport, timeouts).stream(QUERY)
            try:
                async with stream:
                    async for event in stream:
                        events.append(event)
            except Exception as error:  # noqa: BLE001 - it is what the test is about
                assert transport.closed == (transport.refuses is None)
                return events, error
            raise AssertionError("no fault")

        async def main() -> None:
            for transport, timeouts, count, kind in [
                (FakeStream(refuses=ConnectError("no")), None, 0, ConnectError),
                (FakeStream(refuses=TimeoutError()), None, 0, FirstEventTimeout),
                (FakeStream(delta("A"), ConnectionLost("reset")), None, 1, ConnectionLost),
                (FakeStream(delta("A"), TimeoutError()), None, 1, IdleTimeout),
                (FakeStream(delta("A"), TimeoutError()), Timeouts(total=1e-9), 0, TotalTimeout),
                (FakeStream(delta("A") + record({"error": "no"})), None, 1, APIError),
                (FakeStream(delta("A"), ZeroDivisionError()), None, 1, ZeroDivisionError),
            ]:
                events, error = await outcome(transport, timeouts)
                assert (events, type(error)) == (EVENTS[:count], kind)
                if count and kind is not ZeroDivisionError:
                    assert error.partial.text == "A"

        loop.run(main)

    def test_out_of_order(self, loop: Adapter) -> None:
        async def main() -> None:
            stream = client(FakeStream(*WHOLE)).stream(QUERY)
            with pytest.raises(LocalProtocolError, match="not open"):
                await anext(stream)
            async with stream:
                with pytest.raises(LocalProtocolError, match="once"):
                    await stream.__aenter__()
                await stream.aclose()
                await stream.aclose()

        loop.run(main)

    def test_the_end_of_the_body_is_waited_for_only_behind_the_answer(self, loop: Adapter) -> None:
        async def main() -> None:
            transport = FakeStream(delta("A"), END, b"\n", b"")
            async with client(transport).stream(QUERY) as stream:
                assert (await stream.result()).text == "A"
                assert len(transport.reads) == 2
            assert transport.steps == []
            transport = FakeStream(*WHOLE)
            async with client(transport).stream(QUERY) as stream:
                await anext(stream)
            assert (len(transport.reads), transport.closed) == (1, 1)

        loop.run(main)

    def test_a_forgotten_stream_warns_and_closes(self, loop: Adapter) -> None:
        async def main() -> None:
            transport = FakeStream(*WHOLE)
            stream = client(transport).stream(QUERY)
            await stream.__aenter__()
            with pytest.warns(ResourceWarning, match="never closed") as warned:
                del stream
            gc.collect()
            assert len(warned) == 1
            await loop.until(lambda: transport.closed == 1, "the stream to be closed")

        loop.run(main)

    def test_cancellation_closes_and_passes(self, loop: Adapter) -> None:
        async def main() -> None:
            transport = FakeStream(delta("A"))
            hanging = AsyncFakeStream(transport, hang=loop.forever)

            async def read() -> None:
                async with AsyncClient(hanging, ENDPOINT).stream(QUERY) as stream:
                    async for _ in stream:
                        pass

            await loop.cancelled_after(0.02, read)
            assert transport.closed == 1

        loop.run(main)


def test_a_stream_that_outlives_its_loop_only_warns() -> None:
    transport = FakeStream(*WHOLE)

    async def main() -> AsyncIterator[Any]:
        stream = client(transport).stream(QUERY)
        await stream.__aenter__()
        return stream

    stream = LOOPS[0].run(main)
    with pytest.warns(ResourceWarning, match="never closed"):
        del stream
    assert transport.closed == 0


SKILLS = ("query", "caption", "segment", "detect", "point", "chat")


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_signatures_of_shorthands_are_true(kind: type[Any]) -> None:
    prefix = "Async" if kind is AsyncClient else ""
    for skill in SKILLS:
        request = getattr(sansio_moondream, f"{skill.title()}Request")
        fields, result = inspect.signature(request).parameters, f"{skill.title()}Result"
        whole = getattr(kind, skill)
        assert inspect.iscoroutinefunction(whole) == (kind is AsyncClient)
        assert ("encode_image" in whole.__doc__) == (skill != "chat")
        streamed = getattr(kind, f"stream_{skill}", None)
        assert (streamed is not None) == request.streams
        for method, returned in (
            (whole, result),
            (streamed, f"{prefix}ClientStream[{result}]"),
        ):
            if method is not None:
                signature = inspect.signature(method)
                assert set(signature.parameters) == {"self", *fields}
                assert signature.return_annotation == returned
                assert returned in pydoc.render_doc(method)
