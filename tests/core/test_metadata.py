"""One view of tokens and times, whatever a server calls them."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from sansio_moondream import Metadata, Metrics, Request, Stats, Timing, Tokens, Usage
from sansio_moondream.testing import run
from tests.core.chats import BILL, DONE, START, STOP, text
from tests.helpers import CHAT, QUERY, SEGMENT, TRACES, Trace, record

METRICS = Metrics(740, 76, 38.25, 200.0, 40.5)
STATS = Stats(43, 0.18, 245.4)
USAGE = Usage(740, 12, 752)


@pytest.mark.parametrize(
    ("metadata", "tokens", "timing"),
    [
        (Metadata(), Tokens(), Timing()),
        (Metadata(metrics=Metrics()), Tokens(), Timing()),
        (
            Metadata(metrics=METRICS),
            Tokens(740, 76),
            Timing(0.0405, 0.03825, 0.2, None, 76 / 0.2),
        ),
        (Metadata(stats=STATS), Tokens(None, 43), Timing(total=0.18, tokens_per_second=245.4)),
        (Metadata(usage=USAGE), Tokens(740, 12), Timing()),
        (
            Metadata(stats=STATS, usage=USAGE),
            Tokens(740, 12),
            Timing(None, None, None, 0.18, 245.4),
        ),
        (
            Metadata(metrics=METRICS, stats=STATS, usage=Usage(1, 2)),
            Tokens(740, 76),
            Timing(0.0405, 0.03825, 0.2, 0.18, 76 / 0.2),
        ),
        (Metadata(metrics=Metrics(0, 0), usage=USAGE), Tokens(0, 0), Timing()),
        (Metadata(metrics=Metrics(output_tokens=5)), Tokens(None, 5), Timing()),
        (
            Metadata(metrics=Metrics(None, 5), stats=STATS),
            Tokens(None, 5),
            Timing(total=0.18, tokens_per_second=245.4),
        ),
        (
            Metadata(metrics=Metrics(decode_time_ms=5.0), stats=Stats(3)),
            Tokens(None, 3),
            Timing(decode=0.005),
        ),
    ],
)
def test_tokens_and_timing(metadata: Metadata, tokens: Tokens, timing: Timing) -> None:
    assert metadata.tokens == tokens
    assert metadata.timing == timing
    assert pickle.loads(pickle.dumps((metadata.tokens, metadata.timing))) == (tokens, timing)


@pytest.mark.parametrize(
    ("metrics", "rate"),
    [
        (Metrics(output_tokens=10, decode_time_ms=0.0), None),
        (Metrics(output_tokens=10, decode_time_ms=-5.0), None),
        (Metrics(output_tokens=10, decode_time_ms=1e-323), None),  # 0 in seconds
        (Metrics(output_tokens=10**400, decode_time_ms=5.0), None),
        (Metrics(output_tokens=0, decode_time_ms=5.0), 0.0),
        (Metrics(output_tokens=10, decode_time_ms=500.0), 20.0),
    ],
)
def test_a_rate_that_cannot_be_computed(metrics: Metrics, rate: float | None) -> None:
    assert Metadata(metrics=metrics).timing.tokens_per_second == rate
    also = Metadata(metrics=metrics, stats=STATS).timing.tokens_per_second
    assert also == (245.4 if rate is None else rate)


@pytest.mark.parametrize("name", ["prefill_time_ms", "decode_time_ms", "ttft_ms"])
def test_times_that_are_no_float(name: str) -> None:
    """An int of `from_dict` or of a constructor may have more digits than a float."""
    metadata = Metadata(metrics=Metrics(**{name: 10**400}))
    assert metadata.timing == Timing()
    assert Metadata.from_dict(metadata.to_dict()) == metadata


FAILED = {"station-query-fails-at-start", "station-unknown-function"}
MEASURED = [
    trace
    for trace in TRACES
    if trace.status_code == 200 and trace.ending is None and trace.name not in FAILED
]


@pytest.mark.parametrize("trace", MEASURED, ids=lambda trace: trace.name)
def test_recorded_answers(trace: Trace) -> None:
    outcome = run(trace.request, trace.chunks, headers=trace.headers)
    tokens, timing = outcome.snapshot.metadata.tokens, outcome.snapshot.metadata.timing
    assert tokens.output > 0
    assert 10 < timing.tokens_per_second < 1000
    if trace.name.startswith("engine"):
        assert tokens.input == 740
        assert timing.prefill < timing.first_token < timing.prefill + timing.decode < 3
        assert timing.total is None
    else:
        assert tokens.input is None
        assert tokens.output / timing.total == pytest.approx(timing.tokens_per_second, rel=0.05)


def test_a_chat() -> None:
    data = START + text("A moon.") + STOP + BILL + DONE
    metadata = run(CHAT, [data]).snapshot.metadata
    assert (metadata.tokens, metadata.timing) == (Tokens(740, 3), Timing())


def test_a_partial_result() -> None:
    data = record({"stats": {"tokens": 2, "duration": 0.5, "tokens_per_sec": 4.0}})
    partial = run(QUERY, [data]).snapshot
    assert partial.partial
    assert (partial.metadata.tokens.output, partial.metadata.timing.total) == (2, 0.5)


@pytest.mark.parametrize("name", ["stats", "_stats"])
@pytest.mark.parametrize("request_", [QUERY, SEGMENT], ids=["query", "segment"])
def test_a_message_with_nothing_else(request_: Request[Any], name: str) -> None:
    outcome = run(request_, [record({name: {"tokens": 2}})])
    assert outcome.events == []
    assert outcome.snapshot.metadata.stats == Stats(tokens=2)


def test_a_message_of_a_chat_with_nothing_at_all() -> None:
    assert run(CHAT, [START + record({"usage": None})]).events == run(CHAT, [START]).events
