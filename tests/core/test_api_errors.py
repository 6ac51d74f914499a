"""Error answers: every status, every shape of body, one exception, through the machine that users
have.

The numbers of rows are those of the table of faults that every transport is examined on.
"""

from __future__ import annotations

import gzip
import json
import pickle
import time
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_moondream import (
    NEED_DATA,
    APIError,
    AuthenticationError,
    BadRequestError,
    Completed,
    IdleTimeout,
    Limits,
    NotFoundError,
    PayloadTooLargeError,
    PaymentRequiredError,
    PermissionDeniedError,
    QueryResult,
    RateLimitError,
    RemoteProtocolError,
    ResponseStream,
    ServerError,
    State,
    TextDelta,
)
from sansio_moondream.testing import Outcome, run
from tests.helpers import CAPTION, QUERY, REQUESTS, check_fragmentations, delta, record

CLASSES: dict[int, type[APIError]] = {
    300: APIError,
    304: APIError,
    400: BadRequestError,
    401: AuthenticationError,
    402: PaymentRequiredError,
    403: PermissionDeniedError,
    404: NotFoundError,
    405: APIError,
    408: APIError,
    409: APIError,
    413: PayloadTooLargeError,
    418: APIError,
    422: BadRequestError,
    429: RateLimitError,
    451: APIError,
    499: APIError,
    500: ServerError,
    501: ServerError,
    502: ServerError,
    503: ServerError,
    504: ServerError,
    529: ServerError,
    599: ServerError,
    600: APIError,
    999: APIError,
}
NONE = "(it gave no reason)"
HTML = b"""<!DOCTYPE html>
<html>
<head><TITLE lang="en">
  502 Bad
  Gateway</TITLE></head>
<body><center><h1>nginx</h1></center></body>
</html>
"""
# Each body with its message, type, code, param and request id.
BODIES: dict[str, tuple[bytes, tuple[str, str | None, str | None, str | None, str | None]]] = {
    "object": (
        b'{"error": {"message": "No.", "type": "rate_limit_error", "param": "image_url", "code": "slow"}}',
        ("No.", "rate_limit_error", "slow", "image_url", None),
    ),
    "object, nulls": (
        b'{"error": {"message": "No.", "type": null, "param": null, "code": null}}',
        ("No.", None, None, None, None),
    ),
    "object, code is a number": (
        b'{"error": {"message": "No.", "code": 42}}',
        ("No.", None, "42", None, None),
    ),
    "object, fields of wrong types": (
        b'{"error": {"message": "No.", "type": ["x"], "code": {}, "param": 1.5}, "request_id": false}',
        ("No.", None, None, None, None),
    ),
    "object, request ids": (
        b'{"error": {"message": "No.", "request_id": 7}, "request_id": "8"}',
        ("No.", None, None, None, "7"),
    ),
    "object, request id beside": (
        b'{"request_id": "8", "error": {"message": "No."}}',
        ("No.", None, None, None, "8"),
    ),
    "object, type error": (
        b'{"type": "error", "error": {"type": "invalid_request_error", "message": "No."}}',
        ("No.", "invalid_request_error", None, None, None),
    ),
    "object, and more beside": (
        b'{"message": "Bad Request", "error": {"message": "No."}, "detail": "Really not."}',
        ("Bad Request: No.: Really not.", None, None, None, None),
    ),
    "object, empty": (b'{"error": {}}', (NONE, None, None, None, None)),
    "text": (b'{"error": "No."}', ("No.", None, None, None, None)),
    "text, type beside": (
        b'{"error": "No.", "type": "server_error", "code": "x"}',
        ("No.", "server_error", "x", None, None),
    ),
    "text and detail": (
        b'{"error": "No.", "detail": "Really not."}',
        ("No.: Really not.", None, None, None, None),
    ),
    "text twice": (b'{"error": "No.", "detail": "No."}', ("No.", None, None, None, None)),
    "raw UTF-8": ('{"error": "月が見えない"}'.encode(), ("月が見えない", None, None, None, None)),
    "byte order mark": (b'\xef\xbb\xbf{"error": "No."}', ("No.", None, None, None, None)),
    "half a surrogate": (
        b'{"error": "No \\ud83c."}',
        ("No \N{REPLACEMENT CHARACTER}.", None, None, None, None),
    ),
    "blanks around": (b'\r\n {"error": " No.\\n"}\n', ("No.", None, None, None, None)),
    "several lines": (
        b'{"error": "No.\\n  Really\\tnot."}',
        ("No. Really not.", None, None, None, None),
    ),
    "detail": (b'{"detail": "Not Found"}', ("Not Found", None, None, None, None)),
    "detail, object": (b'{"detail": {"message": "No."}}', ("No.", None, None, None, None)),
    "message": (b'{"message": "No.", "request_id": "9"}', ("No.", None, None, None, "9")),
    "validation": (
        b'{"detail": [{"type": "missing", "loc": ["body", "question"], "msg": "Missing"}, {"loc": ["body", 0], "msg": "Is no number"}]}',
        ("body.question: Missing; body.0: Is no number", None, None, None, None),
    ),
    "validation, odd": (
        b'{"detail": [{"loc": 5, "msg": "a"}, {"loc": "body", "msg": "b"}, {"msg": "c"}, {"loc": [], "msg": "d"}, "e", 7, null]}',
        ("a; b; c; d; e", None, None, None, None),
    ),
    "validation, none": (b'{"detail": []}', (NONE, None, None, None, None)),
    "JSON text": (b'"No."', ("No.", None, None, None, None)),
    "JSON list": (
        b'["No.", {"error": "Really not."}]',
        ("No.; Really not.", None, None, None, None),
    ),
    "JSON null": (b"null", (NONE, None, None, None, None)),
    "JSON number": (b"7", (NONE, None, None, None, None)),
    "JSON object of something else": (b'{"status": "down"}', (NONE, None, None, None, None)),
    "JSON cut short": (b'{"error": "No', ('{"error": "No', None, None, None, None)),
    "JSON too deep": (
        b'{"error": ' + b"[" * 100,
        ('{"error": ' + "[" * 100, None, None, None, None),
    ),
    "plain text": (b"upstream connect error\n", ("upstream connect error", None, None, None, None)),
    "HTML": (HTML, ("502 Bad Gateway", None, None, None, None)),
    "HTML without a title": (
        b"<html><title> </title><b>No</b>,\n no.</html>",
        ("No , no.", None, None, None, None),
    ),
    "XML": (
        b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>",
        ("NoSuchKey", None, None, None, None),
    ),
    "a lone bracket": (b"<", ("<", None, None, None, None)),
    "empty": (b"", (NONE, None, None, None, None)),
    "blank": (b" \r\n", (NONE, None, None, None, None)),
    "invalid UTF-8": (
        b"No: \xff\xfe",
        ("No: \N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}", None, None, None, None),
    ),
    "invalid UTF-8 in JSON": (
        b'{"error": "\xff"}',
        ('{"error": "\N{REPLACEMENT CHARACTER}"}', None, None, None, None),
    ),
}
each_body = pytest.mark.parametrize("name", BODIES)


