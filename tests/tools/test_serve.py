"""`moondream-stream serve`: run as a program, and asked by our client, by http.client, and byte by
byte.
"""

from __future__ import annotations

import base64
import gzip
import http.client
import json
import signal
import socket
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from moondream_tools._convert import convert
from moondream_tools.cli import Exit, main
from moondream_transports import Client, Timeouts, UrllibTransport
from sansio_moondream import (
    APIError,
    AuthenticationError,
    BadRequestError,
    Completed,
    ConnectionLost,
    Dialect,
    Endpoint,
    Event,
    IdleTimeout,
    IncompleteStream,
    MoondreamError,
    NotFoundError,
    QueryRequest,
    RateLimitError,
    RemoteProtocolError,
    Request,
    ServerError,
    TextDelta,
    encode_events,
    encode_image,
    encode_result,
)
from sansio_moondream.recording import Chunk, Ending, Recording, RecordingHeader
from tests.helpers import DATA, DETECT, END, LOCAL, OWN, POINT, QUERY, REQUESTS, delta, record
from tests.tools.programs import Program, running, write

SHIPPED = files("moondream_tools") / "recordings"
RECORDED = {
    skill: Recording.decode((SHIPPED / f"{skill}.jsonl").read_bytes())
    for skill in REQUESTS
    if skill != "chat"
}  # chats are not served
MOON = encode_image((SHIPPED / "moon.png").read_bytes())
BODY = json.dumps({"question": "What is in this image?", "stream": True})
STREAMED = [request for request in OWN.values() if request.streams]
DIALECTS = [dialect for dialect in Dialect if dialect is not Dialect.CHAT]


@pytest.fixture(scope="module")
def server() -> Iterator[Program]:
    with running("serve", "--speed", "max") as program:
        yield program


def client(
    server: Program, timeouts: Timeouts | None = None, api_key: str | None = None, /, **headers: str
) -> Client:
    fields = {f"X-Moondream-{name}": value for name, value in headers.items()}
    return Client(
        UrllibTransport(proxies={}),
        Endpoint(server.url, api_key=api_key, headers=fields),
        timeouts=timeouts or Timeouts(),
    )


def asked(
    server: Program, request: Request[Any], timeouts: Timeouts | None = None, /, **headers: str
) -> tuple[list[Event], Any]:
    """The events of a stream, and its result or the error that ended it."""
    events: list[Event] = []
    try:
        with client(server, timeouts, **headers).stream(request) as stream:
            events.extend(stream)
            return events, stream.result()
    except MoondreamError as error:
        return events, error


