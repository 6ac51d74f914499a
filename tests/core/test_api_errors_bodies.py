"""Error answers: long and compressed bodies, and how long to wait before a retry."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from typing import Any

import pytest

from sansio_moondream import (
    NEED_DATA,
    AuthenticationError,
    IdleTimeout,
    Limits,
    ResponseStream,
    ServerError,
    State,
)
from sansio_moondream.testing import run
from tests.core.error_bodies import CLASSES, answer, refused
from tests.helpers import QUERY, check_fragmentations, record


class TestLongBodies:
    """Check row 18 of the table of faults of the conformance suite."""

    def test_message_and_body_are_shortened(self):
        error = answer(500, json.dumps({"error": "No. " * 10_000}).encode())
        assert error.message == ("No. " * 250) + "…"
        assert error.body == '{"error": "' + ("No. " * 498)[:-3] + "…"
        assert len(error.body) == 2001

    def test_an_endless_one_is_truncated_at_the_limit(self):
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

    def test_json_that_the_limit_truncates_is_text(self):
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
        error = answer(500, b'{"error": "trunc', ending=IdleTimeout("no byte for 10 s"))
        assert type(error) is ServerError
        assert error.message == '{"error": "trunc'
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
        """Guard against patterns that search from every bracket to the end.

        Some of these bodies took seconds with such a pattern.
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

    def test_a_bomb_is_truncated_as_any_long_body_is(self):
        error = answer(503, gzip.compress(b"Busy. " * 5_000_000), {"content-encoding": "gzip"})
        assert (type(error), error.body[:12], len(error.body)) == (
            ServerError,
            "Busy. Busy. ",
            2001,
        )


class TestRetryAfter:
    """Check row 19 of the table of faults of the conformance suite."""

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

    @pytest.mark.parametrize(
        ("milliseconds", "seconds"),
        [
            ("1500", 1.5),
            ("0", 0.0),
            ("0.5", 0.0005),
            ("9", 0.009),  # not 0.009000000000000001
            ("", 7.0),
            ("-1", 7.0),
            ("soon", 7.0),
        ],
    )
    def test_milliseconds_come_first(self, milliseconds: str, seconds: float):
        headers = {"Retry-After": "7", "Retry-After-Ms": milliseconds}
        assert answer(429, b"", headers).retry_after == seconds
        assert answer(429, b"", {"Retry-After": "7"}).retry_after == 7.0

    def test_of_an_error_inside_a_stream(self):
        headers = {"content-type": "text/event-stream", "retry-after": "7"}
        assert refused(run(QUERY, [record({"error": "No."})], headers=headers)).retry_after == 7.0