def refused(outcome: Outcome) -> APIError:
    assert isinstance(outcome.error, APIError), outcome
    return outcome.error


def answer(status_code: int, body: bytes, headers: Any = (), **options: Any) -> APIError:
    outcome = run(QUERY, [body], status_code=status_code, headers=headers, **options)
    assert (outcome.events, outcome.snapshot) == ([], None)
    return refused(outcome)


class TestByStatus:
    """Row 17."""

    @each_body
    def test_class_and_words(self, name: str):
        body, (message, type_, code, param, request_id) = BODIES[name]
        for status_code, class_ in CLASSES.items():
            error = answer(status_code, body, {"Content-Type": "whatever/it-is", "Server": "nginx"})
            assert type(error) is class_
            assert (error.message, error.type, error.code, error.param) == (
                message,
                type_,
                code,
                param,
            )
            assert (error.status_code, error.request_id, error.retry_after, error.partial) == (
                status_code,
                request_id,
                None,
                None,
            )
            assert (
                str(error)
                == f"the server answered {status_code}{f' {type_}' if type_ else ''}: {message}"
            )
            assert error.headers is not None
            assert error.headers["server"] == "nginx"
            assert error.body == " ".join(
                body.decode("utf-8", "replace").removeprefix("\ufeff").split()
            )

    @each_body
    def test_in_every_fragmentation(self, name: str):
        outcome = check_fragmentations(
            QUERY, BODIES[name][0], status_code=500, headers={"x-request-id": "9"}
        )
        assert refused(outcome).request_id == BODIES[name][1][4] or "9"

    @pytest.mark.parametrize("skill", REQUESTS)
    def test_of_every_skill(self, skill: str):
        error = run(REQUESTS[skill], [b'{"error": "No."}'], status_code=402).error
        assert type(error) is PaymentRequiredError

    def test_the_servers_type_does_not_change_the_class(self):
        assert type(answer(500, b'{"error": {"type": "authentication_error"}}')) is ServerError
        assert type(answer(418, b'{"error": {"type": "authentication_error"}}')) is APIError

    def test_request_id_of_the_header_where_the_body_has_none(self):
        headers = {"X-Request-ID": "from the header"}
        assert answer(500, b'{"error": "No."}', headers).request_id == "from the header"
        assert (
            answer(500, b'{"error": "No.", "request_id": "from the body"}', headers).request_id
            == "from the body"
        )
        assert answer(500, b"<html>", headers).request_id == "from the header"

    def test_picklable(self):
        error = answer(429, BODIES["object"][0], {"Retry-After": "7", "X-Request-Id": "9"})
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), vars(again)) == (RateLimitError, str(error), vars(error))
        assert (again.retry_after, again.headers["retry-after"], again.request_id) == (
            7.0,
            "7",
            "9",
        )

    def test_raised_again_and_again(self):
        stream = ResponseStream(QUERY)
        stream.receive_response(404)
        states = [stream.state]
        stream.receive_eof()
        raised: list[APIError] = []
        for call in (stream.result, stream.next_event, lambda: list(stream.events())):
            with pytest.raises(NotFoundError) as caught:
                call()
            raised.append(caught.value)
        assert raised[0] is raised[1] is raised[2]
        assert [*states, stream.state] == [State.READING_ERROR, State.FAILED]

    @given(
        st.binary(max_size=200), st.sampled_from(sorted(CLASSES)), st.sampled_from([1, 20, 1000])
    )
    def test_whatever_the_body(self, body: bytes, status_code: int, limit: int):
        error = answer(status_code, body, limits=Limits(max_error_body_bytes=limit))
        assert type(error) is CLASSES[status_code]
        assert error.message

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: (
                st.lists(inner, max_size=4)
                | st.dictionaries(
                    st.sampled_from(
                        [
                            "error",
                            "message",
                            "detail",
                            "msg",
                            "loc",
                            "type",
                            "code",
                            "param",
                            "request_id",
                        ]
                    ),
                    inner,
                    max_size=5,
                )
            ),
        )
    )
    def test_whatever_the_json(self, value: Any):
        error = answer(400, json.dumps(value).encode())
        assert type(error) is BadRequestError
        assert all(
            about is None or type(about) is str
            for about in (error.type, error.code, error.param, error.request_id)
        )
        assert error.message
        assert len(error.message) <= 1001