def http_request(
    server: Program,
    method: str = "POST",
    path: str = "/v1/query",
    body: str | bytes | None = BODY,
    **headers: str,
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        connection.request(
            method, path, body, {name.replace("_", "-"): value for name, value in headers.items()}
        )
        response = connection.getresponse()
        return (
            response.status,
            {name.lower(): value for name, value in response.getheaders()},
            response.read(),
        )
    finally:
        connection.close()


def raw(server: Program, data: bytes, *, until: bytes | None = None) -> bytes:
    """What comes back for these bytes, until the server closes or `until` has come."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(data)
        received = b""
        while until is None or until not in received:
            if not (more := connection.recv(65536)):
                break
            received += more
        return received


def post(body: str = BODY, *headers: str, version: str = "1.1") -> bytes:
    """A request as bytes, which asks to close afterwards."""
    lines = [
        f"POST /v1/query HTTP/{version}",
        "Host: localhost",
        "Connection: close",
        f"Content-Length: {len(body)}",
        *headers,
        "",
        body,
    ]
    return "\r\n".join(lines).encode()


class TestAnswers:
    @pytest.mark.parametrize("request_", OWN.values(), ids=list(OWN))
    @pytest.mark.parametrize("dialect", ["", *(dialect.value for dialect in DIALECTS)])
    def test_every_skill_streamed_and_whole_in_each_dialect(
        self, server: Program, request_: Request[Any], dialect: str
    ) -> None:
        headers = {"Dialect": dialect} if dialect else {}
        whole = client(server, **headers).send(request_)
        events, streamed = asked(server, request_, **headers)
        recorded = asked(server, request_)[1]
        for name in ("text", "path", "bbox", "objects", "points"):
            assert (
                getattr(whole, name, None)
                == getattr(streamed, name, None)
                == getattr(recorded, name, None)
            )
        assert isinstance(events[-1], Completed)
        assert (len(events) > 5) == request_.streams

    @pytest.mark.parametrize("skill", ["query", "caption", "segment"])
    def test_as_it_was_recorded_byte_by_byte_and_chunk_by_chunk(
        self, server: Program, skill: str
    ) -> None:
        body = json.dumps(
            {"question": "What?", "object": "moon", "image_url": MOON.data_url, "stream": True}
        )
        head, _, chunks = raw(
            server, post(body).replace(b"/v1/query", f"/v1/{skill}".encode())
        ).partition(b"\r\n\r\n")
        parts = [part.data for part in RECORDED[skill].chunks]
        assert chunks == b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in [*parts, b""])
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"\r\ncontent-type: text/event-stream; charset=utf-8" in head

    @pytest.mark.parametrize("dialect", DIALECTS)
    def test_in_a_dialect(self, server: Program, dialect: Dialect) -> None:
        events, result = asked(server, QUERY)
        _, head, body = http_request(server, X_Moondream_Dialect=dialect.value)
        assert body == encode_events(events, dialect)
        assert head["content-type"].startswith("text/event-stream")
        _, head, body = http_request(
            server, body='{"question": "What?"}', X_Moondream_Dialect=dialect.value
        )
        assert body == encode_result(result, dialect)
        assert head["content-length"] == str(len(body))

    def test_a_whole_answer_as_a_stream(self, tmp_path: Path) -> None:
        """The captured answer of the engine's to a request that did not ask for a stream."""
        trace = json.loads((DATA / "traces" / "engine-query-whole.json").read_text())
        answer = b"".join(map(base64.b64decode, trace["response_chunks_b64"])).partition(
            b"\r\n\r\n"
        )[2]
        header = RecordingHeader.of(
            QUERY.to_http(LOCAL, stream=False), 200, [("content-type", "application/json")]
        )
        write(tmp_path, "whole.jsonl", Recording(header, (Chunk(0, answer),), Ending(0)).encode())
        with running("serve", tmp_path) as server:
            assert http_request(server, body='{"question": "What?"}')[2] == answer
            (first, last), result = asked(server, QUERY)
        assert first == TextDelta(json.loads(answer)["answer"])
        assert last == Completed(result)
        assert result.metadata.request_id == "35"

    def test_fragmentation(self, server: Program) -> None:
        _, _, chunks = raw(server, post(BODY, "X-Moondream-Fragmentation: 100")).partition(
            b"\r\n\r\n"
        )
        body = b"".join(part.data for part in RECORDED["query"].chunks)
        parts = [body[at : at + 100] for at in range(0, len(body), 100)]
        assert chunks == b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in [*parts, b""])
        assert asked(server, QUERY, Fragmentation="1") == asked(server, QUERY)

    def test_speed(self, server: Program) -> None:
        recorded = RECORDED["detect"]
        began = time.monotonic()
        client(server, Speed="1").send(DETECT)
        assert (
            time.monotonic() - began
            > recorded.header.seconds + sum(chunk.seconds for chunk in recorded.chunks) - 0.01
        )

    def test_a_client_that_leaves(self, server: Program) -> None:
        so_far = len(server.lines)
        with client(server, Speed="1").stream(QUERY):
            pass
        assert "query.jsonl" in server.wait_for_line("the client left", after=so_far)


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    for name, question in (
        ("moon", "Is it a moon?"),
        ("sun/one", "Is it the sun?"),
        ("sun/two", "Is it the sun?"),
    ):
        header = RecordingHeader.of(
            QueryRequest(question=question, image=MOON).to_http(LOCAL),
            200,
            [("content-type", "text/event-stream")],
        )
        recording = Recording(header, (Chunk(0, delta(name) + END),), Ending(0))
        write((folder / name).parent, f"{Path(name).name}.jsonl", recording.encode())
    return folder


