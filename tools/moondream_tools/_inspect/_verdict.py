"""What a plain loop has got wrong, in words. Our decoder's trace is what it should have found."""

from __future__ import annotations

import json
from typing import Any, Literal, TypeAlias

from moondream_tools.trace import Trace
from sansio_moondream._errors import shorten

from ._plain_responses import Raised, Silence

MAX_SHOWN = 120  # characters of a text in a verdict
_CONTEXT = 20  # characters around a difference

Verdict: TypeAlias = Literal["same", "error", "fails", "silent", "hangs"]


def judge(trace: Trace, text: str, error: Exception | None) -> tuple[Verdict, str]:
    """Compare what a loop has found with what there is.

    Args:
        trace: by our decoder, of the same chunks.
        text: the answer that a user of the loop has.
        error: what the loop raised, or None.

    Returns:
        A word and a sentence. The loop has the `same` answer; it reports an `error` that there is;
        it `fails` on a whole answer; it is `silent` about an error or another text; it `hangs`.
    """
    expected = answer_of(trace)
    if isinstance(error, Silence):
        return "hangs", f"It waits for ever: it has no deadline.{_lost(text, expected)}"
    if error is not None:
        return _raised(trace, text, expected, str(error))
    if trace.error is not None:
        return "silent", _missed(trace.error, text, expected)
    if text == expected:
        return "same", "It has the same answer."
    if not text:
        return "silent", "It has no answer, and says nothing."
    return "silent", f"It has another answer, and says nothing: {_difference(text, expected)}."


def name_of(error: Exception) -> str:
    """Return the name of the class of an error."""
    return error.name if isinstance(error, Raised) else type(error).__name__


def answer_of(trace: Trace) -> str:
    """Return the answer as a text: the text, the path, or the objects or points as JSON."""
    result = trace.result or {}
    for field in ("text", "path"):
        if isinstance(answer := result.get(field), str):
            return answer
    found = result.get("objects", result.get("points", []))
    return json.dumps(found) if found or trace.error is None else ""


def _raised(trace: Trace, text: str, expected: str, message: str) -> tuple[Verdict, str]:
    if trace.error is None:
        return "fails", f"It fails on a whole answer.{_lost(text, expected)}"
    verdict = f"It raises an exception.{_lost(text, expected)}"
    if _is_of_server(trace.error) and (words := _words(trace.error)) not in message:
        verdict += f" What the server says is lost: {words}"
    return "error", verdict


def _missed(error: dict[str, Any], text: str, expected: str) -> str:
    if _is_of_server(error):
        return f"It loses the error: {_words(error)}"
    if error["kind"] in _CUT_OFF:
        return f"It takes this cut-off answer for whole.{_lost(text, expected)}"
    return f"It does not notice what is wrong: {_words(error)}"


# The kinds of IncompleteStream and of what is raised like it.
_CUT_OFF = (
    *("incomplete_stream", "connection_lost", "idle_timeout", "first_event_timeout"),
    "total_timeout",
)


def _is_of_server(error: dict[str, Any]) -> bool:
    """Return whether the server sent the error: only then it has a status."""
    return "status_code" in error


def _words(error: dict[str, Any]) -> str:
    return _quoted(str(error["message"]))


def _lost(text: str, expected: str) -> str:
    """Return how much of what arrived is not in the loop's text, as one more sentence."""
    if text == expected or not expected.startswith(text):
        return ""
    return f" It has {len(text):,} of the {len(expected):,} characters that arrived."


def _difference(text: str, expected: str) -> str:
    pairs = enumerate(zip(text, expected, strict=False))
    at = next((at for at, (one, other) in pairs if one != other), min(len(text), len(expected)))
    start = max(0, at - _CONTEXT)
    seen, should = (_quoted(each[start : at + _CONTEXT]) for each in (text, expected))
    return f"{seen} where the answer has {should}"


def _quoted(text: str) -> str:
    return f"\u201c{shorten(text, MAX_SHOWN)}\u201d"
