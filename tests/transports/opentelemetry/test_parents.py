"""The parents of spans, and what is not exported."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from moondream_transports import (
    AsyncClient,
    Client,
    ReplayTransport,
)
from sansio_moondream import MoondreamError, QueryRequest, TextDelta
from sansio_moondream.recording import Chunk, Ending, Match, Recording, RecordingHeader
from tests.helpers import END, PIXEL, QUERY, TRACES, Trace, delta
from tests.transports.fakes import ENDPOINT, AsyncFakeStream, FakeStream
from tests.transports.opentelemetry.watch import Watch


@pytest.mark.parametrize("trace", TRACES, ids=lambda trace: trace.name)
def test_no_key_question_picture_or_answer_is_exported(trace: Trace, watch: Watch) -> None:
    """Every captured response, errors in the server's words among them."""
    header = RecordingHeader(
        "POST", f"/v1/{trace.request.skill}", (), {}, trace.status_code, tuple(trace.headers)
    )
    ending = Ending(0) if trace.ending is None else Ending(0, "ConnectionLost", str(trace.ending))
    transport = ReplayTransport(
        [Recording(header, tuple(Chunk(0, chunk) for chunk in trace.chunks), ending)],
        speed=None,
        match=Match.SKILL,
    )
    words = ["telltale", PIXEL.data_url.partition(",")[2]]
    asked = {name: "telltale" for name in ("question", "object") if hasattr(trace.request, name)}
    try:
        with Client(transport, ENDPOINT, hooks=watch.hooks).stream(
            msgspec.structs.replace(trace.request, **asked)
        ) as stream:
            words += [
                event.text
                for event in stream
                if isinstance(event, TextDelta) and len(event.text) > 4
            ]
    except MoondreamError as error:
        words.append(getattr(error, "message", str(error)))
    exported = watch.span.to_json() + watch.reader.get_metrics_data().to_json()
    assert ENDPOINT.api_key is not None
    for secret in (ENDPOINT.api_key, *words):
        assert secret not in exported


class TestParents:
    def test_each_task_has_its_own(self, watch: Watch) -> None:
        """Streams that are read in turns are the children of the spans that were current where they
        were opened.
        """
        tracer = watch.tracers.get_tracer("test")
        tasks = 5

        async def ask(number: int, all_opened: asyncio.Barrier) -> None:
            client = AsyncClient(
                AsyncFakeStream(FakeStream(delta("A"), delta("B"), END, b"")),
                ENDPOINT,
                hooks=watch.hooks,
            )
            with tracer.start_as_current_span(f"task {number}"):
                async with client.stream(
                    QueryRequest(question="?", model=f"model-{number}")
                ) as stream:
                    await all_opened.wait()
                    async for _ in stream:
                        await asyncio.sleep(0)

        async def main() -> None:
            all_opened = asyncio.Barrier(tasks)
            with tracer.start_as_current_span("program"):
                await asyncio.gather(*(ask(number, all_opened) for number in range(tasks)))

        asyncio.run(main())
        spans = {span.context.span_id: span for span in watch.spans}
        lines = sorted(
            line(span, spans) for span in watch.spans if span.name.startswith("generate_content")
        )
        assert lines == [
            f"generate_content model-{number} < task {number} < program" for number in range(tasks)
        ]

    def test_a_stream_that_another_task_closes(self, watch: Watch) -> None:
        tracer = watch.tracers.get_tracer("test")

        async def main() -> None:
            client = AsyncClient(
                AsyncFakeStream(FakeStream(delta("A"), END, b"")), ENDPOINT, hooks=watch.hooks
            )
            with tracer.start_as_current_span("opens"):
                stream = await client.stream(QUERY).__aenter__()
            with tracer.start_as_current_span("closes"):
                await asyncio.create_task(stream.aclose())

        asyncio.run(main())
        spans = {span.context.span_id: span for span in watch.spans}
        assert [
            line(span, spans) for span in watch.spans if span.name.startswith("generate_content")
        ] == ["generate_content < opens"]

    def test_it_is_not_current_itself(self, watch: Watch) -> None:
        tracer = watch.tracers.get_tracer("test")
        client = Client(FakeStream(delta("A"), END, b""), ENDPOINT, hooks=watch.hooks)
        with tracer.start_as_current_span("program"), client.stream(QUERY) as stream:
            for _ in stream:
                tracer.start_span("between").end()
        spans = {span.context.span_id: span for span in watch.spans}
        assert {line(span, spans) for span in watch.spans} == {
            "program",
            "between < program",
            "generate_content < program",
        }


def line(span: Any, spans: dict[int, Any]) -> str:
    """Its name, and those of the spans that it is in."""
    return (
        span.name
        if span.parent is None
        else f"{span.name} < {line(spans[span.parent.span_id], spans)}"
    )
