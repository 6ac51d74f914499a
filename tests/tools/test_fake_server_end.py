"""`FakeServer`: misses, unused answers, what cannot be answered, and what is left behind."""

from __future__ import annotations

import os
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from math import nan
from typing import Any

import pytest

import moondream_tools
from moondream_tools import FakeServer
from moondream_transports import Client
from sansio_moondream import (
    APIError,
    BBox,
    Dialect,
    Endpoint,
    NotFoundError,
    Point,
    QueryRequest,
    QueryResult,
    TextDelta,
)
from sansio_moondream.recording import Ending, Recording, RecordingError, RecordingHeader
from tests.helpers import QUERY, NewThreads

BOX = BBox(0, 0, 1, 1)
LONG = QueryRequest(question="Why? " * 1000)


def ask(server: FakeServer, request: Any = QUERY) -> Any:
    with Client(endpoint=Endpoint(server.url)) as moon:
        return moon.send(request)


def raw(server: FakeServer, data: bytes) -> bytes:
    port = int(server.url.split(":")[2].split("/")[0])
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@contextmanager
def failing(server: FakeServer) -> Iterator[list[str]]:
    """Run a block that the server has to fail at its end. Gives the lines of the error."""
    lines: list[str] = []
    with pytest.raises(AssertionError) as failed, server:
        yield lines
    lines += str(failed.value).splitlines()


NONE_LEFT = "no answer is left for QueryRequest(question='What is in this image?')"


class TestMisses:
    @pytest.mark.parametrize(
        ("answers", "asked", "words"),
        [
            ([], QUERY, f"{NONE_LEFT}: none was added"),
            (
                [{"points": []}, {"text": "Y", "skill": "chat"}],
                QUERY,
                f"{NONE_LEFT}: left are 1: points=[] (for point); 2: text='Y' (for chat)",
            ),
            ([], LONG, f"no answer is left for {repr(LONG)[:200]}…: none was added"),
        ],
    )
    def test_no_answer(self, answers: list[dict[str, Any]], asked: Any, words: str) -> None:
        server = FakeServer()
        with failing(server) as lines:
            for answer in answers:
                server.answer(**answer)
            with pytest.raises(NotFoundError) as caught:
                ask(server, asked)
        assert caught.value.message == words
        assert server.misses == (f"POST /v1/query: {words}",)
        unused = ["these answers of the fake server were not used:"] if answers else []
        assert lines == [
            "the fake server had no answer for some of the requests:",
            f"  POST /v1/query: {words}",
            *unused,
            *(f"  {answer}" for answer in server.unused),
        ]
        assert server.requests == (asked,)

    def test_all_were_given(self) -> None:
        server = FakeServer()
        with failing(server) as lines:
            server.answer(text="Yes.")
            ask(server)
            with pytest.raises(NotFoundError):
                ask(server)
        assert lines[1:] == [f"  POST /v1/query: {NONE_LEFT}: all 1 were given"]

    @pytest.mark.parametrize(
        ("data", "status_code", "words"),
        [
            (b'{"question": " "}', 400, "Field 'question' must be a non-empty string"),
            (b"nonsense", 400, "Invalid JSON body"),
        ],
    )
    def test_what_the_service_refuses(self, data: bytes, status_code: int, words: str) -> None:
        server = FakeServer()
        with failing(server) as lines:
            server.answer(text="Yes.")
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(f"{server.url}/query", data)
            with caught.value as answer:
                assert (answer.code, words.encode() in answer.read()) == (status_code, True)
        assert lines[1] == f"  POST /v1/query: {words}"
        assert (server.requests, len(server.unused)) == ((), 1)

    @pytest.mark.parametrize(
        ("data", "status_code", "miss"),
        [
            (b"\x16\x03\x01\x02\x00\x01", 400, "? /: the client speaks TLS: use http://"),
            (
                b"GET /v1/query HTTP/1.1\r\nHost: localhost\r\n\r\n",
                405,
                "GET /v1/query: Method Not Allowed",
            ),
            (
                b"POST /v1/query HTTP/1.1\r\nHost: example.com\r\n\r\n",
                403,
                "POST /v1/query: the Host 'example.com' is not this machine",
            ),
        ],
    )
    def test_what_is_no_request(self, data: bytes, status_code: int, miss: str) -> None:
        server = FakeServer()
        with failing(server):
            assert raw(server, data).startswith(f"HTTP/1.1 {status_code} ".encode())
        assert server.misses[0].startswith(miss)


class TestUnused:
    def test_answers_that_were_not_given(self) -> None:
        server = FakeServer()
        with failing(server) as lines:
            server.answer(text="Yes.", times=3)
            server.answer(text="x" * 500, skill="caption")
            server.answer(status=429, times=None)
            assert ask(server).text == "Yes."
        assert lines == [
            "these answers of the fake server were not used:",
            "  1: text='Yes.' (for query, caption, chat, given 1 of 3 times)",
            f"  2: text='{'x' * 79}… (for caption)",
        ]

    def test_another_error_is_not_masked(self) -> None:
        server = FakeServer()
        server.answer(text="Yes.")
        with pytest.raises(ZeroDivisionError), server:
            raise ZeroDivisionError

    def test_at_any_time(self) -> None:
        with FakeServer() as server:
            server.check()
            server.answer(text="Yes.")
            with pytest.raises(AssertionError, match="1: text='Yes.'"):
                server.check()
            ask(server)
            server.check()