@pytest.fixture(scope="module")
def matching(questions: Path) -> Iterator[Program]:
    with running("serve", questions, "--match", "any-image") as program:
        yield program


class TestMatching:
    def test_the_same_question_with_any_picture(self, matching: Program) -> None:
        for image in (MOON, REQUESTS["caption"].image):  # type: ignore[attr-defined]
            request = QueryRequest(question="Is it a moon?", image=image)
            assert asked(matching, request)[1].text == client(matching).send(request).text == "moon"

    def test_equals_take_turns(self, matching: Program) -> None:
        request = QueryRequest(question="Is it the sun?", image=MOON)
        assert sorted(client(matching).send(request).text for _ in range(2)) == [
            "sun/one",
            "sun/two",
        ]

    def test_none_matches(self, matching: Program) -> None:
        _, error = asked(matching, QueryRequest(question="Is it the sea?", image=MOON))
        assert isinstance(error, NotFoundError)
        assert "no recording answers POST /v1/query; the nearest, " in error.message
        assert "differs: question: recorded 'Is it" in error.message
        exact = asked(
            matching,
            QueryRequest(question="Is it a moon?", image=REQUESTS["caption"].image),  # type: ignore[attr-defined]
            Match="exact",
        )[1]
        assert "moon.jsonl, differs: image_url: recorded the picture" in exact.message

    def test_any_of_the_skill_and_the_likest_of_them(self, matching: Program) -> None:
        assert asked(matching, QueryRequest(question="?"), Match="skill")[1].text in (
            "moon",
            "sun/one",
            "sun/two",
        )
        assert (
            asked(matching, QueryRequest(question="Is it a moon?", image=MOON), Match="skill")[
                1
            ].text
            == "moon"
        )
        assert isinstance(asked(matching, POINT, Match="skill")[1], NotFoundError)


NO_PIXELS = "data:image/png;base64,"
REFUSED = [
    ("query", "not JSON", 400, "Invalid JSON body", None),
    ("query", "[" * 5000, 400, "Invalid JSON body", None),
    (
        "query",
        '{"question": "What?", "x": ' + "[" * 100 + "]" * 100 + "}",
        400,
        "Invalid JSON body",
        None,
    ),
    ("query", b"\xff", 400, "Invalid JSON body", None),
    ("query", "[]", 400, "Request body must be an object", None),
    ("query", "{}", 400, "Field 'question' must be a string", "question"),
    ("query", '{"question": " "}', 400, "Field 'question' must be a non-empty string", "question"),
    (
        "query",
        '{"question": "?", "stream": "yes"}',
        400,
        "Field 'stream' must be a boolean",
        "stream",
    ),
    (
        "query",
        '{"question": "?", "settings": 7}',
        400,
        "Field 'settings' must be an object if provided",
        "settings",
    ),
    (
        "query",
        '{"question": "?", "image_url": 7}',
        400,
        "Field 'image_url' must be a string",
        "image_url",
    ),
    (
        "query",
        f'{{"question": "?", "image_url": "{NO_PIXELS}"}}',
        400,
        "Invalid data URL: missing payload",
        "image_url",
    ),
    (
        "query",
        f'{{"question": "?", "image_url": "{NO_PIXELS}%%%"}}',
        400,
        "Invalid base64 image data",
        "image_url",
    ),
    (
        "query",
        f'{{"question": "?", "image_url": "{NO_PIXELS}ü"}}'.encode(),
        400,
        "Invalid base64 image data",
        "image_url",
    ),
    ("caption", "{}", 400, "Field 'image_url' must be provided", "image_url"),
    ("caption", '{"length": 7}', 400, "Field 'length' must be a string", "length"),
    ("segment", "{}", 400, "Field 'object' must be a string", "object"),
    ("detect", '{"object": "moon"}', 400, "Field 'image_url' must be provided", "image_url"),
    ("point", '{"object": ["moon"]}', 400, "Field 'object' must be a string", "object"),
]


