"""`encode_error` and `encode_stream_error`: what a server sends decodes to the same error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sansio_moondream import (
    APIError,
    AuthenticationError,
    BadRequestError,
    Dialect,
    Headers,
    NotFoundError,
    PayloadTooLargeError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
    ResponseStream,
    ServerError,
    TextDelta,
    encode_error,
    encode_events,
    encode_stream_error,
)
from sansio_moondream.testing import EVENT_STREAM
from tests.helpers import REQUESTS

CLASSES: dict[int, type[APIError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: PaymentRequiredError,
    403: PermissionDeniedError,
    404: NotFoundError,
    405: APIError,
    413: PayloadTooLargeError,
    422: BadRequestError,
    429: RateLimitError,
    500: ServerError,
    503: ServerError,
}
TYPES = {
    "rate_limit_error": RateLimitError,
    "not_found_error": NotFoundError,
    "server_error": ServerError,
}
texts = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=20)
OBJECTS = [Dialect.CLOUD, Dialect.DEMO, Dialect.CHAT]
each_dialect = pytest.mark.parametrize("dialect", Dialect)


def decoded(
    error: APIError, dialect: Dialect = Dialect.ENGINE, *, stream: bool = False
) -> APIError:
    """Return the error that a client of a query sees."""
    decoder = ResponseStream(REQUESTS["query"])
    if stream:
        decoder.receive_response(200, EVENT_STREAM)
        decoder.receive_data(encode_stream_error(error))
    else:
        status_code, headers, body = encode_error(error, dialect)
        decoder.receive_response(status_code, headers)
        decoder.receive_data(body)
    decoder.receive_eof()
    with pytest.raises(APIError) as caught:
        decoder.result()
    return caught.value


def said(error: APIError) -> dict[str, Any]:
    names = ("message", "status_code", "type", "code", "param", "retry_after", "request_id")
    return {"class": type(error), **{name: getattr(error, name) for name in names}}


def without(error: APIError, *names: str, **changed: Any) -> dict[str, Any]:
    return said(error) | dict.fromkeys(names) | changed


@st.composite
def errors(draw: st.DrawFn) -> APIError:
    status_code = draw(st.sampled_from([*CLASSES, 200]))
    type_ = draw(st.sampled_from([None, "odd", *TYPES]))
    kind = CLASSES[status_code] if status_code != 200 else TYPES.get(str(type_), APIError)
    return kind(
        draw(texts),
        status_code=status_code,
        type=type_,
        code=draw(st.none() | texts) if status_code != 200 else None,
        param=draw(st.none() | texts),
        retry_after=draw(st.none() | st.integers(0, 9_999_999).map(lambda ms: ms / 1000)),
        request_id=draw(st.none() | st.text("abc-1", min_size=1)),
    )


class TestUndone:
    @each_dialect
    @settings(max_examples=25)
    @given(error=errors())
    def test_before_a_stream(self, dialect: Dialect, error: APIError):
        seen = said(decoded(error, dialect))
        if dialect is Dialect.STATION:
            assert seen == without(
                APIError(error.message, status_code=200), "type", "code", "param"
            )
        elif dialect is Dialect.ENGINE and error.status_code != 200:
            assert seen == without(error, "type", "code", "param")
        else:
            assert seen == said(error)

    @given(error=errors())
    def test_inside_a_stream(self, error: APIError):
        seen = said(decoded(error, stream=True))
        expected = without(error, "retry_after", status_code=200)
        if error.type in TYPES:
            expected["class"] = TYPES[error.type]
        elif error.code is not None:
            expected["class"] = APIError
        elif error.status_code != 200:
            expected["code"] = str(error.status_code)
        assert seen == expected


MOON = "the moon \u6708 is away"
BUSY = RateLimitError(MOON, status_code=429, type="rate_limit_error", param="x", code="7")
FIELDS = {"message": MOON, "type": "rate_limit_error", "param": "x", "code": "7"}


class TestBytes:
    def test_of_the_engine(self):
        status_code, headers, body = encode_error(BUSY)
        assert (status_code, headers) == (429, (("content-type", "application/json"),))
        assert body == b'{"error":"the moon \xe6\x9c\x88 is away"}'
        busy = RateLimitError(MOON, status_code=200, type="rate_limit_error", param="x", code="7")
        assert json.loads(encode_error(busy).body) == {"error": FIELDS}

    @pytest.mark.parametrize("dialect", OBJECTS)
    def test_of_the_cloud_the_demo_and_chats(self, dialect: Dialect):
        response = encode_error(BUSY, dialect)
        assert (response.status_code, json.loads(response.body)) == (429, {"error": FIELDS})
        assert encode_stream_error(BUSY) == (
            b"data: " + json.dumps({"error": FIELDS}).encode() + b"\n\n"
        )

    def test_of_the_station(self):
        error = ServerError("busy", status_code=503, retry_after=1, request_id="7")
        headers = (("content-type", "application/json"),)
        assert encode_error(error, Dialect.STATION) == (200, headers, b'{"error":"busy"}')

    @pytest.mark.parametrize(
        ("status_code", "message", "more"),
        [(404, "Not Found", ()), (405, "Method Not Allowed", (("allow", "POST"),))],
    )
    def test_what_the_engine_does_not_have(self, status_code: int, message: str, more: Any):
        error = CLASSES[status_code](message, status_code=status_code)
        plain = (("content-type", "text/plain; charset=utf-8"), *more)
        assert encode_error(error) == (status_code, plain, message.encode())
        json_ = (("content-type", "application/json"), *more)
        assert encode_error(error, Dialect.CLOUD)[:2] == (status_code, json_)
        error = CLASSES[status_code]("no recording", status_code=status_code)
        assert encode_error(error) == (status_code, json_, b'{"error":"no recording"}')

    @pytest.mark.parametrize(
        ("status_code", "code"), [(200, None), (199, "199"), (201, "201"), (503, "503")]
    )
    def test_a_status_in_the_code_inside_a_stream(self, status_code: int, code: str | None):
        body = encode_stream_error(APIError("busy", status_code=status_code, type="odd"))
        assert json.loads(body.removeprefix(b"data: "))["error"]["code"] == code

    def test_after_events(self):
        body = encode_events([TextDelta("A")]) + encode_stream_error(BUSY)
        stream = ResponseStream(REQUESTS["query"])
        stream.receive_response(200, EVENT_STREAM)
        stream.receive_data(body)
        with pytest.raises(RateLimitError, match="is away") as caught:
            list(stream.events())
        assert caught.value.partial == stream.snapshot
        assert stream.snapshot is not None and stream.snapshot.text == "A"

    @each_dialect
    @pytest.mark.parametrize("message", ["", "\ud800"])
    def test_messages_that_say_nothing(self, dialect: Dialect, message: str):
        expected = "\ufffd" if message else "(it gave no reason)"
        for stream in (False, True):
            error = decoded(ServerError(message, status_code=500), dialect, stream=stream)
            assert error.message == expected


class TestStatuses:
    """A client of HTTP acts on some statuses, and expects no body after others."""

    @pytest.mark.parametrize("dialect", [Dialect.ENGINE, *OBJECTS])
    @pytest.mark.parametrize(
        ("status_code", "sent"),
        [
            *(
                (status_code, 502)
                for status_code in (-1, 100, 199, 201, 204, 304, 399, 407, 600, 999)
            ),
            *((status_code, status_code) for status_code in (200, 400, 406, 408, 599)),
        ],
    )
    def test_only_an_error_or_200(self, dialect: Dialect, status_code: int, sent: int):
        response = encode_error(APIError("no", status_code=status_code), dialect)
        assert (response.status_code, response.body != b"") == (sent, True)


class TestErrorsOfAProgram:
    """Their status code is 0."""

    @pytest.mark.parametrize(
        ("kind", "status_code", "type_"),
        [
            (BadRequestError, 400, "invalid_request_error"),
            (AuthenticationError, 401, "authentication_error"),
            (PaymentRequiredError, 402, "billing_error"),
            (PermissionDeniedError, 403, "permission_error"),
            (NotFoundError, 404, "not_found_error"),
            (PayloadTooLargeError, 413, "request_too_large"),
            (RateLimitError, 429, "rate_limit_error"),
            (ServerError, 500, "server_error"),
            (APIError, 500, "server_error"),
            (type("Mine", (RateLimitError,), {}), 429, "rate_limit_error"),
        ],
    )
    def test_get_the_status_and_type_of_their_class(
        self, kind: type[APIError], status_code: int, type_: str
    ):
        error = decoded(kind("no"), Dialect.CLOUD)
        assert (error.status_code, error.type) == (status_code, type_)
        assert isinstance(error, kind) or kind.__name__ == "Mine"
        seen = decoded(kind("no"), stream=True)
        assert (type(seen), seen.type, seen.code) == (type(error), type_, None)
        assert encode_error(kind("no")).status_code == status_code

    def test_keep_a_type_of_their_own(self):
        error = decoded(RateLimitError("no", type="slow_down"), Dialect.CLOUD)
        assert (error.status_code, error.type, error.code) == (429, "slow_down", None)
        seen = decoded(RateLimitError("no", type="slow_down"), stream=True)
        assert (type(seen), seen.type, seen.code) == (RateLimitError, "slow_down", "429")


def headers_of(**fields: Any) -> dict[str, str]:
    error = ServerError("no", status_code=503, **fields)
    return dict(encode_error(error).headers[1:])


class TestHeaders:
    @pytest.mark.parametrize(
        ("seconds", "expected"),
        [
            (2, {"retry-after": "2"}),
            (2.0, {"retry-after": "2"}),
            (0, {"retry-after": "0"}),
            (1.5, {"retry-after": "2", "retry-after-ms": "1500.000"}),
            (10**9 - 1, {"retry-after": "999999999"}),
            (10**9, {}),
            (-1, {}),
            (float("nan"), {}),
            (float("inf"), {}),
        ],
    )
    def test_seconds(self, seconds: float, expected: dict[str, str]):
        assert headers_of(retry_after=seconds) == expected

    def test_a_date(self):
        date = "Fri, 31 Dec 2026 23:59:59 GMT"
        assert headers_of(headers=Headers({"Retry-After": date})) == {"retry-after": date}
        assert headers_of(headers=Headers({"Retry-After": date}), retry_after=2) == {
            "retry-after": "2"
        }
        assert headers_of(headers=Headers()) == {}

    @pytest.mark.parametrize(
        "words",
        ["http://10.0.0.7/v1", "Bearer key", "Fri, 31 Dec 2026 23:59:59 GMT; key=1"],
    )
    def test_other_words_than_a_date_stay_here(self, words: str):
        assert headers_of(headers=Headers({"Retry-After": words})) == {}

    @pytest.mark.parametrize("value", ["a\r\nset-cookie: x", "\u6708", "", " a", "a ", "a" * 1001])
    def test_what_no_header_can_hold_is_left_out(self, value: str):
        assert headers_of(request_id=value) == {}
        assert headers_of(headers=Headers({"retry-after": value.replace(" ", "\n")})) == {}
        error = decoded(ServerError("no", status_code=503, request_id=value), stream=True)
        assert error.request_id == (value or None)

    @pytest.mark.parametrize("value", ["7", "a b", "a" * 1000])
    def test_a_request_id(self, value: str):
        assert headers_of(request_id=value) == {"x-request-id": value}
