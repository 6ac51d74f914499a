"""Strategies for answers that are errors, with their outcomes."""

from __future__ import annotations

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
from sansio_moondream._headers import Headers
from sansio_moondream.testing._outcomes import EVENT_STREAM
from sansio_moondream.testing._responses import Response

from ._answers import JSON_HEADS, Fields, Head, dialect_of, encoded
from ._encoding import event_stream, json_text
from ._events import events
from ._requests import requests, skills

_booleans = st.booleans()
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
        dialect = dialect_of(draw, skill)
        *made, _ = draw(events(skill, dialect))
        messages = [(None, message) for event in made for message in encoded(event, dialect)]
        data = event_stream(draw, [*messages, (draw(_EVENT_NAMES), body)])
        error = _error_in_200(fields, message, EVENT_STREAM)
        return Response(request, 200, EVENT_STREAM, data, made, error, dialect)
    head = draw(JSON_HEADS)
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
