"""How a chat is shown: the command line asks for none, but shows whatever event comes.

The other skills are in `test_cli_replay.py`.
"""

from __future__ import annotations

import io
import json

from moondream_tools._render import JSONOutput, TextOutput
from moondream_tools._terminal import Terminal
from sansio_moondream import (
    ChatResult,
    Completed,
    Event,
    Metadata,
    Reasoning,
    ReasoningDelta,
    TextDelta,
    Usage,
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
    TextOutput(Terminal(out), Terminal(io.StringIO())).fault(RESULT)
    assert out.getvalue() == "A moon.\n"


def test_as_json():
    out = io.StringIO()
    for event in EVENTS:
        JSONOutput(out).event(event)
    thought, _, completed = map(json.loads, out.getvalue().splitlines())
    assert thought == {"event": "reasoning_delta", "text": "Look."}
    assert completed["result"]["metadata"]["usage"] == {
        "prompt_tokens": 740,
        "completion_tokens": 3,
        "total_tokens": None,
    }
