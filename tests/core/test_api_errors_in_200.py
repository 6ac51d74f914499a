"""Errors in an answer of status 200: as one JSON object, and inside a stream."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sansio_moondream import (
    APIError,
    AuthenticationError,
    BadRequestError,
    Completed,
    NotFoundError,
    PayloadTooLargeError,
    PaymentRequiredError,
    PermissionDeniedError,
    QueryResult,
    RateLimitError,
    RemoteProtocolError,
    ServerError,
    TextDelta,
    Unknown,
)
from sansio_moondream.testing import run
from tests.core.error_bodies import BODIES, NONE, refused
from tests.helpers import CAPTION, QUERY, REQUESTS, check_fragmentations, delta, record

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
    if body.lstrip(b"\xef\xbb\xbf\r\n ").startswith(b'{"error": ') and "truncated" not in name
]


IN_A_200 += ["object, request id beside", "object, type error", "detail", "validation"]


IN_A_200.remove("JSON too deep")


IN_A_200.remove("invalid UTF-8 in JSON")


class TestJSONInA200:
    """Check row 21 of the table of faults of the conformance suite.

    The status says nothing here, so the error type of the server decides.
    """

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
        for detail in (b"null", b"7", b"{}", b'""', b"[]", b'"", "status": 404'):
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

    @pytest.mark.parametrize(
        ("code", "class_"),
        [
            (400, BadRequestError),
            ("401", AuthenticationError),
            (429, RateLimitError),
            ("500", ServerError),
            (502, ServerError),
            (599, ServerError),
            (418, APIError),
            (399, APIError),
            (600, APIError),
            (True, APIError),
            (500.0, APIError),
            ("0500", APIError),
            (" 500", APIError),
            ("500\n", APIError),
            ("\u0665\u0660\u0660", APIError),
            ("9" * 5000, APIError),
            (None, APIError),
        ],
    )
    def test_code_decides_where_the_type_does_not(self, code: Any, class_: type[APIError]):
        for type_ in (None, "InternalServerError", ""):
            body = json.dumps({"error": {"message": "No.", "type": type_, "code": code}})
            error = refused(run(QUERY, [body.encode()], headers=JSON_HEADERS))
            assert (type(error), error.status_code) == (class_, 200)
        body = json.dumps({"error": {"type": "not_found_error", "code": code}})
        assert type(run(QUERY, [body.encode()], headers=JSON_HEADERS).error) is NotFoundError

    def test_code_beside_the_text(self):
        for body in (b'{"error": "No.", "code": 503}', b'{"type": "error", "code": "503"}'):
            assert type(run(QUERY, [body], headers=JSON_HEADERS).error) is ServerError

    def test_an_empty_error_does_not_hide_what_is_beside_it(self):
        body = b'{"type": "error", "error": {}, "message": "No.", "code": 503}'
        error = refused(run(QUERY, [body], headers=JSON_HEADERS))
        assert (type(error), error.message, error.code) == (ServerError, "No.", "503")

    @pytest.mark.parametrize("nothing", ["", False, {}, [], None, 0], ids=repr)
    def test_an_error_that_says_nothing_is_none(self, nothing: Any):
        body = json.dumps({"error": nothing, "answer": "A moon."}).encode()
        assert run(QUERY, [body], headers=JSON_HEADERS).snapshot.text == "A moon."
        outcome = check_fragmentations(QUERY, record({"error": nothing}))
        assert outcome.events == [Unknown({"error": nothing})]

    def test_a_location_in_a_2xx_is_no_redirect(self):
        outcome = run(
            QUERY,
            [b'{"error": "No."}'],
            status_code=299,
            headers={**JSON_HEADERS, "location": "https://other.example"},
        )
        assert refused(outcome).message == "No."

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
    """Check row 23 of the table of faults of the conformance suite."""

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
