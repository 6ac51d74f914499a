"""A secret that the server quotes back is masked in what errors say and hold."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from sansio_moondream import (
    APIError,
    ConnectionLost,
    Endpoint,
    Headers,
    HTTP11Exchange,
    HTTPRequest,
    IncompleteStream,
    LocalProtocolError,
    MoondreamError,
    RemoteProtocolError,
    ResponseStream,
    SocketStream,
    TextDelta,
)
from sansio_moondream.testing import EVENT_STREAM, check_fragmentations
from tests.core.http11 import check
from tests.helpers import QUERY, delta, record

KEY = "planted-key-7f3a9c"
STARS = "*" * len(KEY)
SENT = QUERY.to_http(Endpoint(api_key=KEY))
TEXT = (("content-type", "text/plain"),)


def error_of(data: bytes, **options: Any) -> MoondreamError:
    """Return the error of a body, the same in every fragmentation."""
    outcome = check_fragmentations(QUERY, data, sent=SENT, **options)
    assert outcome.error is not None
    assert KEY not in f"{outcome.error} {outcome.error!r} {vars(outcome.error)}"
    assert KEY not in json.dumps(outcome.error.to_dict())
    return outcome.error


def caused(error: MoondreamError, cause: BaseException | None) -> MoondreamError:
    error.__cause__ = cause
    return error


class TestFields:
    def test_an_error_answer(self) -> None:
        error = {"message": f"no {KEY}", "type": KEY, "code": KEY, "param": KEY, "request_id": KEY}
        body = json.dumps({"error": error})
        seen = error_of(
            body.encode(),
            status_code=401,
            headers=[("WWW-Authenticate", f"Bearer {KEY}"), ("X-Note", "a"), ("X-Note", KEY)],
        )
        assert isinstance(seen, APIError)
        assert (seen.message, seen.type, seen.code, seen.param, seen.request_id) == (
            f"no {STARS}",
            STARS,
            STARS,
            STARS,
            STARS,
        )
        assert seen.body == body.replace(KEY, STARS)
        assert seen.headers == Headers(
            [("WWW-Authenticate", f"Bearer {STARS}"), ("X-Note", "a"), ("X-Note", STARS)]
        )
        assert str(seen) == (
            f"the server answered 401 {STARS}: no {STARS}"
            f" [POST https://api.moondream.ai/v1/query, request {STARS}]"
        )
        assert seen.args == (f"no {STARS}",)
        assert vars(pickle.loads(pickle.dumps(seen))) == vars(seen)

    @pytest.mark.parametrize("length", [3, 4, 17])
    def test_a_key_that_is_cut_off(self, length: int) -> None:
        """From 4 characters on. An error body has at most 2,000."""
        before = "x " * (1000 - length // 2) + "x" * (length % 2 == 0)
        body = (before[: 2000 - length] + KEY).encode()
        seen = error_of(body, status_code=500, headers=TEXT, max_offsets=100)
        assert isinstance(seen, APIError)
        shown = KEY[:3] if length == 3 else "*" * length
        assert seen.body.endswith(f"{shown}…")

    def test_a_redirect(self) -> None:
        seen = error_of(b"", status_code=302, headers=[("location", f"https://h/{KEY}/v1")])
        assert f"it redirects to https://h/{STARS}/v1, " in str(seen)

    def test_a_record_that_is_quoted(self) -> None:
        seen = error_of(b'data: {"chunk": "no %s\n\n' % KEY.encode())
        assert isinstance(seen, RemoteProtocolError)
        assert STARS in str(seen)

    def test_a_stream_without_secrets_masks_nothing(self) -> None:
        outcome = check_fragmentations(QUERY, KEY.encode(), status_code=500, headers=TEXT)
        assert isinstance(outcome.error, APIError)
        assert outcome.error.message == KEY


class TestAnswers:
    """The text of an answer is never masked."""

    def test_events_and_results(self) -> None:
        data = delta(f"the key {KEY}")
        outcome = check_fragmentations(QUERY, data, sent=SENT)
        assert outcome.events == [TextDelta(f"the key {KEY}")]
        assert isinstance(outcome.error, IncompleteStream)
        assert outcome.error.partial == outcome.snapshot
        assert outcome.snapshot.text == f"the key {KEY}"

    def test_the_request_id_of_a_stream_is_no_answer(self) -> None:
        stream = ResponseStream(QUERY, sent=SENT)
        assert stream.request_id is None
        stream.receive_response(200, (*EVENT_STREAM, ("x-request-id", f"for {KEY}")))
        assert stream.request_id == f"for {STARS}"


class TestCauses:
    @staticmethod
    def raised(error: Exception) -> MoondreamError:
        stream = ResponseStream(QUERY, sent=SENT)
        stream.receive_error(error)
        with pytest.raises(MoondreamError) as caught:
            list(stream.events())
        return caught.value

    def test_an_error_of_another_library_is_dropped_if_it_shows_the_key(self) -> None:
        seen = self.raised(OSError(f"illegal header line: {KEY}"))
        assert isinstance(seen, ConnectionLost)
        assert seen.message == f"the connection broke: OSError: illegal header line: {STARS}"
        assert (seen.__cause__, seen.__context__) == (None, None)

    @pytest.mark.parametrize("where", ["args", "field", "note"])
    def test_it_may_show_it_anywhere(self, where: str) -> None:
        cause = ValueError(*([b"x", KEY.encode()] if where == "args" else []))
        if where == "field":
            cause.request = {"X-Moondream-Auth": KEY}  # type: ignore[attr-defined]
        if where == "note":
            cause.add_note(f"with {KEY}")
        assert self.raised(cause).__cause__ is None

    def test_it_stays_if_it_shows_none(self) -> None:
        cause = OSError("reset by peer")
        assert self.raised(cause).__cause__ is cause

    def test_one_that_cannot_be_shown_is_dropped(self) -> None:
        class Odd(Exception):
            def __repr__(self) -> str:
                raise RuntimeError("no repr")

        error = caused(ConnectionLost("lost"), Odd())
        assert self.raised(error) is error
        assert error.__cause__ is None

    def test_an_error_of_ours_is_masked_with_its_notes_and_its_own_causes(self) -> None:
        inner = caused(IncompleteStream(f"inner {KEY}"), ValueError(KEY))
        middle = ValueError("harmless")
        middle.__context__ = inner
        error = caused(ConnectionLost(f"outer {KEY}"), middle)
        error.add_note(f"for {KEY}")
        inner.__context__ = error  # a circle
        assert self.raised(error) is error
        assert (error.message, error.__notes__) == (f"outer {STARS}", [f"for {STARS}"])
        assert error.args == (f"outer {STARS}",)
        assert error.__cause__ is middle
        assert middle.__context__ is inner
        assert str(inner) == f"inner {STARS}"
        assert (inner.__cause__, inner.__context__) == (None, error)


class TestHTTP11:
    def test_a_first_line_that_quotes_a_secret(self) -> None:
        """The quotation ends with the first wrong byte, so only a short one can be quoted."""
        request = HTTPRequest("POST", "http://h/v1/query", (("X-Api-Key", "HTTPX"),), b"{}")
        seen = check(b"HTTPX-9 200", request=request).error
        assert isinstance(seen, RemoteProtocolError)
        assert "begins with b'*****'" in str(seen)

    def test_a_socket_stream_knows_the_key_of_its_endpoint(self) -> None:
        stream = SocketStream(QUERY, Endpoint("http://localhost/v1", api_key=KEY))
        stream.data_to_send()
        body = record({"error": {"message": KEY}})
        stream.receive_data(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + body)
        with pytest.raises(APIError) as caught:
            list(stream.events())
        assert caught.value.message == STARS


class TestFrames:
    """Error reporters print the local variables of frames."""

    @staticmethod
    def locals_of(error: BaseException) -> str:
        shown: list[str] = []
        traceback = error.__traceback__
        while traceback is not None:
            if "sansio_moondream" in traceback.tb_frame.f_code.co_filename:
                shown.append(repr(traceback.tb_frame.f_locals))
            traceback = traceback.tb_next
        assert shown
        return "\n".join(shown)

    @pytest.mark.parametrize(
        "values",
        [
            {"url": "http://example.com/v1"},
            {"headers": {"X-Name": f"{KEY}\n"}},
            {"headers": {"Authorization": KEY}, "url": "ftp://h"},
            {"user_agent_suffix": 7},
        ],
        ids=str,
    )
    def test_an_endpoint_that_is_refused(self, values: dict[str, Any]) -> None:
        with pytest.raises((ValueError, TypeError)) as caught:
            Endpoint(**{"api_key": KEY, **values})
        assert KEY not in self.locals_of(caught.value)

    def test_a_request_that_http_cannot_carry(self) -> None:
        request = HTTPRequest(
            "POST", "http://h/v1", (("X-Api-Key", KEY), ("bad name", "x")), KEY.encode()
        )
        with pytest.raises(LocalProtocolError) as caught:
            HTTP11Exchange(request)
        assert KEY not in self.locals_of(caught.value)

    def test_a_body_that_is_no_json(self) -> None:
        with pytest.raises(TypeError) as caught:
            QUERY.to_http(Endpoint(api_key=KEY), extra_body={"picture": KEY, "odd": object()})
        assert KEY not in self.locals_of(caught.value).replace(f"'picture': '{KEY}', 'odd'", "")
