"""How a chat is shown: the command line asks for none, but shows whatever event comes.

The other skills are in `test_cli_replay.py`. Damaged text is here for all skills with text.
"""

from __future__ import annotations

import io
import json

import pytest

from moondream_tools._render import JSONOutput, TextOutput
from moondream_tools._terminal import Terminal
from sansio_moondream import (
    ChatResult,
    Completed,
    ConnectionLost,
    Event,
    Metadata,
    Reasoning,
    ReasoningDelta,
    TextDelta,
    Usage,
    from_dict,
)

RESULT = ChatResult("A moon.", Reasoning("Look."), Metadata("7", "stop", usage=Usage(740, 3)))
EVENTS: list[Event] = [ReasoningDelta("Look."), TextDelta("A moon."), Completed(RESULT)]


def test_as_text():
    out, notes = io.StringIO(), io.StringIO()
    output = TextOutput(Terminal(out), Terminal(notes))
    for event in EVENTS:
        output.event(event)
    assert out.getvalue() == "A moon.\n"
    assert notes.getvalue() == "Reasoning: Look.\n3 tokens · finish reason stop · request 7\n"


def test_as_text_where_it_broke_off():
    out = io.StringIO()
    error = ConnectionLost("reset", partial=RESULT)
    TextOutput(Terminal(out), Terminal(io.StringIO())).fault(error)
    assert out.getvalue() == "A moon.\n"


class Screen(io.StringIO):
    """What a terminal would get."""

    def isatty(self) -> bool:
        return True


def damaged(*deltas: str, text: str) -> list[Event]:
    metadata = Metadata(None, "stop", deltas_match="".join(deltas) == text)
    return [*map(TextDelta, deltas), Completed(ChatResult(text, None, metadata))]


@pytest.mark.parametrize(
    ("deltas", "text", "file", "screen"),
    [
        (("A ", "\ufffd", "\ufffd moon"), "A 🌙 moon", "A 🌙 moon\n", None),
        (("A \ufffd",), "A \ufffd", "A \ufffd\n", "A \ufffd\n"),
        (("\ufffd",), "B", "B\n", None),
        (("Two ", "\ufffd"), "A 🌙", "Two \ufffd\nA 🌙\n", None),
        (("Two",), "One", "Two\nOne\n", "Two\nOne\n"),
    ],
    ids=["damaged", "really so", "nothing else", "another beginning", "no damage, but different"],
)
def test_damaged_text(deltas: tuple[str, ...], text: str, file: str, screen: str | None):
    """A file gets the right text once. A screen gets both texts, as it cannot wait."""
    for out, expected in (
        (io.StringIO(), file),
        (Screen(), f"{''.join(deltas)}\n{text}\n" if screen is None else screen),
    ):
        notes = io.StringIO()
        output = TextOutput(Terminal(out), Terminal(notes))
        for event in damaged(*deltas, text=text):
            output.event(event)
        assert out.getvalue() == expected
        assert ("damaged" in notes.getvalue()) == (expected.count("\n") == 2)


def test_damaged_text_of_an_interrupted_answer():
    out = io.StringIO()
    output = TextOutput(Terminal(out), Terminal(io.StringIO()))
    output.event(TextDelta("A \ufffd moon"))
    assert out.getvalue() == "A "
    output.fault(None)
    assert out.getvalue() == "A \ufffd moon\n"


def test_as_json():
    out = io.StringIO()
    for event in EVENTS:
        JSONOutput(out).event(event)
    assert [from_dict(json.loads(line)) for line in out.getvalue().splitlines()] == EVENTS


def test_as_json_where_it_broke_off():
    out = io.StringIO()
    error = ConnectionLost("reset", partial=RESULT)
    JSONOutput(out).fault(error)
    assert json.loads(out.getvalue()) == error.to_dict()
    JSONOutput(out).fault(None)  # interrupted
    assert out.getvalue().count("\n") == 1
