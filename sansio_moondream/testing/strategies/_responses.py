"""Strategies for responses: streams, whole JSON answers and errors, with their outcomes."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from sansio_moondream._errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    PayloadTooLargeError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
)
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
_JSON_HEADS: st.SearchStrategy[Head] = st.sampled_from(
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
    dialect = dialect or _dialect(draw, skill)
    head = draw(_STREAM_HEADS)
    made = draw(events(skill, dialect, head))
    messages = _messages(draw, made, dialect)
    data = event_stream(draw, [(None, message) for message in messages])
    if dialect is Dialect.CHAT and not draw(_booleans):  # not every server sends it
        data += _DONE
    return Response(draw(requests(skill)), 200, head, data, made, None, dialect)


def _dialect(draw: st.DrawFn, skill: str) -> Dialect:
    drawn = draw(_DIALECTS)  # for a chat, too: fewer draws would make it simpler than a query
    return Dialect.CHAT if skill == "chat" else drawn


def _messages(draw: st.DrawFn, made: list[Event], dialect: Dialect) -> list[Fields]:
    """Encode events as messages, with variations of this dialect's servers."""
    encoded = [(event, message) for event in made for message in _encoded(event, dialect)]
    messages = [message for _, message in encoded]
    if not draw(_booleans):
        return messages
    if dialect is Dialect.CHAT:
        return _whole_choice(draw, messages)
    end = messages[-1]
    for event, message in encoded:
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


def _encoded(event: Event, dialect: Dialect) -> list[Fields]:
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
    head = draw(_JSON_HEADS)
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


_STATUSES: st.SearchStrategy[tuple[int, type[APIError]]] = st.sampled_from(
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (402, PaymentRequiredError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (413, PayloadTooLargeError),
        (418, APIError),
        (422, BadRequestError),
        (429, RateLimitError),
        (500, ServerError),
        (502, ServerError),
        (503, ServerError),
        (504, ServerError),
    ]
)
_CLASSES_BY_TYPE: dict[str | None, type[APIError]] = {
    None: APIError,
    "invalid_request_error": BadRequestError,
    "authentication_error": AuthenticationError,
    "permission_error": PermissionDeniedError,
    "not_found_error": NotFoundError,
    "request_too_large": PayloadTooLargeError,
    "rate_limit_error": RateLimitError,
    "server_error": ServerError,
    "overloaded_error": ServerError,
    "no_moon_tonight": APIError,
}
_TYPES = st.sampled_from([*_CLASSES_BY_TYPE])
_PLACES = st.sampled_from(["JSON", "status", "stream"])
_SHAPES = st.sampled_from(["text", "texts", "object", "gateway", "detail", "validation"])
_CODES = st.sampled_from(["500", 502, "429", 404, 418, 600, "insufficient_quota", None])
_CLASSES_BY_CODE: dict[str | None, type[APIError]] = {
    "500": ServerError,
    "502": ServerError,
    "429": RateLimitError,
    "404": NotFoundError,
}
_EVENT_NAMES = st.sampled_from([None, "error"])
_words = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=12)
_optional_words = st.none() | _words
_PAGES = st.sampled_from(
    [
        (b"", "(it gave no reason)"),
        (b"upstream connect error\n", "upstream connect error"),
        (
            b"<html><head><title>502 Bad Gateway</title></head><body><h1>nginx</h1></body></html>",
            "502 Bad Gateway",
        ),
    ]
)
_RETRY_AFTER: st.SearchStrategy[tuple[Head, float | None]] = st.sampled_from(
    [
        ((), None),
        ((("Retry-After", "7"),), 7.0),
        ((("Retry-After", "0.5"),), 0.5),
        ((("Retry-After", "Sun, 22 Nov 2026 18:50:55 GMT"),), None),
        ((("Retry-After", "7"), ("Retry-After-Ms", "1500")), 1.5),
    ]
)


@st.composite
def error_answers(draw: st.DrawFn, skill: str | None = None) -> Response:
    """Generate error answers to a request of a skill or of any.

    The error is an HTTP status, JSON in a 200, or a message in a stream, in each of the shapes of
    servers and proxies. A body that is not JSON comes only with a status.

    Args:
        skill: such as `"query"`. None generates any.

    Raises:
        ValueError: there is no such skill.
    """
    skill = skill or draw(skills)
    request = draw(requests(skill))
    body, message, fields = _error_body(draw)
    place = draw(_PLACES)
    if place == "stream":
        dialect = _dialect(draw, skill)
        *made, _ = draw(events(skill, dialect))
        messages = [(None, message) for event in made for message in _encoded(event, dialect)]
        data = event_stream(draw, [*messages, (draw(_EVENT_NAMES), body)])
        error = _error_in_200(fields, message, EVENT_STREAM)
        return Response(request, 200, EVENT_STREAM, data, made, error, dialect)
    head = draw(_JSON_HEADS)
    if place == "JSON":
        if body == {"error": message} and draw(_booleans):
            body = {"message": message}  # only as the whole body it is an error
        error = _error_in_200(fields, message, head)
        return Response(request, 200, head, json_text(draw, body), [], error)
    status_code, kind = draw(_STATUSES)
    retry_after, seconds = draw(_RETRY_AFTER)
    head += retry_after
    data = json_text(draw, body)
    if draw(_booleans):
        (data, message), fields = draw(_PAGES), {}
    fields |= {"status_code": status_code, "headers": Headers(head), "retry_after": seconds}
    return Response(request, status_code, head, data, [], kind(message, **fields))


def _error_body(draw: st.DrawFn) -> tuple[Fields, str, Fields]:
    """Generate the JSON of an error, its message, and its other fields."""
    message = draw(_words)
    match draw(_SHAPES):
        case "text":
            return {"error": message}, message, {}
        case "texts":
            detail = draw(_words)
            both = message if detail == message else f"{message}: {detail}"
            return {"error": message, "detail": detail}, both, {}
        case "object":
            fields: Fields = {"type": draw(_TYPES)}
            fields |= {"code": draw(_optional_words), "param": draw(_optional_words)}
            return {"error": {"message": message, **fields}}, message, fields
        case "gateway":  # it puts the status of the server behind it into the code
            code = draw(_CODES)
            error = {"message": message, "type": None, "code": code}
            return {"error": error}, message, {"code": None if code is None else str(code)}
        case "detail":
            return {"detail": message}, message, {}
        case _:
            field = draw(_words)
            item = {"loc": ["body", field], "msg": message, "type": "missing"}
            return {"detail": [item]}, f"body.{field}: {message}", {}


def _error_in_200(fields: Fields, message: str, head: Head) -> APIError:
    kind = _CLASSES_BY_TYPE[fields.get("type")]
    if kind is APIError:
        kind = _CLASSES_BY_CODE.get(fields.get("code"), APIError)
    return kind(message, status_code=200, headers=Headers(head), **fields)