class TestRefusals:
    @pytest.mark.parametrize(("skill", "body", "status_code", "message", "param"), REFUSED)
    def test_in_the_words_of_each_dialect(
        self,
        server: Program,
        skill: str,
        body: str,
        status_code: int,
        message: str,
        param: str | None,
    ) -> None:
        engine, cloud, station = (
            http_request(server, path=f"/v1/{skill}", body=body, X_Moondream_Dialect=dialect)
            for dialect in ("engine", "cloud", "station")
        )
        assert (engine[0], json.loads(engine[2])) == (status_code, {"error": message})
        fields = {"message": message, "type": "invalid_request_error", "param": param, "code": None}
        assert (cloud[0], json.loads(cloud[2])) == (status_code, {"error": fields})
        assert (station[0], json.loads(station[2])) == (200, {"error": message})
        assert {head["content-type"] for _, head, _ in (engine, cloud, station)} == {
            "application/json"
        }

    @pytest.mark.parametrize(
        "name",
        [
            "engine-404",
            "engine-query-400",
            "engine-query-reasoning-stream-refused",
            "station-unknown-function",
        ],
    )
    def test_the_very_answers_that_were_captured(self, server: Program, name: str) -> None:
        trace = json.loads((DATA / "traces" / f"{name}.json").read_text())
        captured = b"".join(map(base64.b64decode, trace["response_chunks_b64"]))
        body = json.dumps(trace["request"]["body"] | {"image_url": MOON.data_url})
        seen = http_request(
            server,
            path=trace["request"]["path"],
            body=body,
            X_Moondream_Dialect=name.partition("-")[0],
        )
        assert str(seen[0]).encode() == captured[9:12]
        assert seen[2] == captured.partition(b"\r\n\r\n")[2]
        assert f"content-type: {seen[1]['content-type']}".encode() in captured

    def test_what_the_engine_refuses_and_the_station_streams(self, server: Program) -> None:
        request = QueryRequest(question="?", reasoning=True)
        assert isinstance(asked(server, request)[1], BadRequestError)
        assert asked(server, request, Dialect="station")[1].text.startswith("The image shows")

    def test_another_method_and_another_path(self, server: Program) -> None:
        status, head, body = http_request(server, "GET", body=None)
        assert (status, head["allow"], body) == (405, "POST", b"Method Not Allowed")
        assert http_request(server, path="/v2/query")[0] == 404

    def test_chats_are_not_served_and_it_says_so(self, server: Program) -> None:
        so_far = len(server.lines)
        status, _, body = http_request(
            server, path="/v1/chat/completions", X_Moondream_Dialect="cloud"
        )
        assert (status, json.loads(body)["error"]["type"]) == (404, "not_found_error")
        assert b"chats are not served" in http_request(server, path="/v1/chat/completions")[2]
        server.wait_for_line("/v1/chat/completions 404", "chats are not served", after=so_far)

    def test_a_picture_that_is_too_large(self, server: Program) -> None:
        body = json.dumps(
            {"question": "?", "image_url": "data:image/png;base64," + "A" * 14_000_000}
        )
        status, _, answer = http_request(server, body=body)
        assert (status, b"10,485,760 are allowed" in answer) == (413, True)

    def test_a_body_that_is_too_large(self, server: Program) -> None:
        size = 33 * 1024 * 1024
        head = f"POST /v1/query HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n"
        answer = raw(server, head.encode() + bytes(size))
        assert answer.startswith(b"HTTP/1.1 413 ")

    @pytest.mark.parametrize(
        ("header", "value"),
        [
            ("Dialect", "french"),
            ("Match", "none"),
            ("Speed", "0"),
            ("Fragmentation", "-1"),
            ("Fault", "flood"),
            ("Fault", "bom@3"),
        ],
    )
    def test_headers_that_cannot_be_meant(self, server: Program, header: str, value: str) -> None:
        _, error = asked(server, QUERY, **{header: value})
        assert isinstance(error, BadRequestError)
        assert value.partition("@")[0] in error.message

    @pytest.mark.parametrize(
        ("header", "value"),
        [("Fragmentation", "9" * 5000), ("Fault", "9" * 5000), ("Fault", "close@" + "9" * 5000)],
    )
    def test_numbers_of_thousands_of_digits(self, server: Program, header: str, value: str) -> None:
        _, error = asked(server, QUERY, **{header: value})
        assert isinstance(error, BadRequestError)
        assert "should be" in error.message
        assert len(error.message) < 300

    def test_health(self, server: Program) -> None:
        for path in ("/health", "/healthz"):
            assert http_request(server, "GET", path, None)[::2] == (200, b'{"status":"ok"}')
        status, head, body = http_request(server, "HEAD", "/health", None)
        assert (status, head["content-length"], body) == (200, "15", b"")


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
    """The station's: 200, JSON, to a request that asked for a stream.

    Whatever is asked for, it stays so.
    """
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
    """What went wrong when it was recorded goes wrong again."""

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