class TestLongBodies:
    """Row 18."""

    def test_message_and_body_are_shortened(self):
        error = answer(500, json.dumps({"error": "No. " * 10_000}).encode())
        assert error.message == ("No. " * 250) + "…"
        assert error.body == '{"error": "' + ("No. " * 498)[:-3] + "…"
        assert len(error.body) == 2001

    def test_an_endless_one_is_cut_at_the_limit(self):
        stream = ResponseStream(QUERY, Limits(max_error_body_bytes=1000))
        stream.receive_response(500)
        fed = 0
        while stream.next_event() is NEED_DATA and fed < 1000:
            stream.receive_data(b"0123456789")
            fed += 10
        assert (fed, stream.state) == (1000, State.READING_ERROR)
        stream.receive_data(b"0")  # so there is more than the limit
        with pytest.raises(ServerError) as caught:
            stream.next_event()
        assert caught.value.body == "0123456789" * 100
        stream.receive_data(b"and so on")
        stream.receive_eof()

    def test_with_the_default_limit(self):
        body = b"<title>Busy</title>" + bytes(64 * 1024)
        assert answer(503, body).message == "Busy"

    def test_json_that_the_limit_cuts_is_text(self):
        body = b'{"error": "a long story"}'
        assert (
            answer(500, body, limits=Limits(max_error_body_bytes=len(body))).message
            == "a long story"
        )
        assert (
            answer(500, body, limits=Limits(max_error_body_bytes=len(body) - 1)).message
            == '{"error": "a long story"'
        )

    def test_one_that_stalls_ends_in_its_status_all_the_same(self):
        error = answer(500, b'{"error": "half', ending=IdleTimeout("no byte for 10 s"))
        assert type(error) is ServerError
        assert error.message == '{"error": "half'
        assert isinstance(error.__cause__, IdleTimeout)

    @pytest.mark.parametrize(
        "chunk",
        [
            b"<",
            b"<title",
            b"<title>",
            b"<title> ",
            b"<title><",
            b"{",
            b'{"error":',
            b'"',
            b"\\",
            b" ",
            b"\n",
            b"[1,",
        ],
    )
    def test_reading_one_takes_no_longer_than_it_is_long(self, chunk: bytes):
        """With regular expressions that look from every bracket to the end, some of these took
        seconds.
        """
        body = (chunk * (64 * 1024 // len(chunk) + 1))[: 64 * 1024]
        begin = time.process_time()
        answer(500, b"<" + body)
        answer(500, body)
        assert time.process_time() - begin < 1


class TestCompressed:
    @pytest.mark.parametrize(
        ("coding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)]
    )
    def test_is_read(self, coding: str, compress: Any):
        outcome = check_fragmentations(
            QUERY,
            compress(b'{"error": {"message": "No."}}'),
            status_code=401,
            headers={"content-encoding": coding},
        )
        error = refused(outcome)
        assert (type(error), error.message) == (AuthenticationError, "No.")

    def test_one_that_is_broken(self):
        error = answer(
            401, gzip.compress(b"No such key.")[:20] + b"\xff" * 20, {"content-encoding": "gzip"}
        )
        assert type(error) is AuthenticationError

    def test_one_in_a_coding_that_is_not_read(self):
        assert (
            type(answer(401, b"\x0b\x02\x80No.\x03", {"content-encoding": "br"}))
            is AuthenticationError
        )

    def test_a_bomb_is_cut_as_any_long_body_is(self):
        error = answer(503, gzip.compress(b"Busy. " * 5_000_000), {"content-encoding": "gzip"})
        assert (type(error), error.body[:12], len(error.body)) == (
            ServerError,
            "Busy. Busy. ",
            2001,
        )


class TestRetryAfter:
    """Row 19."""

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            ("7", 7.0),
            ("0", 0.0),
            ("1.5", 1.5),
            ("007", 7.0),
            (" 7 ", 7.0),
            ("999999999", 999_999_999.0),
            ("Wed, 21 Oct 2026 07:28:00 GMT", None),
            ("²", None),
            ("\u0667", None),  # a seven, for Python's float() too
            ("-1", None),
            ("+1", None),
            ("soon", None),
            ("", None),
            ("1e9", None),
            ("nan", None),
            ("inf", None),
            ("7s", None),
            ("7, 8", None),
            ("1_0", None),
            ("0x7", None),
            ("9" * 400, None),
        ],
    )
    @pytest.mark.parametrize("status_code", [429, 503])
    def test_seconds_or_nothing(self, status_code: int, value: str, seconds: float | None):
        error = answer(status_code, b"", {"Retry-After": value})
        assert type(error) is CLASSES[status_code]
        assert error.retry_after == seconds
        assert error.headers is not None
        assert error.headers["retry-after"] == value.strip()

    def test_of_an_error_inside_a_stream(self):
        headers = {"content-type": "text/event-stream", "retry-after": "7"}
        assert refused(run(QUERY, [record({"error": "No."})], headers=headers)).retry_after == 7.0


class TestRedirects:
    """Row 20."""

    @pytest.mark.parametrize("status_code", [300, 301, 302, 303, 307, 308, 399])
    @pytest.mark.parametrize(
        ("location", "named"),
        [
            ("https://other.example/v2/query", "https://other.example/v2/query"),
            ("https://user:SECRET@other.example:8443/v2", "https://other.example:8443/v2"),
            ("https://us@er:SECRET@other.example", "https://other.example"),
            ("https://other.example/v2?key=SECRET", "https://other.example/v2"),
            ("https://other.example/v2#SECRET", "https://other.example/v2"),
            ("https://other.example?key=SECRET@x//y:SECRET@z", "https://other.example"),
            ("//user:SECRET@other.example/v2", "//other.example/v2"),
            ("/v2/query?key=SECRET", "/v2/query"),
            ("?key=SECRET", "the same address with another query"),
        ],
    )
    @pytest.mark.parametrize(
        "body", [b"", b"<html><title>301 Moved Permanently</title></html>", b'{"detail": "moved"}']
    )
    def test_name_their_target(self, status_code: int, location: str, named: str, body: bytes):
        error = answer(status_code, body, {"Location": location})
        assert type(error) is APIError
        assert error.message == (
            f"it redirects to {named}, which is never followed, as the key would go along; "
            "if you trust it, set Endpoint(url=...) to it, without the skill's name"
        )
        assert "SECRET" not in f"{error!s} {error!r} {error.headers!r}"
        assert error.headers is not None
        assert error.headers["location"] == location

    def test_a_very_long_one(self):
        error = answer(302, b"", {"Location": "https://other.example/" + "x" * 100_000})
        assert len(error.message) == 1001

    def test_without_a_target(self):
        assert answer(301, b"<html><title>Moved</title></html>").message == "Moved"
        assert answer(301, b"", {"Location": ""}).message == NONE
        assert answer(304, b"").message == NONE

    def test_a_location_beside_an_error_is_no_redirect(self):
        for status_code in (400, 404, 503):
            assert (
                answer(status_code, b"No.", {"Location": "https://other.example"}).message == "No."
            )


JSON_HEADERS = {"content-type": "application/json", "x-request-id": "9"}
BY_TYPE: dict[str, type[APIError]] = {
    **dict.fromkeys(
        ["invalid_request_error", "invalid_request", "bad_request_error", "bad_request"],
        BadRequestError,
    ),
    **dict.fromkeys(
        ["authentication_error", "authentication", "unauthorized"], AuthenticationError
    ),
    **dict.fromkeys(
        ["billing_error", "payment_required_error", "payment_required"], PaymentRequiredError
    ),
    **dict.fromkeys(["permission_error", "permission_denied", "forbidden"], PermissionDeniedError),
    **dict.fromkeys(["not_found_error", "not_found"], NotFoundError),
    **dict.fromkeys(["request_too_large", "payload_too_large"], PayloadTooLargeError),
    **dict.fromkeys(
        ["rate_limit_error", "rate_limit", "rate_limited", "rate_limit_exceeded"], RateLimitError
    ),
    **dict.fromkeys(
        ["server_error", "internal_server_error", "internal_error", "api_error"], ServerError
    ),
    **dict.fromkeys(["overloaded_error", "overloaded"], ServerError),
    **dict.fromkeys(["another_error", "error", "NOT_FOUND", ""], APIError),
}
# The shapes that are errors in a 200 too, where there is no status to say so.
IN_A_200 = [
    name
    for name, (body, _) in BODIES.items()
    if body.lstrip(b"\xef\xbb\xbf\r\n ").startswith(b'{"error": ') and "cut" not in name
]
IN_A_200 += ["object, request id beside", "object, type error", "detail", "validation"]
IN_A_200.remove("JSON too deep")
IN_A_200.remove("invalid UTF-8 in JSON")


class TestJSONInA200:
    """Row 21. The status says nothing, so the server's type decides."""

    @pytest.mark.parametrize("name", IN_A_200)
    def test_every_shape(self, name: str):
        body, (message, type_, code, param, request_id) = BODIES[name]
        outcome = check_fragmentations(QUERY, body, headers=JSON_HEADERS)
        error = refused(outcome)
        assert outcome.events == []
        assert type(error) is BY_TYPE[type_ or ""]
        assert (error.message, error.type, error.code, error.param) == (message, type_, code, param)
        assert (error.status_code, error.request_id) == (200, request_id or "9")
        assert isinstance(error.partial, QueryResult)
        assert error.partial.text == ""

    @pytest.mark.parametrize("type_", BY_TYPE)
    @pytest.mark.parametrize("beside", [False, True])
    def test_class_by_type(self, type_: str, beside: bool):
        body = (
            {"error": "No.", "type": type_}
            if beside
            else {"error": {"message": "No.", "type": type_}}
        )
        error = refused(run(QUERY, [json.dumps(body).encode()], headers=JSON_HEADERS))
        assert type(error) is BY_TYPE[type_]
        assert error.type == (None if type_ == "error" else type_)

    def test_detail_is_an_error_where_it_is_all_there_is(self):
        about = b'"status": 404, "code": "x", "request_id": "7"'
        error = refused(run(QUERY, [b'{"detail": "No.", ' + about + b"}"], headers=JSON_HEADERS))
        assert (error.message, error.code, error.request_id) == ("No.", "x", "7")
        for detail in (b"null", b"7", b"{}", b'"No.", "mood": "x"'):
            assert (
                type(run(QUERY, [b'{"detail": ' + detail + b"}"], headers=JSON_HEADERS).error)
                is RemoteProtocolError
            )

    def test_type_error_alone(self):
        assert (
            refused(
                run(QUERY, [b'{"type": "error", "message": "No."}'], headers=JSON_HEADERS)
            ).message
            == "No."
        )

    @pytest.mark.parametrize("status_code", [201, 202, 206])
    def test_in_another_2xx_the_status_stays_and_decides(self, status_code: int):
        outcome = run(
            QUERY,
            [b'{"error": {"type": "rate_limit_error"}}'],
            status_code=status_code,
            headers=JSON_HEADERS,
        )
        assert (type(outcome.error), refused(outcome).status_code) == (APIError, status_code)

    @pytest.mark.parametrize(
        "beside",
        [
            b'"error": null',
            b'"detail": "high"',
            b'"message": "fine"',
            b'"type": "answer"',
            b'"status": "ok"',
        ],
    )
    def test_answers_are_no_errors(self, beside: bytes):
        outcome = run(QUERY, [b'{"answer": "A moon.", ' + beside + b"}"], headers=JSON_HEADERS)
        assert outcome.error is None
        assert outcome.snapshot.text == "A moon."

    def test_an_answer_to_detect_is_whole(self):
        assert run(REQUESTS["detect"], [b'{"objects": []}'], headers=JSON_HEADERS).error is None


FIVE = b"".join(delta(text) for text in ("The ", "moon ", "is ", "a ", "moon"))


class TestInsideAStream:
    """Row 23."""

    def check(self, data: bytes) -> APIError:
        outcome = check_fragmentations(
            CAPTION, FIVE + data, headers={"content-type": "text/event-stream", "x-request-id": "9"}
        )
        assert outcome.events == [
            TextDelta(text) for text in ("The ", "moon ", "is ", "a ", "moon")
        ]
        error = refused(outcome)
        assert error.status_code == 200
        assert error.partial == outcome.snapshot
        assert outcome.snapshot.text == "The moon is a moon"
        return error

    @pytest.mark.parametrize(
        "name",
        [name for name in IN_A_200 if b"\n" not in BODIES[name][0] and name != "byte order mark"],
    )
    def test_every_shape(self, name: str):
        body, (message, type_, code, param, request_id) = BODIES[name]
        for lead in (b"", b"event: error\n", b"event: message\n"):
            error = self.check(lead + b"data: " + body + b"\n\n")
            assert type(error) is BY_TYPE[type_ or ""]
            assert (error.message, error.type, error.code, error.param) == (
                message,
                type_,
                code,
                param,
            )
            assert error.request_id == (request_id or "9")
            assert error.body == " ".join(body.decode().split())

    @pytest.mark.parametrize(
        ("data", "message", "type_"),
        [
            (b"model refused", "model refused", None),
            (b'"model refused"', "model refused", None),
            (b'{"message": "No.", "type": "overloaded_error"}', "No.", "overloaded_error"),
            (b'{"chunk": "model refused"}', NONE, None),
            (b"<html><title>Bad</title>", "Bad", None),
            (b"\xff", "\N{REPLACEMENT CHARACTER}", None),
            (b"null", NONE, None),
            (b"two\ndata: lines", "two lines", None),
        ],
    )
    def test_an_event_named_error_is_one_whatever_it_holds(
        self, data: bytes, message: str, type_: str | None
    ):
        error = self.check(b"event: error\ndata: " + data + b"\n\n")
        assert (error.message, error.type) == (message, type_)
        assert type(error) is BY_TYPE[type_ or ""]

    def test_a_named_one_without_data_is_nothing(self):
        data = FIVE + b"event: error\n\nevent: error\ndata:\n\n" + record({"completed": True})
        outcome = check_fragmentations(CAPTION, data)
        assert outcome.error is None
        assert isinstance(outcome.events[-1], Completed)

    def test_it_ends_the_stream_and_what_follows_does_not_matter(self):
        self.check(
            record({"error": "No."}) + delta("more") + record({"completed": True}) + b"\xff\n\n"
        )

    def test_long_ones_are_shortened(self):
        error = self.check(b"event: error\ndata: " + b"No. " * 510 + b"\n\n")
        assert (len(error.message), len(error.body)) == (1001, 2001)
        assert error.message.endswith("No. …")
