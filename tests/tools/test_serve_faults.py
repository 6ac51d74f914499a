"""Faults and recorded endings of `moondream-stream serve`."""

from __future__ import annotations

import gzip
import http.client
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from moondream_tools._convert import convert
from moondream_transports import Timeouts
from sansio_moondream import (
    APIError,
    AuthenticationError,
    ConnectionLost,
    Dialect,
    IdleTimeout,
    IncompleteStream,
    MoondreamError,
    QueryRequest,
    RateLimitError,
    RemoteProtocolError,
    ServerError,
    TextDelta,
)
from sansio_moondream.recording import Chunk, Ending, Recording, RecordingHeader
from tests.helpers import DETECT, END, LOCAL, QUERY, delta, record
from tests.tools.programs import Program, running, write
from tests.tools.serving import BODY, RECORDED, asked, client, http_request, post, raw


class TestFaults:
    FULL = len(RECORDED["query"].chunks)
    HALF = FULL // 2

    @pytest.mark.parametrize(
        ("fault", "count", "kind", "words"),
        [
            ("close", HALF, ConnectionLost, ""),
            ("close@3", 3, ConnectionLost, ""),
            ("close@0", 0, ConnectionLost, ""),
            ("truncate", HALF, IncompleteStream, "without its end-of-stream message"),
            ("stall@2", 2, IdleTimeout, "1.5 seconds"),
            ("error@5", 5, ServerError, "out of memory"),
            ("json-error", 0, ServerError, "out of memory"),
            ("no-head", 0, ConnectionLost, ""),
            ("401", 0, AuthenticationError, "simulated fault 401"),
            ("429", 0, RateLimitError, "simulated fault"),
            ("503", 0, ServerError, "simulated fault"),
        ],
    )
    def test_in_a_stream(
        self, server: Program, fault: str, count: int, kind: type[MoondreamError], words: str
    ) -> None:
        events, error = asked(server, QUERY, Timeouts(idle=1.5), Fault=fault)
        assert (type(error), len(events)) == (kind, count)
        assert words in str(error)
        if fault in ("429", "503"):
            assert error.retry_after == 1.0

    def test_a_reset(self, server: Program) -> None:
        _, error = asked(server, QUERY, Fault="reset")  # it may overtake the events
        assert isinstance(error, ConnectionLost)
        assert "reset" in str(error)

    def test_broken_framing(self, server: Program) -> None:
        chunks = raw(server, post(BODY, "X-Moondream-Fault: garbage@1")).partition(b"\r\n\r\n")[2]
        first = RECORDED["query"].chunks[0].data
        assert chunks == b"%x\r\n%b\r\nzz\r\nthis is no chunk\r\n" % (len(first), first)
        events, error = asked(server, QUERY, Fault="garbage@1")
        assert (len(events), type(error)) == (1, RemoteProtocolError)

    @pytest.mark.parametrize("fault", ["keep-alive", "no-space", "cr", "bom", "gzip"])
    def test_variants_that_are_valid(self, server: Program, fault: str) -> None:
        plain, changed = http_request(server), http_request(server, X_Moondream_Fault=fault)
        assert plain[2] != changed[2]
        if fault == "gzip":
            assert gzip.decompress(changed[2]) == plain[2]
        events, result = asked(server, QUERY, Fault=fault)
        assert (events[:-1], result.text) == (
            asked(server, QUERY)[0][:-1],
            asked(server, QUERY)[1].text,
        )

    @pytest.mark.parametrize(
        ("fault", "kind"),
        [
            ("close", ConnectionLost),
            ("truncate", IncompleteStream),
            ("error", ServerError),
            ("json-error", ServerError),
            ("500", ServerError),
            ("no-head", ConnectionLost),
            ("bom", None),
            ("gzip", None),
        ],
    )
    def test_in_a_whole_answer(
        self, server: Program, fault: str, kind: type[MoondreamError] | None
    ) -> None:
        ask = client(server, Fault=fault)
        if kind is None:
            assert ask.send(DETECT).objects == client(server).send(DETECT).objects
            return
        with pytest.raises(MoondreamError) as caught:
            ask.send(QUERY)
        assert type(caught.value) is kind

    @pytest.mark.parametrize("fault", ["429", "503", "json-error"])
    def test_an_error_needs_no_recording(self, server: Program, fault: str) -> None:
        so_far = len(server.lines)
        status, head, body = http_request(
            server, X_Moondream_Fault=fault, X_Moondream_Match="exact", X_Moondream_Speed="0.001"
        )
        assert status == (200 if fault == "json-error" else int(fault))
        assert head.get("retry-after") == (None if fault == "json-error" else "1")
        message = "the model ran out of memory" if status == 200 else f"simulated fault {fault}"
        error = json.loads(body)["error"]
        assert (error["message"], error["type"][-6:]) == (message, "_error")
        server.wait_for_line(f"POST /v1/query {status}", f"fault {fault}", after=so_far)
        body = b'{"question": 7}'
        assert http_request(server, body=body, X_Moondream_Fault=fault)[0] == 400

    def test_by_option(self) -> None:
        with running(
            "serve",
            "--speed",
            "max",
            "--fault",
            "error@2",
            "--dialect",
            "station",
            "--fragmentation",
            "7",
        ) as server:
            events, error = asked(server, QUERY)
        assert ([type(event) for event in events], type(error)) == (
            [TextDelta, TextDelta],
            ServerError,
        )