class TestWhatCannotBeAnswered:
    @pytest.mark.parametrize(
        ("what", "kind", "words"),
        [
            ({}, TypeError, "an answer should be one of text=, path=, .*, status=, not nothing"),
            ({"text": "a", "status": 429}, TypeError, "not text= and status="),
            ({"reasoning": "a"}, TypeError, "one of text=.*, not reasoning="),
            ({"points": [], "box": BOX}, TypeError, "box= belongs to path=, not to points="),
            ({"path": "", "reasoning": "a"}, TypeError, "reasoning= belongs to text=, not to path"),
            ({"text": 1}, TypeError, "text should be of str, not int"),
            ({"path": "M0 0", "box": (0, 0)}, TypeError, "box should be of BBox, not tuple"),
            ({"objects": [Point(0, 0)]}, TypeError, "objects should be of BBox, not Point"),
            ({"points": [BOX]}, TypeError, "points should be of Point, not BBox"),
            ({"points": [Point(nan, 0)]}, ValueError, "not JSON compliant"),
            ({"points": [], "error": APIError()}, TypeError, "error= belongs to text= or path= or"),
            ({"text": "a", "error": "b"}, TypeError, "error should be of APIError, not str"),
            ({"result": "Yes"}, TypeError, "result should be the result of a skill, not str"),
            ({"error": "Yes"}, TypeError, "error should be of APIError, not str"),
            *(
                ({"status": code}, ValueError, f"status should be from 400 to 599, not {code}")
                for code in (200, 399, 600)
            ),
            ({"text": "a", "skill": "point"}, ValueError, "is for query, caption, chat, not for"),
            ({"text": "a", "fault": "fire"}, ValueError, "a fault should be one of close"),
            ({"text": "a", "fault": 429}, TypeError, "fault should be of str, not int"),
            ({"text": "a", "fault": "close@x"}, ValueError, "followed by a number of chunks"),
            ({"text": "a", "break_at": "x"}, TypeError, "break_at should be of BreakAt, not str"),
            ({"text": "a", "fragmentation": 0}, ValueError, "the size of the chunks should be"),
            ({"text": "a", "times": 0}, ValueError, "times should be at least 1, or None, not 0"),
            ({"text": "a", "seconds": -1}, ValueError, "seconds should be a number from 0 to 1e9"),
            ({"recording": "no.jsonl"}, FileNotFoundError, "no.jsonl"),
            ({"recording": __file__}, RecordingError, "line 1"),
            (
                {"recording": Recording(RecordingHeader("GET", "/v1/models"), (), Ending(0))},
                ValueError,
                "the recording should be of one of query, .*, not of '/v1/models'",
            ),
        ],
    )
    def test_is_refused_at_once(self, what: Any, kind: type[Exception], words: str) -> None:
        server = FakeServer()
        with pytest.raises(kind, match=words):
            server.answer(**what)
        assert server.unused == ()

    def test_the_dialect_of_chats(self) -> None:
        with pytest.raises(ValueError, match="chats have this dialect anyway"):
            FakeServer(Dialect.CHAT)

    def test_its_names(self) -> None:
        assert {*moondream_tools.__all__} == {"FakeServer", "Received"}
        with pytest.raises(AttributeError, match="has no attribute 'Server'"):
            _ = moondream_tools.Server


class TestStartAndClose:
    def test_nothing_is_left(self) -> None:
        threads = NewThreads()
        for _ in range(20):
            server = FakeServer().start()
            server.answer(text="a b", fault="stall@1")
            moon = Client(endpoint=Endpoint(server.url))
            address = ("127.0.0.1", int(server.url.split(":")[2].split("/")[0]))
            with (
                socket.create_connection(address, 20) as silent,
                socket.create_connection(address, 20) as begun,
                moon.stream(QUERY) as stream,
            ):
                begun.sendall(b"POST /v1/query HTTP/1.1\r\n")
                assert next(stream) == TextDelta(text="a")
                server.close()
                assert silent.recv(1) == b""
            moon.close()
            assert not threads.running()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address, 20)

    def test_states(self) -> None:
        server = FakeServer()
        server.close()
        with pytest.raises(RuntimeError, match="only between its start and its close"):
            _ = server.url
        server.start()
        with pytest.raises(RuntimeError, match="the server was started before"):
            server.start()
        assert server.url.startswith("http://127.0.0.1:")
        server.close()
        server.close()
        with pytest.raises(RuntimeError, match="only between its start and its close"):
            _ = server.url

    def test_a_server_that_cannot_start(self) -> None:
        resource = pytest.importorskip("resource", reason="limits of Unix")
        threads = NewThreads()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        server = FakeServer()
        *three, fourth = [os.dup(0) for _ in range(4)]  # three for an event loop, and no listener
        for number in (*three, fourth):
            os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, (fourth, hard))
        try:
            # The first text is ours. From Python 3.13 on asyncio raises the error itself.
            with pytest.raises(
                OSError, match=r"no socket could be opened.* 127\.0\.0\.1|could not bind"
            ):
                server.start()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert not threads.running()
        with pytest.raises(RuntimeError, match="only between its start and its close"):
            _ = server.url

    def test_its_repr(self) -> None:
        server = FakeServer()
        with failing(server), pytest.raises(NotFoundError):
            ask(server)
        assert repr(server) == "<FakeServer: 1 requests, 1 misses>"

    def test_answers_may_be_added_before_and_requests_read_after(self) -> None:
        server = FakeServer()
        server.answer(result=QueryResult("Yes."))
        with server:
            assert ask(server).text == "Yes."
        assert server.requests == (QUERY,)
