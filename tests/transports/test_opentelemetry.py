"""The hooks of docs/opentelemetry.md, as they stand there, with exporters in memory."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.resources import files
from typing import Any

import msgspec
import pytest

from moondream_transports import (
    AsyncClient,
    AsyncReplayTransport,
    Client,
    ReplayTransport,
    RetryPolicy,
)
from sansio_moondream import ConnectError, MoondreamError, QueryRequest, Request, TextDelta
from sansio_moondream.recording import Chunk, Ending, Match, Recording, RecordingHeader
from tests.guides import ROOT, write_files
from tests.helpers import END, OWN, PIXEL, QUERY, REQUESTS, TRACES, Trace, delta

from .adapters import Adapter, never
from .fakes import ENDPOINT, AsyncFakeStream, FakeStream, JSONFakeStream

sdk_trace: Any = pytest.importorskip(
    "opentelemetry.sdk.trace", reason="the guide needs opentelemetry-sdk"
)
export: Any = import_module("opentelemetry.sdk.trace.export")
in_memory: Any = import_module("opentelemetry.sdk.trace.export.in_memory_span_exporter")
sdk_metrics: Any = import_module("opentelemetry.sdk.metrics")
metrics_export: Any = import_module("opentelemetry.sdk.metrics.export")
StatusCode: Any = import_module("opentelemetry.trace").StatusCode

SHIPPED = files("moondream_tools") / "recordings"
RECORDINGS = {skill: Recording.decode((SHIPPED / f"{skill}.jsonl").read_bytes()) for skill in OWN}
each_backend = pytest.mark.parametrize(
    "backend",
    [Adapter(name, name, never) for name in ("sync", "asyncio", "trio")],
    ids=lambda backend: backend.name,
)
each_skill = pytest.mark.parametrize("skill", OWN)
SECONDS = 1000.0  # in the place of any time


class Watch:
    """The guide's hooks, and what they exported."""

    def __init__(self, module: Any) -> None:
        self.exporter = in_memory.InMemorySpanExporter()
        self.tracers = sdk_trace.TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(export.SimpleSpanProcessor(self.exporter))
        self.reader = metrics_export.InMemoryMetricReader()
        self.hooks = module.OpenTelemetryHooks(
            self.tracers, sdk_metrics.MeterProvider([self.reader], shutdown_on_exit=False)
        )

    @property
    def spans(self) -> Any:
        return self.exporter.get_finished_spans()

    @property
    def span(self) -> Any:
        (span,) = self.spans
        return span

    @property
    def attributes(self) -> dict[str, Any]:
        """Of the only span, with `SECONDS` where there is a time."""
        attributes = dict(self.span.attributes)
        if "gen_ai.response.time_to_first_chunk" in attributes:
            assert 0 <= attributes["gen_ai.response.time_to_first_chunk"] < SECONDS
            attributes["gen_ai.response.time_to_first_chunk"] = SECONDS
        return attributes

    @property
    def measured(self) -> dict[str, list[tuple[dict[str, Any], float]]]:
        """Of each metric the attributes and the sum of each of its points."""
        points: dict[str, list[tuple[dict[str, Any], float]]] = {}
        data = self.reader.get_metrics_data()
        for metric in data.resource_metrics[0].scope_metrics[0].metrics:
            points[metric.name] = [
                (dict(point.attributes), SECONDS if metric.unit == "s" else point.sum)
                for point in metric.data.data_points
            ]
            assert all(point.count == 1 for point in metric.data.data_points)
            assert metric.unit in ("s", "{token}")
        return points


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("opentelemetry")
    write_files(ROOT / "docs" / "opentelemetry.md", folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield import_module("moon_otel")
    sys.modules.pop("moon_otel")


@pytest.fixture
def watch(module: Any) -> Watch:
    return Watch(module)


def about(skill: str, **more: Any) -> dict[str, Any]:
    """The attributes that each span and each point has."""
    return {
        "gen_ai.operation.name": "generate_content",
        "gen_ai.provider.name": "moondream",
        "moondream.skill": skill,
        "server.address": "localhost",
        "server.port": 2020,
    } | {name.replace("__", "."): value for name, value in more.items()}


def play(
    backend: Adapter,
    transport: Any,
    watch: Watch,
    request: Request[Any],
    *,
    stream: bool = True,
    leave_early: bool = False,
    **options: Any,
) -> None:
    """One exchange with the hooks; a fault of it is swallowed."""

    async def main() -> None:
        client = backend.client(transport, ENDPOINT, hooks=watch.hooks, **options)
        try:
            if not stream:
                await client.send(request)
                return
            async with client.stream(request) as answer:
                async for _ in answer:
                    if leave_early:
                        return
        except MoondreamError:
            pass

    backend.run(main)


def fake(backend: Adapter, *args: Any, **kwargs: Any) -> Any:
    transport = FakeStream(*args, **kwargs)
    return AsyncFakeStream(transport) if backend.is_async else transport


@each_backend
class TestSpans:
    @each_skill
    def test_a_recording(self, backend: Adapter, skill: str, watch: Watch) -> None:
        transport = (AsyncReplayTransport if backend.is_async else ReplayTransport)(
            [RECORDINGS[skill]], speed=None, match=Match.SKILL
        )
        result = Client(
            ReplayTransport([RECORDINGS[skill]], speed=None, match=Match.SKILL), ENDPOINT
        ).send(REQUESTS[skill])
        metrics = result.metadata.metrics
        assert metrics is not None
        play(backend, transport, watch, REQUESTS[skill])
        streamed = REQUESTS[skill].streams
        expected = about(
            skill,
            http__response__status_code=200,
            gen_ai__response__finish_reasons=("stop",),
            gen_ai__usage__input_tokens=metrics.input_tokens,
            gen_ai__usage__output_tokens=metrics.output_tokens,
        )
        if streamed:
            expected |= {
                "gen_ai.request.stream": True,
                "gen_ai.response.time_to_first_chunk": SECONDS,
            }
        if result.metadata.request_id is not None:
            expected["gen_ai.response.id"] = result.metadata.request_id
        assert watch.attributes == expected
        assert watch.span.name == "generate_content"
        assert watch.span.kind.name == "CLIENT"
        assert watch.span.status.status_code is StatusCode.UNSET
        assert [event.name for event in watch.span.events] == ["first event"] * streamed
        assert watch.span.start_time <= watch.span.end_time
        points = {
            "gen_ai.client.operation.duration": [(about(skill), SECONDS)],
            "gen_ai.client.operation.time_to_first_chunk": [(about(skill), SECONDS)],
            "gen_ai.client.token.usage": [
                (about(skill, gen_ai__token__type="input"), metrics.input_tokens),
                (about(skill, gen_ai__token__type="output"), metrics.output_tokens),
            ],
        }
        if not streamed:
            del points["gen_ai.client.operation.time_to_first_chunk"]
        assert watch.measured == points

    def test_a_named_model(self, backend: Adapter, watch: Watch) -> None:
        play(
            backend,
            fake(backend, delta("A"), END, b""),
            watch,
            msgspec.structs.replace(QUERY, model="moon-1"),
        )
        assert watch.span.name == "generate_content moon-1"
        assert watch.attributes["gen_ai.request.model"] == "moon-1"
        assert watch.measured["gen_ai.client.operation.duration"] == [
            (about("query", gen_ai__request__model="moon-1"), SECONDS)
        ]

    def test_not_streamed(self, backend: Adapter, watch: Watch) -> None:
        transport = JSONFakeStream(
            b'{"answer": "A", "request_id": "7", "metrics": {"output_tokens": 3}}', b""
        )
        play(
            backend,
            AsyncFakeStream(transport) if backend.is_async else transport,
            watch,
            QUERY,
            stream=False,
        )
        assert watch.attributes == about(
            "query",
            http__response__status_code=200,
            gen_ai__response__id="7",
            gen_ai__usage__output_tokens=3,
        )
        assert watch.span.events == ()
        assert set(watch.measured) == {
            "gen_ai.client.operation.duration",
            "gen_ai.client.token.usage",
        }

    @pytest.mark.parametrize(
        ("steps", "more", "error", "has"),
        [
            ((), {"refuses": ConnectError("no")}, "ConnectError", {}),
            (
                (b'{"error": "busy"}', b""),
                {"status_code": 429},
                "RateLimitError",
                {"http.response.status_code": 429},
            ),
            (
                (delta("A"), b""),
                {},
                "IncompleteStream",
                {"http.response.status_code": 200, "gen_ai.response.time_to_first_chunk": SECONDS},
            ),
        ],
        ids=["refused", "429", "cut short"],
    )
    def test_a_fault(
        self,
        backend: Adapter,
        watch: Watch,
        steps: tuple[bytes, ...],
        more: dict[str, Any],
        error: str,
        has: Any,
    ) -> None:
        play(backend, fake(backend, *steps, **more), watch, QUERY)
        assert (
            watch.attributes
            == about("query") | {"gen_ai.request.stream": True, "error.type": error} | has
        )
        assert (watch.span.status.status_code, watch.span.status.description) == (
            StatusCode.ERROR,
            None,
        )
        assert [event.name for event in watch.span.events] == ["first event"] * (
            "gen_ai.response.time_to_first_chunk" in has
        )
        assert watch.measured["gen_ai.client.operation.duration"] == [
            (about("query", error__type=error), SECONDS)
        ]

    def test_a_retry(self, backend: Adapter, watch: Watch) -> None:
        """One span for all attempts; what went wrong on the way is no error of it."""
        busy = Recording(
            RecordingHeader("POST", "/v1/query", (), {}, 503, (("retry-after", "0"),)),
            (),
            Ending(0),
        )
        transport = (AsyncReplayTransport if backend.is_async else ReplayTransport)(
            [busy, RECORDINGS["query"]], speed=None, match=Match.SKILL
        )
        play(backend, transport, watch, QUERY, retries=RetryPolicy(initial_backoff=0.001))
        assert watch.attributes["http.request.resend_count"] == 1
        assert watch.attributes["http.response.status_code"] == 200
        assert "error.type" not in watch.attributes
        assert watch.span.status.status_code is StatusCode.UNSET
        happened = [(event.name, dict(event.attributes)) for event in watch.span.events]
        assert happened == [("retry", {"error.type": "ServerError"}), ("first event", {})]
        assert watch.measured["gen_ai.client.operation.duration"] == [(about("query"), SECONDS)]

    def test_left_early(self, backend: Adapter, watch: Watch) -> None:
        play(
            backend, fake(backend, delta("A"), delta("B"), END, b""), watch, QUERY, leave_early=True
        )
        assert watch.span.status.status_code is StatusCode.UNSET
        assert "gen_ai.response.finish_reasons" not in watch.attributes
        assert watch.measured["gen_ai.client.operation.duration"] == [(about("query"), SECONDS)]


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
