"""Strategies for answers: streams and whole JSON, with their outcomes."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from sansio_moondream._events import Completed, Event, ReasoningDelta, TextDelta, Unknown
from sansio_moondream._headers import Headers
from sansio_moondream._results import ChatResult
from sansio_moondream._wire.encode import Dialect, encode_events, encode_result
from sansio_moondream.testing._outcomes import EVENT_STREAM
from sansio_moondream.testing._responses import Response

from ._encoding import event_stream, json_text
from ._events import events, result
from ._requests import requests, skills

Fields = dict[str, Any]
Head = tuple[tuple[str, str], ...]

_STREAM_HEADS: st.SearchStrategy[Head] = st.sampled_from(
    [
        EVENT_STREAM,
        (("Content-Type", "text/event-stream; charset=utf-8"), ("Cache-Control", "no-cache")),
        (("server", "uvicorn"),),  # the first byte decides
        (*EVENT_STREAM, ("content-encoding", "none")),
        EVENT_STREAM * 2,
    ]
)
JSON_HEADS: st.SearchStrategy[Head] = st.sampled_from(
    [
        (("content-type", "application/json"),),
        (("Content-Type", "application/json; charset=utf-8"),),
        (("content-type", "application/json"), ("content-encoding", "identity, identity")),
        EVENT_STREAM,  # the wrong label: the first byte decides
    ]
)
_DIALECTS = st.sampled_from([dialect for dialect in Dialect if dialect is not Dialect.CHAT])
_moondream_skills = skills.filter(lambda skill: skill != "chat")
_DONE = b"data: [DONE]\n\n"
_stats_names = st.sampled_from(["_stats", "stats"])
_booleans = st.booleans()
_no_errors: st.SearchStrategy[Any] = st.sampled_from([None, "", False, {}, []])
_null_fields = st.lists(
    st.sampled_from(["token_index", "request_id", "finish_reason", "metrics", "stats", "error"]),
    max_size=2,
)


@st.composite
def streams(draw: st.DrawFn, skill: str | None = None, dialect: Dialect | None = None) -> Response:
    """Generate whole streamed answers of a skill and a dialect, or of any.

    Their format is that of any server or proxy: line ends, comments, other fields, JSON on several
    lines, escaped or raw, null for absent fields, text in the last message.

    Args:
        skill: such as `"query"`. None generates any.
        dialect: of the server. None generates any.

    Raises:
        ValueError: there is no such skill.
    """
    if skill is None and dialect is not None:
        skill = "chat" if dialect is Dialect.CHAT else draw(_moondream_skills)
    skill = skill or draw(skills)
    dialect = dialect or dialect_of(draw, skill)
    head = draw(_STREAM_HEADS)
    made = draw(events(skill, dialect, head))
    messages = _messages(draw, made, dialect)
    data = event_stream(draw, [(None, message) for message in messages])
    if dialect is Dialect.CHAT and not draw(_booleans):  # not every server sends it
        data += _DONE
    return Response(draw(requests(skill)), 200, head, data, made, None, dialect)


def dialect_of(draw: st.DrawFn, skill: str) -> Dialect:
    drawn = draw(_DIALECTS)  # for a chat, too: fewer draws would make it simpler than a query
    return Dialect.CHAT if skill == "chat" else drawn


def _messages(draw: st.DrawFn, made: list[Event], dialect: Dialect) -> list[Fields]:
    """Encode events as messages, with variations of this dialect's servers."""
    pairs = [(event, message) for event in made for message in encoded(event, dialect)]
    messages = [message for _, message in pairs]
    if not draw(_booleans):
        return messages
    if dialect is Dialect.CHAT:
        return _whole_choice(draw, messages)
    end = messages[-1]
    for event, message in pairs:
        if not isinstance(event, Unknown):
            absent = {name: None for name in draw(_null_fields) if name not in message}
            if absent.pop("error", True) is None and message is not end:
                absent["error"] = draw(_no_errors)
            message |= absent
            if dialect is Dialect.CLOUD and "request_id" in end:
                message["request_id"] = end["request_id"]
    if dialect is Dialect.ENGINE and len(made) > 1 and isinstance(made[-2], TextDelta):
        last = messages[-2]  # its text moves into the last message
        last.pop("error", None)
        delta = {name: last[name] for name in ("chunk", "token_index") if name in last}
        is_all = delta["chunk"] in (end.get("answer"), end.get("caption"))
        if is_all and len(messages) == 2 and draw(_booleans):
            delta["chunk"] = None  # the whole text is the delta
        messages[-2:] = [last | end | delta]
    return messages


def _whole_choice(draw: st.DrawFn, messages: list[Fields]) -> list[Fields]:
    """Let the first text of a chat come as some servers send it, outside of a delta."""
    choices: list[Fields] = messages[0].get("choices") or [{}]
    choice = choices[0]
    delta: Fields = choice.get("delta") or {}
    if delta.keys() == {"content"}:
        text: str = delta["content"]
        forms: list[Fields] = [
            {"message": delta, "delta": None},
            {"message": {"content": [{"type": "text", "text": text}]}, "delta": {}},
            {"text": text, "delta": None},
            {"text": text, "delta": {"role": "assistant", "content": ""}},
        ]
        choice |= draw(st.sampled_from(forms))
    return messages


def encoded(event: Event, dialect: Dialect) -> list[Fields]:
    records = encode_events([event], dialect).removesuffix(_DONE).split(b"\n\n")[:-1]
    return [json.loads(record.removeprefix(b"data: ")) for record in records]


@st.composite
def whole_answers(draw: st.DrawFn, skill: str | None = None) -> Response:
    """Generate whole answers of a skill or of any, each as one JSON object.

    Args:
        skill: such as `"query"`. None generates any.

    Raises:
        ValueError: there is no such skill.
    """
    skill = skill or draw(skills)
    head = draw(JSON_HEADS)
    whole = result(draw, skill, None, [], Headers(head))
    dialect = Dialect.CHAT if skill == "chat" else Dialect.ENGINE
    fields: Fields = json.loads(encode_result(whole, dialect))
    if (stats := whole.metadata.stats) is not None:
        fields[draw(_stats_names)] = {
            name: getattr(stats, name) for name in stats.__struct_fields__
        }
    made: list[Event] = []
    if isinstance(whole, ChatResult) and whole.reasoning is not None and whole.reasoning.text:
        made.append(ReasoningDelta(whole.reasoning.text))
    if text := getattr(whole, "text", ""):
        made.append(TextDelta(text))
    made.append(Completed(whole))
    return Response(draw(requests(skill)), 200, head, json_text(draw, fields), made)
