"""Whole responses: streams in every dialect and spelling, whole JSON answers, and errors, each with
what must come out of it.
"""

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

from ._events import events, result
from ._forms import event_stream, json_text
from ._requests import requests, skills

Fields = dict[str, Any]
Head = tuple[tuple[str, str], ...]

_STREAM_HEADS: st.SearchStrategy[Head] = st.sampled_from(
    [
        EVENT_STREAM,
        (("Content-Type", "text/event-stream; charset=utf-8"), ("Cache-Control", "no-cache")),
        (("server", "uvicorn"),),  # it is the first byte that tells
    ]
)
_JSON_HEADS: st.SearchStrategy[Head] = st.sampled_from(
    [
        (("content-type", "application/json"),),
        (("Content-Type", "application/json; charset=utf-8"),),
    ]
)
_DIALECTS = st.sampled_from([dialect for dialect in Dialect if dialect is not Dialect.CHAT])
_own_skills = skills.filter(lambda skill: skill != "chat")
_DONE = b"data: [DONE]\n\n"
_STATS = st.sampled_from(["_stats", "stats"])
_choices = st.booleans()
_ABSENT = st.lists(
    st.sampled_from(["token_index", "request_id", "finish_reason", "metrics", "stats"]), max_size=2
)


@st.composite
def streams(draw: st.DrawFn, skill: str | None = None, dialect: Dialect | None = None) -> Response:
    """A whole streamed answer as bytes, of one skill and dialect or of any.

    It is spelled as a server or a proxy may: line ends, comments, other fields, JSON on several
    lines, escaped or raw; null for what is not there; text in the last message. Raises ValueError
    for a skill that there is not."""
    skill = skill or (
        "chat" if dialect is Dialect.CHAT else draw(skills if dialect is None else _own_skills)
    )
    dialect = dialect or _dialect(draw, skill)
    head = draw(_STREAM_HEADS)
    made = draw(events(skill, dialect, head))
    messages = _messages(draw, made, dialect)
    data = event_stream(draw, [(None, message) for message in messages])
    if dialect is Dialect.CHAT and not draw(_choices):  # not every server sends it
        data += _DONE
    return Response(draw(requests(skill)), 200, head, data, made, None, dialect)


def _dialect(draw: st.DrawFn, skill: str) -> Dialect:
    drawn = draw(
        _DIALECTS
    )  # for a chat too, so that what has fewer choices is no smaller than a query
    return Dialect.CHAT if skill == "chat" else drawn


def _messages(draw: st.DrawFn, made: list[Event], dialect: Dialect) -> list[Fields]:
    """The messages of a stream as this dialect's servers may have them, and not only as
    `encode_events` has them.
    """
    encoded = [(event, message) for event in made for message in _encoded(event, dialect)]
    messages = [message for _, message in encoded]
    if dialect is Dialect.CHAT or not draw(_choices):
        return messages
    end = messages[-1]
    for event, message in encoded:
        if not isinstance(event, Unknown):
            message |= {name: None for name in draw(_ABSENT) if name not in message}
            if dialect is Dialect.CLOUD and "request_id" in end:
                message["request_id"] = end["request_id"]
    if dialect is Dialect.ENGINE and len(made) > 1 and isinstance(made[-2], TextDelta):
        last = messages[-2]
        messages[-2:] = [
            last | end | {name: last[name] for name in ("chunk", "token_index") if name in last}
        ]
    return messages


def _encoded(event: Event, dialect: Dialect) -> list[Fields]:
    records = encode_events([event], dialect).removesuffix(_DONE).split(b"\n\n")[:-1]
    return [json.loads(record.removeprefix(b"data: ")) for record in records]


