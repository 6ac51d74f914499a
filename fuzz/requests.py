"""`decode_request` on requests that are changed: fields, JSON, bytes, paths and heads.

For each request:

1. It is decoded, or refused by an `APIError` with one of the documented statuses. No other error is
   raised.
2. A refusal decodes to itself after `encode_error`, in each dialect that can carry it.
3. What was decoded, and is sent on by `to_http`, decodes to the same. Its `extra_body` has no field
   of a request of the skill.
4. A request that was not changed is decoded to itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from hypothesis import strategies as st
from msgspec.structs import replace

import sansio_moondream as sm
from sansio_moondream.testing import strategies

from .mutations import mutated
from .streams import check

_ENDPOINT = sm.Endpoint("http://localhost:2020/v1")
_STATUS_CODES: Final = (400, 404, 405, 413, 415)
_MAX_MESSAGE: Final = 500
_NAMES = st.sampled_from(
    [
        *("question", "object", "image_url", "length", "stream", "settings", "model", "more"),
        *("spatial_refs", "reasoning", "messages", "role", "content", "type", "text", "url"),
        *("detail", "temperature", "top_p", "max_tokens", "max_completion_tokens", "max_objects"),
        *("n", "chunk", "choices"),
    ]
)
_PICTURE = sm.encode_image(b"\x89PNG\r\n\x1a\n").data_url
_WORDS = st.sampled_from(
    [
        *("", " ", "moon", "\ud83c", "short", "user", "system", "text", "image_url", "low"),
        *(_PICTURE, _PICTURE.partition(",")[2], "data:image/png,AAAA", "data:image", "%", "QUI="),
    ]
)
_NUMBERS = st.sampled_from([0, 1, -1, 2, 0.5, 1.5, 2**63, 2**64, 10**30, 1e308, float("inf")])
_VALUES = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _WORDS | st.text(max_size=9),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(_NAMES, values, max_size=4),
    max_leaves=6,
)
_PATHS = st.sampled_from(
    [
        *("/v1/query", "/caption", "/x/y/segment?z=/detect", "detect", "/v1/point", "/v1/chat"),
        *("/v1/chat/completions", "/completions", "/v1/query/", "", "/v1/models", "?/query"),
    ]
)
_HEADERS = st.sampled_from(
    [(), {"Content-Encoding": "identity"}, [(b"content-encoding", b"gzip, br")]]
)


class Received(NamedTuple):
    """A request as bytes, and the request that it was made of, if it is not changed."""

    method: str
    path: str
    headers: Any
    body: bytes
    dialect: sm.Dialect
    sent: sm.DecodedRequest | None


def _containers(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _containers(inner)


def _change(draw: st.DrawFn, value: Any) -> None:
    """Set, add or remove one field or item, at any depth."""
    where = draw(st.sampled_from([*_containers(value)]))
    if isinstance(where, list):
        at = draw(st.integers(0, len(where)))
        where[at : at + draw(st.integers(0, 1))] = draw(st.lists(_VALUES, max_size=1))
    elif where and draw(st.booleans()):
        del where[draw(st.sampled_from([*where]))]
    else:
        where[draw(_NAMES | st.sampled_from([*where] or ["more"]))] = draw(_VALUES)


@st.composite
def received(draw: st.DrawFn) -> Received:
    """Generate a request. It shrinks to one that is not changed."""
    request = draw(strategies.requests())
    stream = draw(st.booleans())
    http = request.to_http(_ENDPOINT, stream)
    dialect = draw(st.sampled_from([sm.Dialect.STATION, sm.Dialect.ENGINE]))
    fields = json.loads(http.body)
    changes = draw(st.integers(0, 3))
    for _ in range(changes):
        _change(draw, fields)
    body = mutated(draw, json.dumps(fields).encode() if changes else http.body)
    path = draw(st.just(http.url) | st.just(http.url) | _PATHS)
    headers = draw(st.just(http.headers) | st.just(http.headers) | _HEADERS)
    method = draw(st.sampled_from(["POST", "POST", "POST", "GET", ""]))
    unchanged = (method, path, headers, body) == (http.method, http.url, http.headers, http.body)
    sent = sm.DecodedRequest(_as_sent(request), stream and request.streams, {})
    refused = dialect is sm.Dialect.ENGINE and request.skill == "query" and stream
    return Received(
        method, path, headers, body, dialect, sent if unchanged and not refused else None
    )


def _as_sent(request: sm.Request[Any]) -> sm.Request[Any]:
    """Return a request with what its body says of it: a chat names its model in any case."""
    if not isinstance(request, sm.ChatRequest):
        return request
    settings = None if request.settings == sm.Settings() else request.settings
    return replace(request, model=request.model or "moondream3-preview", settings=settings)


def check_request(case: Received) -> None:
    """Check one request against all that is said above."""
    try:
        seen = sm.decode_request(*case[:5])
    except sm.APIError as error:
        check(case.sent is None, "a valid request is refused", case, error)
        _check_refusal(error, case)
        return
    check(case.sent in (None, seen), "another request was sent", case, seen)
    http = seen.request.to_http(_ENDPOINT, seen.stream, seen.extra_body)
    own = json.loads(seen.request.to_http(_ENDPOINT, seen.stream).body)
    check(own.keys().isdisjoint(seen.extra_body), "a field is in both", case, seen)
    again = sm.decode_request(http.method, http.url, http.headers, http.body, case.dialect)
    # A number that is not finite has no JSON: it is sent on as null.
    extra = json.loads(http.body)
    expected = sm.DecodedRequest(
        _as_sent(seen.request), seen.stream, {name: extra[name] for name in seen.extra_body}
    )
    check(again == expected, "it is another request when it is sent on", case, seen, again)


def _check_refusal(error: sm.APIError, case: Received) -> None:
    check(error.status_code in _STATUS_CODES, "an undocumented status", case, error)
    check(0 < len(error.message) < _MAX_MESSAGE, "a message that is too long", case, error)
    for dialect in sm.Dialect:
        stream: sm.ResponseStream[Any] = sm.ResponseStream(sm.QueryRequest(question="?"))
        response = sm.encode_error(error, dialect)
        stream.receive_response(response.status_code, response.headers)
        stream.receive_data(response.body)
        stream.receive_eof()
        try:
            stream.result()
        except sm.APIError as seen:
            check(seen.message.split() == error.message.split(), "another message", error, seen)
            if dialect is not sm.Dialect.STATION:
                check(type(seen) is type(error), "another class", error, seen)
            if dialect is sm.Dialect.CLOUD:
                right = (seen.type, seen.param) == (error.type, error.param)
                check(right, "another type or param", error, seen)
