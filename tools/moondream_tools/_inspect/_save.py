"""A broken recording as a file: as a recording, or as a test for pytest.

1. A file is text for the page, which downloads it. Nothing is written here.
2. It is masked as recordings are when they are made, once more: somebody may have written the
   recording by hand. Only a compressed body cannot be searched for secrets.
3. A test has its recording in itself and needs nothing else. It expects what our client makes of
   the recording now, so it passes. Whoever saves it puts another client in place of ours.
"""

from __future__ import annotations

import json
import pprint
import re
from typing import Any, NamedTuple

from msgspec.structs import replace

from moondream_tools._convert import request_of
from moondream_tools._service import skill_of
from moondream_tools.trace import Trace
from moondream_transports import Client, Match, ReplayTransport
from sansio_moondream import Endpoint, HTTPRequest, MoondreamError, Request
from sansio_moondream._errors import shorten
from sansio_moondream.recording import (
    Chunk,
    Recording,
    RecordingHeader,
    mask_chunks,
    mask_text,
)


def redacted(recording: Recording) -> Recording:
    """Return the recording with everything masked that a recorder masks."""
    given = recording.header
    request = HTTPRequest(
        given.method,
        f"http://localhost{given.path}",
        given.request_headers,
        json.dumps(given.request_body).encode(),
    )
    safe = RecordingHeader.of(request, given.status_code, given.response_headers)
    header = replace(
        given,
        path=safe.path,
        request_headers=safe.request_headers,
        request_body=safe.request_body,
        response_headers=safe.response_headers,
    )
    chunks = recording.chunks
    if Trace.of(recording).inflated is None:  # whatever its head says
        masked = mask_chunks([chunk.data for chunk in chunks])
        chunks = tuple(map(Chunk, (chunk.seconds for chunk in chunks), masked))
    ending = replace(recording.ending, message=mask_text(recording.ending.message))
    return Recording(header, chunks, ending)


def file_name(name: str, what: str, suffix: str) -> str:
    """Return a name for a file: of the recording, with what was done to it."""
    return f"{_word(name)}-{_word(what)}{suffix}"


def as_test(name: str, recording: Recording, what: str) -> str:
    """Return the program of a test.

    Args:
        name: of the recording.
        recording: the broken one.
        what: was done to it, in words.

    Raises:
        ValueError: no request of ours has the recorded path.
    """
    skill = skill_of(recording.header.path)
    if recording.header.method != "POST":
        raise ValueError(
            f"a test needs a request by POST, not by {shorten(recording.header.method, 40)!r}: "
            "save it as a recording"
        )
    if skill not in _REQUESTS:
        raise ValueError(
            f"a test needs the recording of a skill, and {shorten(recording.header.path, 80)} is "
            f"none of {', '.join(_REQUESTS)}: save it as a recording"
        )
    events, error, result = _outcome(recording, request_of(skill))
    request, *needed = _REQUESTS[skill]
    core = {"Endpoint", *needed}
    if error is not None:
        core.add(type(error).__name__)
    if "IMAGE" in request:
        core.add("encode_image")
    program = [
        f'"""{_line(name)}, {_line(what)}. Saved by `moondream-stream inspect`."""',
        "",
        *(["import pytest", ""] if error is not None else []),
        "from moondream_transports import Client, Match, ReplayTransport",
        f"from sansio_moondream import {', '.join(sorted(core))}",
        "from sansio_moondream.recording import Recording",
        "",
        "RECORDING = Recording.decode(",
        "    (",
        *(f"        {line!r}" for line in recording.encode().decode().splitlines(keepends=True)),
        "    ).encode()",
        ")",
        *([_IMAGE] if "IMAGE" in request else []),
        f"REQUEST = {request}",
        f"EVENTS = {_literal(events)}",
        f"RESULT = {_literal(result)}",
        "",
        "",
        f"def test_{_word(name)}_{_word(what)}():",
        "    transport = ReplayTransport([RECORDING], speed=None, match=Match.SKILL)",
        "    events = []",
        *(_ENDS_WELL if error is None else _raises(type(error).__name__)),
        "",
    ]
    return "\n".join(program)


# By skill: the code of a request, and the names that it needs.
_REQUESTS: dict[str, tuple[str, ...]] = {
    "query": ('QueryRequest(question="?")', "QueryRequest"),
    "caption": ("CaptionRequest(image=IMAGE)", "CaptionRequest"),
    "segment": ('SegmentRequest(image=IMAGE, object="?")', "SegmentRequest"),
    "detect": ('DetectRequest(image=IMAGE, object="?")', "DetectRequest"),
    "point": ('PointRequest(image=IMAGE, object="?")', "PointRequest"),
    "chat": ('ChatRequest(messages=[ChatMessage("user", "?")])', "ChatMessage", "ChatRequest"),
}
_IMAGE = """# A recording holds no picture. Any will do, as `Match.SKILL` compares only the skill.
IMAGE = encode_image(
    bytes.fromhex("47494638396101000100800000000000ffffff2c00000000010001000002024401003b")
)"""
_READ = (
    "Client(transport, Endpoint()).stream(REQUEST) as stream:",
    "        events.extend(event.to_dict() for event in stream)",
)
_ENDS_WELL = (
    f"    with {_READ[0]}",
    _READ[1],
    "    assert events == EVENTS",
    "    assert stream.result().to_dict() == RESULT",
)


def _raises(name: str) -> tuple[str, ...]:
    return (
        f"    with pytest.raises({name}) as raised, {_READ[0]}",
        _READ[1],
        f"    assert type(raised.value) is {name}",
        "    assert events == EVENTS",
        "    partial = raised.value.partial",
        "    assert (partial and partial.to_dict()) == RESULT",
    )


class _Outcome(NamedTuple):
    events: list[dict[str, Any]]
    error: MoondreamError | None
    result: dict[str, Any] | None


def _outcome(recording: Recording, request: Request[Any]) -> _Outcome:
    """Return what our client makes of a recording."""
    transport = ReplayTransport([recording], speed=None, match=Match.SKILL)
    events: list[dict[str, Any]] = []
    try:
        with Client(transport, Endpoint()).stream(request) as stream:
            for event in stream:
                events.append(event.to_dict())
            return _Outcome(events, None, stream.result().to_dict())
    except MoondreamError as error:
        partial = error.partial
        return _Outcome(events, error, None if partial is None else partial.to_dict())


def _literal(value: Any) -> str:
    return pprint.pformat(value, width=96, sort_dicts=False)


def _line(text: str) -> str:
    """Return a text for a docstring: nothing in it ends the string or the line."""
    return re.sub(r"[^\w .,:;@/()-]", "_", text, flags=re.ASCII)[:80]


def _word(text: str) -> str:
    """Return a text for the name of a file or a function."""
    return re.sub(r"\W+", "_", text.removesuffix(".jsonl"), flags=re.ASCII).strip("_")[:60]