@st.composite
def whole_answers(draw: st.DrawFn, skill: str | None = None) -> Response:
    """A whole answer as one JSON object, of one skill or of any.

    Raises ValueError for a skill that there is not.
    """
    skill = skill or draw(skills)
    head = draw(_JSON_HEADS)
    whole = result(draw, skill, None, [], Headers(head))
    fields: Fields = json.loads(
        encode_result(whole, Dialect.CHAT if skill == "chat" else Dialect.ENGINE)
    )
    if (stats := whole.metadata.stats) is not None:
        fields[draw(_STATS)] = {name: getattr(stats, name) for name in stats.__struct_fields__}
    made: list[Event] = []
    if isinstance(whole, ChatResult) and whole.reasoning is not None and whole.reasoning.text:
        made.append(ReasoningDelta(whole.reasoning.text))
    if text := getattr(whole, "text", ""):
        made.append(TextDelta(text))
    made.append(Completed(whole))
    return Response(draw(requests(skill)), 200, head, json_text(draw, fields), made)


# --- Errors

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
_KIND_BY_TYPE: dict[str | None, type[APIError]] = {
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
_TYPES = st.sampled_from([*_KIND_BY_TYPE])
_PLACES = st.sampled_from(["JSON", "status", "stream"])
_SHAPES = st.sampled_from(["text", "texts", "object", "detail", "validation"])
_NAMES = st.sampled_from([None, "error"])
_words = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=12)
_maybe_words = st.none() | _words
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
_WAITS: st.SearchStrategy[tuple[str | None, float | None]] = st.sampled_from(
    [(None, None), ("7", 7.0), ("0.5", 0.5), ("Sun, 22 Nov 2026 18:50:55 GMT", None)]
)


@st.composite
def error_answers(draw: st.DrawFn, skill: str | None = None) -> Response:
    """An error answer to a request of one skill or of any: an HTTP status, JSON in a 200, or a
    message amid a stream.

    The error is in each of the shapes that servers and proxies have; those that are not JSON come
    only with a status. Raises ValueError for a skill that there is not."""
    skill = skill or draw(skills)
    request = draw(requests(skill))
    about: Fields = {}
    body, message = _errors(draw, about)
    where = draw(_PLACES)
    if where == "stream":
        dialect = _dialect(draw, skill)
        *made, _ = draw(events(skill, dialect))
        messages = [(None, message) for event in made for message in _encoded(event, dialect)]
        name = draw(_NAMES)
        data = event_stream(draw, [*messages, (name, body)])
        return Response(
            request,
            200,
            EVENT_STREAM,
            data,
            made,
            _error(about, message, 200, EVENT_STREAM),
            dialect,
        )
    head = draw(_JSON_HEADS)
    if where == "JSON":
        return Response(
            request, 200, head, json_text(draw, body), [], _error(about, message, 200, head)
        )
    status_code, kind = draw(_STATUSES)
    wait, about["retry_after"] = draw(_WAITS)
    head += () if wait is None else (("Retry-After", wait),)
    data = json_text(draw, body)
    if draw(_choices):
        data, message = draw(_PAGES)
        about = {"retry_after": about["retry_after"]}
    return Response(
        request,
        status_code,
        head,
        data,
        [],
        kind(message, status_code=status_code, headers=Headers(head), **about),
    )


def _errors(draw: st.DrawFn, about: Fields) -> tuple[Fields, str]:
    """The JSON of an error and the message that it comes to; what else it says is put into `about`."""
    message = draw(_words)
    match draw(_SHAPES):
        case "text":
            return {"error": message}, message
        case "texts":
            detail = draw(_words)
            return {
                "error": message,
                "detail": detail,
            }, message if detail == message else f"{message}: {detail}"
        case "object":
            about["type"] = draw(_TYPES)
            about["code"], about["param"] = draw(_maybe_words), draw(_maybe_words)
            return {"error": {"message": message, **about}}, message
        case "detail":
            return {"detail": message}, message
        case _:
            field = draw(_words)
            return {
                "detail": [{"loc": ["body", field], "msg": message, "type": "missing"}]
            }, f"body.{field}: {message}"


def _error(about: Fields, message: str, status_code: int, head: Head) -> APIError:
    return _KIND_BY_TYPE[about.get("type")](
        message, status_code=status_code, headers=Headers(head), **about
    )