class TestHTTP:
    def test_one_connection_for_many(self, server: Program) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        connection.connect()
        address = connection.sock.getsockname()
        for method, path, status in (
            ("POST", "/v1/query", 200),
            ("GET", "/nope", 404),
            ("POST", "/v1/query", 200),
        ):
            connection.request(method, path, BODY if method == "POST" else None)
            response = connection.getresponse()
            assert (response.status, response.read() != b"") == (status, True)
            assert connection.sock.getsockname() == address
        connection.close()

    def test_requests_sent_ahead(self, server: Program) -> None:
        one = post().replace(b"Connection: close\r\n", b"")
        answers = raw(server, one + one + post())
        assert answers.count(b"HTTP/1.1 200 OK") == answers.count(b"\r\n0\r\n\r\n") == 3

    def test_1_0(self, server: Program) -> None:
        head, _, body = raw(server, post(version="1.0")).partition(b"\r\n\r\n")
        assert b"chunked" not in head.lower()
        assert body == b"".join(chunk.data for chunk in RECORDED["query"].chunks)

    def test_it_says_when_to_send_the_body(self, server: Program) -> None:
        head, _, body = post(BODY, "Expect: 100-continue").partition(b"\r\n\r\n")
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
            connection.sendall(head + b"\r\n\r\n")
            assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
            connection.sendall(body)
            assert connection.recv(1000).startswith(b"HTTP/1.1 200 OK")

    def test_a_chunked_request(self, server: Program) -> None:
        status, _, body = http_request(server, body=iter([BODY[:9].encode(), BODY[9:].encode()]))  # type: ignore[arg-type]
        assert (status, len(body)) == (
            200,
            sum(len(chunk.data) for chunk in RECORDED["query"].chunks),
        )

    def test_what_is_no_http(self, server: Program) -> None:
        assert raw(server, b"hello\r\n\r\n").startswith(b"HTTP/1.1 400 ")
        assert raw(server, b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 400 ")  # no Host
        assert raw(server, b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000).startswith(b"HTTP/1.1 431 ")
        assert http_request(server)[0] == 200


class TestWhoMayAsk:
    @pytest.mark.parametrize(
        "host", ["localhost", "127.0.0.1:80", "[::1]:7", "moon.localhost", "LOCALHOST."]
    )
    def test_names_of_this_machine(self, server: Program, host: str) -> None:
        assert http_request(server, Host=host)[0] == 200

    @pytest.mark.parametrize(
        "host",
        [
            "evil.example",
            "localhost.evil.example",
            "192.168.0.1",
            "0.0.0.0",
            "",
            "[::1",
            "evil@localhost",
            "localhost/evil",
            "localhost:80:80",
            "localhost:x",
        ],
    )
    def test_other_names(self, server: Program, host: str) -> None:
        so_far = len(server.lines)
        status, _, body = http_request(server, Host=host)
        assert (status, b"not this machine" in body) == (403, True)
        server.wait_for_line("POST /v1/query 403", "not this machine", after=so_far)

    @pytest.mark.parametrize(
        "origin", ["http://localhost:3000", "https://127.0.0.1", "http://[::1]:8080"]
    )
    def test_pages_of_this_machine(self, server: Program, origin: str) -> None:
        _, head, _ = http_request(server, Origin=origin)
        assert (head["access-control-allow-origin"], head["vary"]) == (origin, "origin")
        asks = {
            "Access_Control_Request_Headers": "content-type, x-moondream-auth",
            "Access_Control_Request_Private_Network": "true",
        }
        status, head, body = http_request(
            server,
            "OPTIONS",
            body=None,
            Origin=origin,
            Access_Control_Request_Method="POST",
            **asks,
        )
        assert (status, body, head["access-control-allow-origin"]) == (204, b"", origin)
        assert head["access-control-allow-headers"] == "content-type, x-moondream-auth"
        assert head["access-control-allow-private-network"] == "true"
        assert (
            "access-control-allow-origin" in http_request(server, body="", Origin=origin)[1]
        )  # refusals too have to be readable

    @pytest.mark.parametrize(
        "origin", ["https://evil.example", "null", "http://localhost.evil.example", "http://[::1"]
    )
    @pytest.mark.parametrize("method", ["POST", "OPTIONS"])
    def test_other_pages(self, server: Program, origin: str, method: str) -> None:
        status, head, _ = http_request(server, method, Origin=origin)
        assert (status, "access-control-allow-origin" in head) == (403, False)

    def test_those_that_were_let_in_and_the_key(self) -> None:
        arguments = [
            "--allow-origin",
            "https://moon.example",
            "--host",
            "127.0.0.1",
            "--api-key",
            "planted-key",
            "--dialect",
            "cloud",
        ]
        with running("serve", "--speed", "max", *arguments) as server:
            assert (
                http_request(server, Origin="https://moon.example", X_Moondream_Auth="planted-key")[
                    0
                ]
                == 200
            )
            assert http_request(server, Authorization="Bearer planted-key")[0] == 200
            for headers in (
                {},
                {"X_Moondream_Auth": "another"},
                {"Authorization": "planted"},
                {"X_Moondream_Auth": "\xff"},
            ):
                status, _, body = http_request(server, **headers)
                assert (status, json.loads(body)["error"]["type"]) == (401, "authentication_error")
            assert client(server, None, "planted-key").send(QUERY).text
            path = "/v1/query?key=planted-key"
            assert http_request(server, path=path, X_Moondream_Auth="planted-key")[0] == 200
            status, log = server.stopped()
        assert status == 0
        assert log.count("POST /v1/query 200") == 4
        assert "planted" not in log

    def test_another_address_takes_any_host_but_no_other_pages(self) -> None:
        with running("serve", "--host", "0.0.0.0", "--speed", "max") as server:
            assert http_request(server, Host="moon.example:80")[0] == 200
            assert http_request(server, Origin="http://moon.example")[0] == 403

    def test_all(self) -> None:
        with running("serve", "--allow-origin", "*", "--speed", "max") as server:
            assert http_request(server, Origin="null")[1]["access-control-allow-origin"] == "null"


class TestTheProgram:
    @pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_lets_answers_end(self, how: signal.Signals) -> None:
        with running("serve", "--speed", "2") as server:
            with (
                socket.create_connection(("127.0.0.1", server.port)),
                client(server).stream(QUERY) as stream,
            ):
                next(stream)
                server.process.send_signal(how)
                server.wait_for_line("exchanges still running: 1;")
                with pytest.raises(OSError, match="refused"):
                    socket.create_connection(("127.0.0.1", server.port), timeout=20).close()
                assert len(list(stream)) > 5
                assert stream.result().text
            assert server.ended()[0] == Exit.OK

    def test_a_second_signal_aborts_them(self) -> None:
        with running("serve", "--fault", "stall@1") as server:
            with client(server).stream(QUERY) as stream:
                next(stream)
                server.process.send_signal(signal.SIGTERM)
                server.wait_for_line("exchanges still running: 1;")
                status, log = server.stopped(signal.SIGTERM)
                with pytest.raises(ConnectionLost):
                    next(stream)
            assert status == Exit.INTERRUPTED
            assert "200, 74 bytes" in log
            assert ", aborted (query.jsonl, fault stall)" in log

    @pytest.mark.parametrize("half_closed", [False, True])
    def test_a_second_signal_ends_it_though_a_client_does_not_read(
        self, tmp_path: Path, half_closed: bool
    ) -> None:
        header = RecordingHeader(
            "POST",
            "/v1/query",
            (),
            {"question": "?", "stream": True},
            200,
            (("content-type", "text/event-stream"),),
        )
        write(
            tmp_path,
            "large.jsonl",
            Recording(header, (Chunk(0, b"x" * 9_000_000),), Ending(0)).encode(),
        )
        with (
            running("serve", tmp_path) as server,
            socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection,
        ):
            connection.sendall(post())
            assert connection.recv(4) == b"HTTP"  # and no more
            if half_closed:  # then its exchange is over, but what was written still waits for it
                connection.shutdown(socket.SHUT_WR)
                server.wait_for_line("the client left")
            server.process.send_signal(signal.SIGINT)
            if not half_closed:
                server.wait_for_line("exchanges still running: 1;")
            assert (
                server.stopped(signal.SIGTERM)[0] == Exit.INTERRUPTED
            )  # another signal, since two of a kind can merge

    def test_the_help_names_all_faults_and_headers(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["serve", "--help"]) == Exit.OK
        shown = capsys.readouterr().out
        assert all(
            word in shown
            for word in (
                "X-Moondream-Fault",
                "X-Moondream-Speed",
                "truncate",
                "keep-alive",
                "Retry-After",
            )
        )

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["{tmp}/none"], "none is not a folder with recordings"),
            (["{tmp}"], "moondream-stream record --upstream URL --to"),
            (["{tmp}/broken"], "worse/one.jsonl: line 1:"),
            (
                ["--dialect", "french"],
                "the dialect should be one of engine, cloud, station, demo, not 'french'",
            ),
            (["--speed", "0"], "the speed should be a number above 0"),
            (["--fault", "close@x"], "should be followed by a number"),
            (["--fragmentation", "0"], "a number of bytes above 0"),
            (["--port", "{taken}"], "in use"),
            (["--port", "70000"], "a number from 0 to 65535, not '70000'"),
            (["--port", "-1"], "a number from 0 to 65535, not '-1'"),
            (["--port", "9999999"], "a number from 0 to 65535"),
            (["--host", ""], "the host should be a name or an address"),
            (["--host", "192.0.2.1"], "192.0.2.1"),
        ],
    )
    def test_usage(
        self, arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write(tmp_path / "broken" / "worse", "one.jsonl", b"{}\n") if "broken" in str(
            arguments
        ) else None
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            assert (
                main(
                    [
                        "serve",
                        *(argument.format(tmp=tmp_path, taken=port) for argument in arguments),
                    ]
                )
                == Exit.USAGE
            )
        out, err = capsys.readouterr()
        assert (out, words in err) == ("", True), err


def test_recordings_of_what_is_no_answer(tmp_path: Path) -> None:
    """They are played as recorded, or as far as they can be decoded. The server goes on."""
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
