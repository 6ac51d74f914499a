"""The span and the metrics of each exchange."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from moondream_transports import (
    AsyncReplayTransport,
    Client,
    ReplayTransport,
    RetryPolicy,
)
from sansio_moondream import ConnectError
from sansio_moondream.recording import Ending, Match, Recording, RecordingHeader
from tests.helpers import END, OWN, QUERY, REQUESTS, delta
from tests.transports.adapters import Adapter, never
from tests.transports.fakes import ENDPOINT, AsyncFakeStream, JSONFakeStream
from tests.transports.opentelemetry.watch import (
    RECORDINGS,
    SECONDS,
    StatusCode,
    Watch,
    about,
    fake,
    play,
)

each_backend = pytest.mark.parametrize(
    "backend",
    [Adapter(name, name, never) for name in ("sync", "asyncio", "trio")],
    ids=lambda backend: backend.name,
)
each_skill = pytest.mark.parametrize("skill", OWN)


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
