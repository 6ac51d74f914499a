"""What comes beside an answer: its ids, and what the server measured.

Field names and units of `Metrics`, `Stats` and `Usage` are the servers' own. `Tokens` and `Timing`
are computed from them.
"""

from __future__ import annotations

from typing import Any, TypeVar

from msgspec import Struct, field

from ._headers import Headers
from ._repr import OwnRepr
from ._value import Value

N = TypeVar("N", int, float)


class Metrics(Struct, Value, frozen=True, repr_omit_defaults=True):
    """Measurements of the cloud engine: tokens, and times in milliseconds.

    Attributes:
        input_tokens: of the prompt, the picture included.
        output_tokens: of the answer.
        prefill_time_ms: to read the prompt.
        decode_time_ms: to write the answer.
        ttft_ms: to the first token.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    prefill_time_ms: float | None = None
    decode_time_ms: float | None = None
    ttft_ms: float | None = None


class Stats(Struct, Value, frozen=True, repr_omit_defaults=True):
    """Measurements of the local station.

    Attributes:
        tokens: of the answer.
        duration: of the whole answer, in seconds.
        tokens_per_sec: `tokens` by `duration`.
    """

    tokens: int | None = None
    duration: float | None = None
    tokens_per_sec: float | None = None


class Usage(Struct, Value, frozen=True, repr_omit_defaults=True):
    """Tokens of a chat, as servers bill them.

    Attributes:
        prompt_tokens: of the messages, the pictures included.
        completion_tokens: of the answer.
        total_tokens: of both.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None


class Tokens(Struct, Value, frozen=True, repr_omit_defaults=True):
    """How many tokens an answer took, whatever the server calls them. None where it does not say.

    Attributes:
        input: of the prompt, the picture included: `metrics.input_tokens`, `usage.prompt_tokens`.
        output: of the answer: `metrics.output_tokens`, `usage.completion_tokens`, `stats.tokens`.
    """

    input: int | None = None
    output: int | None = None


class Timing(Struct, Value, frozen=True, repr_omit_defaults=True):
    """How long the server took, in seconds, by its own clock. None where it does not say.

    Attributes:
        first_token: until the first token: `metrics.ttft_ms`.
        prefill: to read the prompt: `metrics.prefill_time_ms`.
        decode: to write the answer: `metrics.decode_time_ms`.
        total: for the whole answer: `stats.duration`. It is not computed from the others, which
            need not add up to it.
        tokens_per_second: `metrics.output_tokens` by `metrics.decode_time_ms`; else
            `stats.tokens_per_sec`, which is by the whole time.
    """

    first_token: float | None = None
    prefill: float | None = None
    decode: float | None = None
    total: float | None = None
    tokens_per_second: float | None = None


class Metadata(OwnRepr, Value, frozen=True):
    """Data beside the answer. Each field may be missing: servers differ.

    `tokens` and `timing` are one view of what `metrics`, `stats` and `usage` have.

    Attributes:
        request_id: the server's id of the exchange, from the body (a chat's `id`), else from the
            `x-request-id` header.
        finish_reason: `"stop"`, or `"length"` if `max_tokens` ended the text early.
        metrics: of the cloud engine.
        stats: of the local station.
        usage: of a chat, if the server sends it.
        deltas_match: True if the text deltas add up to the whole text of the last message. False if
            the server damaged characters in its deltas (it does where a token ends inside of one);
            the result's text is right. None if there was nothing to compare.
        headers: of the response.
        extra: unknown fields of the last message, unchanged.
    """

    request_id: str | None = None
    finish_reason: str | None = None
    metrics: Metrics | None = None
    stats: Stats | None = None
    usage: Usage | None = None
    deltas_match: bool | None = None
    headers: Headers = field(default_factory=Headers)
    extra: dict[str, Any] = field(default_factory=dict[str, Any])

    __derived__ = ("tokens", "timing")

    def __repr__(self) -> str:
        names = ("request_id", "finish_reason", "metrics", "stats", "usage", "deltas_match")
        known = [f"{n}={value!r}" for n in names if (value := getattr(self, n)) is not None]
        return f"Metadata({', '.join(known)})"

    @property
    def tokens(self) -> Tokens:
        """How many tokens the answer took."""
        metrics, stats = self.metrics or _NO_METRICS, self.stats or _NO_STATS
        usage = self.usage or _NO_USAGE
        return Tokens(
            _first(metrics.input_tokens, usage.prompt_tokens),
            _first(metrics.output_tokens, usage.completion_tokens, stats.tokens),
        )

    @property
    def timing(self) -> Timing:
        """How long the server took."""
        metrics, stats = self.metrics or _NO_METRICS, self.stats or _NO_STATS
        decode = _seconds(metrics.decode_time_ms)
        return Timing(
            first_token=_seconds(metrics.ttft_ms),
            prefill=_seconds(metrics.prefill_time_ms),
            decode=decode,
            total=stats.duration,
            tokens_per_second=_first(_rate(metrics.output_tokens, decode), stats.tokens_per_sec),
        )


_NO_METRICS, _NO_STATS, _NO_USAGE = Metrics(), Stats(), Usage()


def _first(*values: N | None) -> N | None:
    for value in values:
        if value is not None:
            return value
    return None


def _seconds(milliseconds: float | None) -> float | None:
    try:
        return None if milliseconds is None else milliseconds / 1000
    except OverflowError:  # an int of 400 digits, of from_dict or of a constructor
        return None


def _rate(count: int | None, seconds: float | None) -> float | None:
    if count is not None and seconds is not None and seconds > 0:
        try:
            return count / seconds
        except OverflowError:  # a server may send a number of 400 digits
            return None
    return None
