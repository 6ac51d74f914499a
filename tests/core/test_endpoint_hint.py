"""A wrong endpoint is told in words, with the likely right one."""

from __future__ import annotations

from typing import Any

import pytest

from sansio_moondream import (
    APIError,
    Endpoint,
    HTTPRequest,
    NotFoundError,
    RemoteProtocolError,
    SocketStream,
)
from sansio_moondream.testing import EVENT_STREAM, check_fragmentations, run
from tests.helpers import CHAT, QUERY, REQUESTS, head

LACKS = QUERY.to_http(Endpoint("http://localhost:2020"))
RIGHT = "http://localhost:2020/v1"
HINT = (
    " (the url of an endpoint usually ends in /v1, before the skill: "
    f"try {RIGHT} instead of http://localhost:2020)"
)
HTML = b"<!DOCTYPE html><html><head><title>Welcome</title></head></html>"
STATION = b'{"error":"Function \'chat\' not available"}'
JSON = (("content-type", "application/json"),)


def message(body: bytes, status_code: int, headers: Any = (), sent: Any = LACKS) -> str:
    """Return the message of an error, the same in every fragmentation."""
    outcome = check_fragmentations(QUERY, body, status_code=status_code, headers=headers, sent=sent)
    assert outcome.error is not None
    assert outcome.error.args == (outcome.error.message,)
    return outcome.error.message


class TestWhichErrors:
    @pytest.mark.parametrize(
        ("status_code", "headers", "body", "words"),
        [
            (404, (), b"Not Found", "Not Found"),
            (404, JSON, b'{"detail": "Not Found"}', "Not Found"),
            (404, JSON, b'{"error": {"message": "no such route"}}', "no such route"),
            (404, (), b"", "(it gave no reason)"),
            (405, JSON, b'{"detail": "Method Not Allowed"}', "Method Not Allowed"),
            (403, (), HTML, "Welcome"),
            (502, (), b"\n " + HTML, "Welcome"),
            (200, JSON, STATION, "Function 'chat' not available"),
        ],
    )
    def test_of_another_place(
        self, status_code: int, headers: Any, body: bytes, words: str
    ) -> None:
        assert message(body, status_code, headers) == words + HINT

    def test_a_page_instead_of_an_answer(self) -> None:
        headers = (("content-type", "text/html; charset=utf-8"),)
        outcome = check_fragmentations(QUERY, HTML, headers=headers, sent=LACKS)
        assert type(outcome.error) is RemoteProtocolError
        assert outcome.error.message.endswith(f"is this the address of a Moondream server?{HINT}")

    @pytest.mark.parametrize(
        ("status_code", "headers", "body", "words"),
        [
            (401, (), b"no key", "no key"),
            (403, JSON, b'{"detail": "<b>"}', "<b>"),
            (406, (), b"Not Acceptable", "Not Acceptable"),
            (500, JSON, b'{"error": "busy"}', "busy"),
            (200, JSON, b'{"error": "the queue is full"}', "the queue is full"),
            (200, JSON, STATION.replace(b"F", b"My F"), "My Function 'chat' not available"),
            (200, JSON, STATION.replace(b"chat", b"query"), "Function 'query' not available"),
            (200, EVENT_STREAM, b'data: {"error": {"type": "not_found", "message": "m"}}\n\n', "m"),
        ],
    )
    def test_not_of_others(self, status_code: int, headers: Any, body: bytes, words: str) -> None:
        assert message(body, status_code, headers) == words

    def test_not_of_a_redirect(self) -> None:
        """It has an address already."""
        words = message(HTML, 301, (("location", "https://localhost/query"),))
        assert words.startswith("it redirects to https://localhost/query, ")
        assert HINT not in words


class TestWhichEndpoints:
    @pytest.mark.parametrize(
        ("used", "right"),
        [
            ("https://api.moondream.ai", "https://api.moondream.ai/v1"),
            ("http://[::1]:2020", "http://[::1]:2020/v1"),
            ("http://localhost/v1/query", "http://localhost/v1"),
            ("http://localhost/v1/chat/completions", "http://localhost/v1"),
            ("http://localhost/v1/chat", "http://localhost/v1"),
            ("http://localhost/query", "http://localhost/v1"),
            ("http://localhost/query/caption", "http://localhost/v1"),
            ("http://localhost/v1/models", "http://localhost/v1"),
            ("http://localhost/v1/v2", "http://localhost/v1"),
            ("http://localhost/moon", "http://localhost/moon/v1"),
            ("http://localhost/moon/detect", "http://localhost/moon/v1"),
            ("http://localhost/moon/v1/point", "http://localhost/moon/v1"),
            ("http://localhost/v1/moon/v1/segment", "http://localhost/v1/moon/v1"),
            ("http://localhost/v2", "http://localhost/v1"),
            ("http://localhost/moon/v10/query", "http://localhost/moon/v1"),
            ("http://v2", "http://v2/v1"),
            ("http://localhost/v", "http://localhost/v/v1"),
            ("http://localhost/v1a", "http://localhost/v1a/v1"),
            ("http://localhost/av1", "http://localhost/av1/v1"),
            ("http://localhost/myquery", "http://localhost/myquery/v1"),
            ("http://localhost/completions", "http://localhost/completions/v1"),
            ("http://query", "http://query/v1"),
        ],
    )
    def test_wrong(self, used: str, right: str) -> None:
        for skill, request in REQUESTS.items():
            error = run(
                request, [b"No."], status_code=404, sent=request.to_http(Endpoint(used))
            ).error
            assert type(error) is NotFoundError, skill
            assert error.message == (
                "No. (the url of an endpoint usually ends in /v1, before the skill: "
                f"try {right} instead of {used})"
            )

    @pytest.mark.parametrize(
        "url",
        [
            RIGHT,
            f"{RIGHT}/",
            "https://gateway.example/moon/v1",
            "http://localhost/v1/v1",
            "https://gateway.example/v1/account/moondream",
            "https://gateway.example/v1/account/moondream/query",
        ],
    )
    def test_right(self, url: str) -> None:
        for request in (QUERY, CHAT):
            assert message(b"No.", 404, sent=request.to_http(Endpoint(url))) == "No."

    @pytest.mark.parametrize("url", ["http://localhost/ask", "http://localhost/v1/query/moon"])
    def test_an_address_of_ones_own(self, url: str) -> None:
        """It does not end with a skill, so nothing is known of the endpoint."""
        assert message(b"No.", 404, sent=HTTPRequest("POST", url, (), b"")) == "No."

    def test_without_what_was_sent(self) -> None:
        assert message(b"No.", 404, sent=None) == "No."

    def test_a_key_is_not_shown(self) -> None:
        url = "http://me:pass@h/planted-key/query?key=planted-key#f"
        words = message(b"No.", 404, sent=HTTPRequest("POST", url, (), b""))
        assert words.endswith("try http://h/***********/v1 instead of http://h/***********)")

    def test_on_a_socket(self) -> None:
        stream = SocketStream(QUERY, Endpoint("http://localhost:2020"))
        stream.receive_data(head(404, [("content-length", "9")]) + b"Not Found")
        with pytest.raises(APIError) as caught:
            stream.result()
        assert str(caught.value) == (
            f"the server answered 404: Not Found{HINT} [POST http://localhost:2020/query]"
        )
