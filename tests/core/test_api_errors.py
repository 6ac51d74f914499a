"""Error answers: the class by the status, the fields by the body."""

from __future__ import annotations

import json
import pickle
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_moondream import (
    APIError,
    BadRequestError,
    Limits,
    NotFoundError,
    PaymentRequiredError,
    RateLimitError,
    ResponseStream,
    ServerError,
    State,
)
from sansio_moondream.testing import run
from tests.core.error_bodies import BODIES, CLASSES, NONE, answer, refused
from tests.helpers import QUERY, REQUESTS, check_fragmentations

each_body = pytest.mark.parametrize("name", BODIES)


class TestByStatus:
    """Check row 17 of the table of faults of the conformance suite."""

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
            assert str(error) == (
                f"the server answered {status_code}{f' {type_}' if type_ else ''}: {message}"
                + (f" [request {request_id}]" if request_id else "")
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
            max_leaves=15,
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


class TestRedirects:
    """Check row 20 of the table of faults of the conformance suite."""

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
    def test_name_their_target(self, location: str, named: str):
        bodies = (
            b"",
            b"<html><title>301 Moved Permanently</title></html>",
            b'{"detail": "moved"}',
        )
        for status_code, body in product((300, 301, 302, 303, 307, 308, 399), bodies):
            error = answer(status_code, body, {"Location": location})
            assert (type(error), error.status_code) == (APIError, status_code)
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
