"""`encode_error` and `encode_stream_error` of any error, as a gateway sends them."""

from __future__ import annotations

import json

import pytest

from sansio_moondream import (
    APIError,
    ConnectError,
    ConnectTimeout,
    Dialect,
    FirstEventTimeout,
    Headers,
    IdleTimeout,
    IncompleteStream,
    LocalProtocolError,
    MoondreamError,
    NotFoundError,
    RateLimitError,
    RemoteProtocolError,
    ServerError,
    encode_error,
    encode_stream_error,
)
from sansio_moondream.testing import run
from tests.helpers import QUERY

ADDRESS = "http://10.0.0.7:2020/v1/query"
CASES: list[tuple[MoondreamError, int, str]] = [
    (ConnectError(ADDRESS), 502, "the upstream server cannot be reached"),
    (RemoteProtocolError(ADDRESS), 502, "the upstream server sent an invalid answer"),
    (
        IncompleteStream(ADDRESS),
        502,
        "the upstream server ended the answer before it was complete",
    ),
    (ConnectTimeout(ADDRESS), 504, "the upstream server was not reached in time"),
    (
        FirstEventTimeout(ADDRESS),
        504,
        "the upstream server did not begin to answer in time",
    ),
    (IdleTimeout(ADDRESS), 504, "the upstream server stopped in the middle of the answer"),
    (LocalProtocolError(ADDRESS), 500, "this server failed, by a mistake in its program"),
    (MoondreamError(ADDRESS), 502, "the answer failed"),
]
each_error = pytest.mark.parametrize(("error", "status_code", "message"), CASES)


@each_error
@pytest.mark.parametrize("dialect", [Dialect.ENGINE, Dialect.CLOUD, Dialect.CHAT])
def test_an_error_that_no_server_sent(
    error: MoondreamError, status_code: int, message: str, dialect: Dialect
):
    error.request_id, error.url = "31", ADDRESS
    status, headers, body = encode_error(error, dialect)
    assert (status, headers) == (
        status_code,
        (("content-type", "application/json"), ("x-request-id", "31")),
    )
    decoded = run(QUERY, [body], status_code=status, headers=headers).error
    assert type(decoded) is ServerError
    assert (decoded.message, decoded.request_id) == (message, "31")
    # A timeout may have been answered, and be billed. So its reader does not send it again.
    assert decoded.retryable == (status_code != 504)


@each_error
def test_an_error_that_no_server_sent_in_a_stream(
    error: MoondreamError, status_code: int, message: str
):
    decoded = run(QUERY, [encode_stream_error(error)]).error
    assert type(decoded) is ServerError
    assert (decoded.status_code, decoded.type) == (200, "server_error")
    assert (decoded.message, decoded.code) == (message, str(status_code))
    assert decoded.retryable == (status_code != 504)


def test_the_station_has_a_message_only():
    status, headers, body = encode_error(ConnectError(ADDRESS), Dialect.STATION)
    assert (status, headers) == (200, (("content-type", "application/json"),))
    assert json.loads(body) == {"error": "the upstream server cannot be reached"}


def test_no_message_has_an_address_that_this_library_added():
    hint = " (the url of an endpoint usually ends in /v1, before the skill: try http://10.0.0.7/v1)"
    error = NotFoundError(f"Not Found{hint}", status_code=404)
    assert encode_error(error).body == b"Not Found"
    assert b"10.0.0.7" not in encode_stream_error(error)
    redirect = APIError(f"it redirects to {ADDRESS}", status_code=302)
    assert b"10.0.0.7" not in encode_error(redirect).body


def test_a_date_to_wait_for_is_kept():
    date = "Wed, 21 Oct 2026 07:28:00 GMT"
    error = RateLimitError("busy", status_code=429, headers=Headers({"retry-after": date}))
    assert ("retry-after", date) in encode_error(error).headers
