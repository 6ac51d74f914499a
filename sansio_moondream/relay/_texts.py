"""The texts of a result: what a stream of deltas adds up to."""

from __future__ import annotations

from typing import Literal

from sansio_moondream._results import CaptionResult, ChatResult, QueryResult, Result

TextKind = Literal["reasoning", "text"]


def texts(result: Result) -> dict[TextKind, str]:
    """Return the texts of a result that are not empty, in the order in which they are read."""
    found: dict[TextKind, str] = {}
    if isinstance(result, QueryResult | ChatResult) and result.reasoning is not None:
        found["reasoning"] = result.reasoning.text
    if isinstance(result, QueryResult | CaptionResult | ChatResult):
        found["text"] = result.text
    return {kind: text for kind, text in found.items() if text}