def test_an_error_in_place_of_a_stream(tmp_path: Path) -> None:
    """The station answers 200 with JSON to a request for a stream. It is not converted."""
    body = b'{"error":"model refused"}'
    header = RecordingHeader.of(
        QUERY.to_http(LOCAL),
        200,
        [("content-type", "application/json"), ("content-length", str(len(body)))],
    )
    write(tmp_path, "refused.jsonl", Recording(header, (Chunk(0, body),), Ending(0)).encode())
    with running("serve", tmp_path) as server:
        for headers in ({}, {"X_Moondream_Dialect": "engine"}):
            for asked_for in (BODY, '{"question": "What?"}'):
                status, head, answer = http_request(server, body=asked_for, **headers)
                assert (status, head["content-type"], answer) == (200, "application/json", body)


@pytest.fixture(scope="module")
def endings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("endings")
    error = record(
        {"error": {"message": "no memory", "type": "server_error", "param": None, "code": "oom"}}
    )
    for name, chunks, ending in [
        ("closed", [delta("a")], Ending(0, "ConnectionLost", "the server closed the connection")),
        ("silent", [delta("a")], Ending(0.01, "TimeoutError")),
        ("left", [delta("a")], Ending(0, "left")),
        ("no end", [delta("a")], Ending(0)),
        ("error", [delta("a"), error], Ending(0)),
        ("no http", [delta("a")], Ending(0, "RemoteProtocolError", "illegal chunk header")),
        ("refused", None, Ending(0, "ConnectError", "nobody listens")),
    ]:
        head = (200, (("content-type", "text/event-stream"),)) if chunks is not None else ()
        header = RecordingHeader("POST", "/v1/query", (), {"question": name, "stream": True}, *head)
        recording = Recording(header, tuple(Chunk(0, chunk) for chunk in chunks or ()), ending)
        write(folder, f"{name}.jsonl", recording.encode())
    with running("serve", folder) as program:
        yield program


class TestRecordedEndings:
    """A recorded error is an error again."""

    @pytest.mark.parametrize(
        ("name", "streamed", "whole"),
        [
            ("closed", ConnectionLost, ConnectionLost),
            ("silent", IdleTimeout, None),
            ("left", ConnectionLost, ConnectionLost),
            ("no end", IncompleteStream, ConnectionLost),
            ("error", ServerError, ServerError),
            ("no http", RemoteProtocolError, ConnectionLost),
            ("refused", ConnectionLost, ConnectionLost),
        ],
    )
    def test_streamed_whole_and_in_another_dialect(
        self,
        endings: Program,
        name: str,
        streamed: type[MoondreamError],
        whole: type[MoondreamError] | None,
    ) -> None:
        request = QueryRequest(question=name)
        for headers in ({}, {"Dialect": "station"}):
            events, error = asked(endings, request, Timeouts(idle=1.5), **headers)
            assert (events, type(error)) == (
                [] if name == "refused" else [TextDelta("a")],
                streamed,
            )
        if whole is None:
            return
        with pytest.raises(MoondreamError) as caught:
            client(endings).send(request)
        assert type(caught.value) is whole
        if name == "error":
            assert isinstance(caught.value, APIError)
            assert caught.value.type == "server_error"
            assert caught.value.code == "oom"
            assert caught.value.message == "no memory"


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("left")
    for name, kind, body in [
        ("whole", "text/event-stream", delta("a") + END),
        ("incomplete", "text/event-stream", delta("a")),
        ("whole JSON", "application/json", b'{"answer": "a"}'),
        ("incomplete JSON", "application/json", b'{"answer": "a'),
    ]:
        header = RecordingHeader(
            "POST",
            "/v1/query",
            (),
            {"question": name, "stream": "JSON" not in name},
            200,
            (("content-type", kind),),
        )
        write(
            folder,
            f"{name}.jsonl",
            Recording(header, (Chunk(0, body),), Ending(0, "left")).encode(),
        )
    with running("serve", folder) as program:
        yield program


@pytest.mark.parametrize("name", ["whole", "incomplete", "whole JSON", "incomplete JSON"])
@pytest.mark.parametrize("dialect", ["", "engine"])
def test_what_was_whole_when_its_client_left_ends_well(
    left: Program, name: str, dialect: str
) -> None:
    body = json.dumps({"question": name, "stream": "JSON" not in name})
    headers = {"X_Moondream_Dialect": dialect} if dialect else {}
    if "whole" in name:
        status, _, answer = http_request(left, body=body, **headers)
        assert (status, answer != b"") == (200, True)
    else:
        with pytest.raises((http.client.IncompleteRead, http.client.RemoteDisconnected)):
            http_request(left, body=body, **headers)


def test_the_wait_before_an_error_in_a_stream_counts_once(tmp_path: Path) -> None:
    error = record(
        {"error": {"message": "no memory", "type": "server_error", "param": None, "code": "oom"}}
    )
    header = RecordingHeader(
        "POST",
        "/v1/query",
        (),
        {"question": "?", "stream": True},
        200,
        (("content-type", "text/event-stream"),),
    )
    recording = Recording(header, (Chunk(0, delta("a")), Chunk(1.5, error)), Ending(0))
    converted = convert(recording, skill="query", stream=True, dialect=Dialect.CLOUD)
    assert sum(chunk.seconds for chunk in converted.chunks) + converted.ending.seconds == 1.5


def test_recordings_of_what_is_no_answer(tmp_path: Path) -> None:
    """They are played as far as they can be decoded. The server continues."""
    header = RecordingHeader(
        "POST", "/v1/query", (), {"question": "?"}, 200, (("content-type", "text/html"),)
    )
    write(tmp_path, "page.jsonl", Recording(header, (Chunk(0, b"<html>"),), Ending(0)).encode())
    with running("serve", tmp_path) as server:
        assert http_request(server, body='{"question": "?"}')[2] == b"<html>"
        assert isinstance(asked(server, QUERY)[1], IncompleteStream)
        assert isinstance(
            asked(server, QUERY, Dialect="cloud", Fragmentation="1")[1], IncompleteStream
        )
