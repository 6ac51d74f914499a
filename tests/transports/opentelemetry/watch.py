"""The hooks of docs/how-to/opentelemetry.md with exporters in memory, and exchanges with them."""

from __future__ import annotations

from importlib import import_module
from importlib.resources import files
from typing import Any

import pytest

from sansio_moondream import MoondreamError, Request
from sansio_moondream.recording import Recording
from tests.helpers import OWN
from tests.transports.adapters import Adapter
from tests.transports.fakes import ENDPOINT, AsyncFakeStream, FakeStream

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
