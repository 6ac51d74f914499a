"""The exchange that an error is about: its method, its URL and the id of the request."""

from __future__ import annotations

from typing import Any

import pytest

from sansio_moondream import (
    APIError,
    ConnectError,
    ConnectionLost,
    HTTP11Exchange,
    HTTPRequest,
    IncompleteStream,
    LocalProtocolError,
    MoondreamError,
    ResponseStream,
    SocketStream,
    TotalTimeout,
)
from sansio_moondream.testing import EVENT_STREAM, run
from tests.helpers import LOCAL, QUERY, delta

SENT = QUERY.to_http(LOCAL)
URL = "http://localhost:2020/v1/query"


def raised(stream: ResponseStream[Any] | SocketStream[Any]) -> MoondreamError:
    with pytest.raises(MoondreamError) as caught:
        list(stream.events())
    return caught.value


class TestResponseStream:
    def test_an_error_answer(self) -> None:
        error = run(
            QUERY, [b"No."], status_code=402, headers={"X-Request-Id": "7"}, sent=SENT
        ).error
        assert isinstance(error, APIError)
        assert (error.message, error.method, error.url, error.request_id) == (
            "No.",
            "POST",
            URL,
            "7",
        )
        assert str(error) == f"the server answered 402: No. [POST {URL}, request 7]"

    def test_a_stream_that_ends_early(self) -> None:
        headers = (*EVENT_STREAM, ("x-request-id", "7"))
        error = run(QUERY, [delta("a")], headers=headers, sent=SENT).error
        assert isinstance(error, IncompleteStream)
        assert (error.method, error.url, error.request_id) == ("POST", URL, "7")
        assert str(error) == f"{error.message} [POST {URL}, request 7]"

    @pytest.mark.parametrize(
        "fault", [ConnectError("refused"), TotalTimeout("late"), OSError("reset")]
    )
    def test_before_the_head(self, fault: Exception) -> None:
        stream = ResponseStream(QUERY, sent=SENT)
        stream.receive_error(fault)
        error = raised(stream)
        assert (error.method, error.url, error.partial) == ("POST", URL, None)
        assert str(error).endswith(f"{error.message} [POST {URL}]")

    def test_an_error_keeps_the_exchange_that_it_has(self) -> None:
        """It may be about another one, such as the request for a tunnel."""
        stream = ResponseStream(QUERY, sent=SENT)
        stream.receive_error(ConnectionLost("lost", method="CONNECT", url="https://h/v1"))
        assert str(raised(stream)) == "lost [CONNECT https://h/v1]"

    def test_without_what_was_sent(self) -> None:
        error = run(QUERY, [b"No."], status_code=402).error
        assert error is not None
        assert (error.method, error.url, str(error)) == (None, None, "the server answered 402: No.")

    def test_the_url_has_no_user_query_and_fragment(self) -> None:
        sent = HTTPRequest("PUT", "http://me:pass@h:1/v1/query?a=b#c", (), b"")
        error = run(QUERY, [b"No."], status_code=402, sent=sent).error
        assert error is not None
        assert (error.method, error.url) == ("PUT", "http://h:1/v1/query")

    def test_a_secret_in_the_url_is_masked(self) -> None:
        headers = (("X-Api-Key", "planted-key"),)
        sent = HTTPRequest("POST", "http://h/planted-key/v1/query", headers, b"")
        error = run(QUERY, [b"No."], status_code=402, sent=sent).error
        assert error is not None
        assert error.url == "http://h/***********/v1/query"

    def test_calls_out_of_order_are_about_no_exchange(self) -> None:
        stream = ResponseStream(QUERY, sent=SENT)
        with pytest.raises(LocalProtocolError) as caught:
            stream.receive_data(b"")
        assert (caught.value.method, caught.value.url) == (None, None)


class TestSockets:
    def test_a_socket_stream(self) -> None:
        stream = SocketStream(QUERY, LOCAL)
        stream.receive_data(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
        error = raised(stream)
        assert str(error) == f"the server answered 503: (it gave no reason) [POST {URL}]"

    def test_what_is_not_http(self) -> None:
        exchange = HTTP11Exchange(SENT)
        exchange.receive_data(b"SSH-2.0")
        with pytest.raises(MoondreamError) as caught:
            exchange.next_event()
        stream = SocketStream(QUERY, LOCAL)
        stream.receive_data(b"SSH-2.0")
        error = raised(stream)
        assert (error.method, error.url) == ("POST", URL)
        assert vars(error) == vars(caught.value)

    def test_the_framing_of_the_body(self) -> None:
        stream = SocketStream(QUERY, LOCAL)
        head = "".join(f"{name}: {value}\r\n" for name, value in EVENT_STREAM)
        stream.receive_data(f"HTTP/1.1 200 OK\r\n{head}Content-Length: 9\r\n\r\n".encode())
        stream.receive_eof()
        error = raised(stream)
        assert type(error) is ConnectionLost
        assert str(error).endswith(f" [POST {URL}]")
