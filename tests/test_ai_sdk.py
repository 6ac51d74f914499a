"""The AI SDK (npm `ai`) as a witness: it reads our UI message streams as the tests' reader does."""

from __future__ import annotations

import json
import shutil
import subprocess
from base64 import b64encode
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sansio_moondream import (
    CaptionResult,
    ChatResult,
    Completed,
    ConnectError,
    Dialect,
    Event,
    MoondreamError,
    PathChunk,
    QueryResult,
    RateLimitError,
    Reasoning,
    ReasoningDelta,
    SegmentResult,
    TextDelta,
)
from sansio_moondream.relay import Format, UIMessageEncoder, _refusals, open_encoder
from sansio_moondream.testing import strategies
from tests.core.relays import BOX, END_OF_DETECT, END_OF_SEGMENT, END_OF_TEXT, TEXT, encoded
from tests.core.ui_messages import read
from tests.guides import BLOCK, ROOT
from tests.helpers import REQUESTS

NODE = ROOT / "tests" / "node"
PAGE = ROOT / "docs" / "reference" / "relay-formats.md"
STREAMS: list[tuple[list[Event], MoondreamError | None]] = [
    ([*TEXT, END_OF_TEXT], None),
    ([TextDelta("\ud83c"), TextDelta("\udf19"), Completed(QueryResult("🌙"))], None),
    ([Completed(CaptionResult())], None),
    (
        [
            ReasoningDelta("a"),
            TextDelta("b"),
            ReasoningDelta("c"),
            Completed(ChatResult("b", Reasoning("ac"))),
        ],
        None,
    ),
    ([BOX, PathChunk("M 0 0 L 1 1"), PathChunk(" "), PathChunk("z"), END_OF_SEGMENT], None),
    ([PathChunk("M 0"), Completed(SegmentResult(parse_error="no path"))], None),
    ([END_OF_DETECT], None),
    ([], RateLimitError("busy", status_code=429, retry_after=2.5)),
    ([TextDelta("A")], ConnectError("", partial=QueryResult("A", partial=True))),
    ([ReasoningDelta("A")], _refusals.stopping()),
    ([BOX, PathChunk("M 0 0 L 1 1"), PathChunk(" ")], ConnectError("")),
]


def need_node() -> str:
    node = shutil.which("node")
    modules = NODE / "node_modules"
    if node is None or not (modules / ".stamp").exists() or not (modules / "ai").exists():
        pytest.skip("the AI SDK needs `make ci-tools`, and node")
    return node


def as_in_js(text: str) -> Any:
    """Decode JSON. Each number is a float, and two halves of a character in one text are one."""
    return json.loads(text, parse_int=float)


def by_ai_sdk(streams: Iterable[list[bytes]]) -> list[dict[str, Any]]:
    """Let `useChat` read the streams, each in these chunks."""
    lines = [
        json.dumps({"chunks": [b64encode(chunk).decode() for chunk in chunks]})
        for chunks in streams
    ]
    done = subprocess.run(
        [need_node(), NODE / "ui_messages.mjs"],
        input="\n".join(lines),
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [as_in_js(line) for line in done.stdout.rstrip("\n").split("\n")]


def check(seen: dict[str, Any], expected: dict[str, Any]) -> None:
    failed = expected["error"] is not None
    assert (seen.pop("status"), seen.pop("isError")) == (
        ("error", True) if failed else ("ready", False)
    )
    for part in seen["parts"]:
        if part["type"] == "reasoning":
            del part["id"]
    assert seen == as_in_js(json.dumps(expected))


def test_each_stream_is_read_alike() -> None:
    bodies = [encoded(UIMessageEncoder(), events, error) for events, error in STREAMS]
    split = [[body[at : at + 50] for at in range(0, len(body), 50)] for body in bodies]
    encoder = UIMessageEncoder()
    cut, *_ahead = [encoder.encode(event) for event in (TextDelta("A"), ReasoningDelta("b"))]
    behind = cut + encoder.encode_interruption(_refusals.too_slow(7))
    *seen, of_behind, of_cut = by_ai_sdk([*([body] for body in bodies), *split, [behind], [cut]])
    for body, found in zip(bodies * 2, seen, strict=True):
        check(found, read(body))
    assert of_behind["error"].endswith("its reader is too slow: 7 bytes wait for it")
    # The SDK takes the end of the bytes for the end of the message. So ours always have an end.
    assert (of_cut["status"], of_cut["error"], of_cut["finishReason"]) == ("ready", None, None)


def test_the_function_of_the_page_shows_a_message(tmp_path: Path) -> None:
    (code,) = (code for kind, code in BLOCK.findall(PAGE.read_text()) if kind == "js")
    (tmp_path / "shown.mjs").write_text(code)
    texts = read(encoded(UIMessageEncoder(), [*TEXT, END_OF_TEXT]))
    growing = {"parts": texts["parts"][:1]}
    segment = read(encoded(UIMessageEncoder(), [BOX, PathChunk("M 0 0 L 1"), END_OF_SEGMENT]))
    detect = read(encoded(UIMessageEncoder(), [END_OF_DETECT]))
    program = "import { shown } from './shown.mjs'; console.log(JSON.stringify(%s.map(shown)))"
    messages = json.dumps([growing, texts, segment, detect])
    done = subprocess.run(
        [need_node(), "--input-type=module", "--eval", program % messages],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=True,
    )
    first, second, third, fourth = json.loads(done.stdout)
    assert first["text"] == "A mö\ud83c"
    assert (second["text"], second["reasoning"]) == ("A moon.", "It is round.")
    assert (third["path"], third["box"]["x_min"]) == ("M 0 0 L 1 1 z", 0.15)
    assert [box["x_min"] for box in fourth["boxes"]] == [0.1, 0.15]


@pytest.mark.slow
def test_any_stream_is_read_alike() -> None:
    drawn: list[tuple[bytes, list[bytes]]] = []

    @settings(max_examples=300, database=None)
    @given(data=st.data(), skill=st.sampled_from(sorted(REQUESTS)), fails=st.booleans())
    def draw(data: st.DataObject, skill: str, fails: bool) -> None:
        dialect = Dialect.CHAT if skill == "chat" else Dialect.ENGINE
        events = data.draw(strategies.events(skill, dialect))
        error = data.draw(strategies.values("api_error")) if fails else None
        assert error is None or isinstance(error, MoondreamError)
        encoder = open_encoder(Format.UI_MESSAGE, REQUESTS[skill])
        body = encoded(encoder, events[:-1] if fails else events, error)
        drawn.append((body, data.draw(strategies.fragmentations(body))))

    draw()
    seen = by_ai_sdk(chunks for _, chunks in drawn)
    for (body, _), found in zip(drawn, seen, strict=True):
        check(found, read(body))
