"""`FakeServer`: what it answers, and what it says of the requests."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from msgspec.structs import replace

from moondream_tools import FakeServer
from moondream_transports import (
    AsyncClient,
    BreakAt,
    Client,
    Fragmentation,
    Timeouts,
)
from sansio_moondream import (
    APIError,
    BBox,
    CaptionResult,
    ChatResult,
    Completed,
    ConnectionLost,
    DetectResult,
    Dialect,
    Endpoint,
    Event,
    IdleTimeout,
    IncompleteStream,
    Metadata,
    MoondreamError,
    PathChunk,
    PaymentRequiredError,
    Point,
    PointResult,
    QueryResult,
    RateLimitError,
    Reasoning,
    ReasoningDelta,
    RemoteProtocolError,
    Request,
    ResponseStream,
    SegmentResult,
    ServerError,
    Stats,
    TextDelta,
)
from sansio_moondream.recording import Ending, Recording
from tests.helpers import CAPTION, CHAT, DETECT, POINT, QUERY, REQUESTS, SEGMENT
from tests.tools.serving import RECORDED, SHIPPED

BOX = BBox(0.25, 0.5, 0.75, 1.0)
PATH = "M0 0L.5 1Z"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server


def client(server: FakeServer, timeouts: Timeouts | None = None, **endpoint: Any) -> Client:
    return Client(endpoint=Endpoint(server.url, **endpoint), timeouts=timeouts or Timeouts())


def streamed(
    server: FakeServer, request: Request[Any] = QUERY, timeouts: Timeouts | None = None
) -> tuple[list[Event], Any]:
    """Return the events of a stream, and its result or the error that ended it."""
    events: list[Event] = []
    try:
        with client(server, timeouts) as moon, moon.stream(request) as stream:
            events.extend(stream)
            return events, stream.result()
    except MoondreamError as error:
        return events, error


def whole(server: FakeServer, request: Request[Any] = QUERY) -> Any:
    with client(server) as moon:
        return moon.send(request)


def texts(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, TextDelta)]


class TestAnswers:
    @pytest.mark.parametrize("request_", [QUERY, CAPTION, CHAT], ids=lambda request: request.skill)
    def test_a_text_is_for_each_skill_with_a_text(
        self, server: FakeServer, request_: Request[Any]
    ) -> None:
        server.answer(text=" The moon rises.\n", times=2)
        events, result = streamed(server, request_)
        assert texts(events) == [" The", " moon", " rises.", "\n"]
        assert events[-1] == Completed(result)
        assert result.text == whole(server, request_).text == " The moon rises.\n"
        assert (result.metadata.request_id, result.metadata.finish_reason) == ("fake-1", "stop")

    def test_a_text_with_a_reasoning(self, server: FakeServer) -> None:
        server.answer(text="Full.", reasoning="It is round.", times=2)
        events, result = streamed(server, CHAT)
        thoughts = [event.text for event in events if isinstance(event, ReasoningDelta)]
        assert (thoughts, texts(events)) == (["It", " is", " round."], ["Full."])
        assert result.reasoning == whole(server).reasoning == Reasoning("It is round.")

    def test_a_segmentation(self, server: FakeServer) -> None:
        server.answer(path=PATH, box=BOX, times=2)
        events, result = streamed(server, SEGMENT)
        assert events[:-1] == [BOX, *(PathChunk(data=part) for part in ("M0 0", "L.5 1", "Z"))]
        assert (result.path, result.bbox) == (PATH, BOX)
        assert (whole(server, SEGMENT).path, result.partial) == (PATH, False)
        server.answer(path=PATH)
        server.answer(box=BOX)
        assert whole(server, SEGMENT).bbox is None
        assert (whole(server, SEGMENT).bbox) == BOX

    def test_boxes_and_points(self, server: FakeServer) -> None:
        server.answer(objects=[BOX])
        server.answer(objects=[])
        server.answer(points=iter([Point(0.5, 0.25)]))
        assert whole(server, POINT).points == (Point(0.5, 0.25),)
        assert [whole(server, DETECT).objects for _ in range(2)] == [(BOX,), ()]

    @pytest.mark.parametrize(
        "result",
        [
            QueryResult("Yes.", metadata=Metadata("7", "length")),
            CaptionResult("A moon."),
            SegmentResult(PATH, BOX, parse_error="cut"),
            DetectResult((BOX, BOX)),
            PointResult((Point(0, 1),)),
            ChatResult("Yes.", Reasoning("Hm."), Metadata("7", "stop")),
        ],
        ids=lambda result: type(result).__name__,
    )
    def test_a_result_with_all_its_fields(self, server: FakeServer, result: Any) -> None:
        server.answer(result=result)
        request = REQUESTS[type(result).__name__.removesuffix("Result").lower()]
        seen = whole(server, request)
        for name in set(result.__struct_fields__) - {"metadata"}:
            assert getattr(seen, name) == getattr(result, name)
        assert seen.metadata.request_id == result.metadata.request_id
        assert seen.metadata.finish_reason == result.metadata.finish_reason

    def test_a_recording(self, server: FakeServer) -> None:
        server.answer(recording=RECORDED["query"])
        server.answer(recording=Path(str(SHIPPED / "query.jsonl")))
        server.answer(recording=str(SHIPPED / "segment.jsonl"))
        body = b"".join(chunk.data for chunk in RECORDED["query"].chunks)
        assert post(server, "query", question="?", stream=True).content == body
        assert whole(server).text == streamed_text(RECORDED["query"])
        events, result = streamed(server, SEGMENT)
        assert (type(events[0]), events[-1]) == (BBox, Completed(result))

    def test_an_error(self, server: FakeServer) -> None:
        server.answer(error=RateLimitError("slowly", retry_after=7.0), times=2)
        server.answer(error=APIError("pay", status_code=402))
        server.answer(status=503)
        for stream in (False, True):
            error = streamed(server)[1] if stream else failed(server)
            assert (type(error), error.message, error.retry_after, error.status_code) == (
                RateLimitError,
                "slowly",
                7.0,
                429,
            )
        error = failed(server, CHAT)
        assert (type(error), error.message) == (PaymentRequiredError, "pay")
        error = failed(server, POINT)
        assert (type(error), error.message, error.status_code) == (
            ServerError,
            "the fake server answers 503",
            503,
        )

    def test_an_error_inside_a_stream(self, server: FakeServer) -> None:
        server.answer(text="a b", error=RateLimitError("slowly"), times=2)
        server.answer(box=BOX, error=ServerError("hot"))
        events, error = streamed(server)
        assert (texts(events), error.partial.text, error.status_code) == (["a", " b"], "a b", 200)
        assert (type(error), error.message) == (RateLimitError, "slowly")
        error = failed(server)
        assert (type(error), error.status_code, error.message) == (RateLimitError, 429, "slowly")
        events, error = streamed(server, SEGMENT)
        assert (events, type(error), error.partial.bbox) == ([BOX], ServerError, BOX)

    def test_each_once_in_order_by_skill(self, server: FakeServer) -> None:
        server.answer(text="first")
        server.answer(text="a caption", skill="caption")
        server.answer(text="second")
        server.answer(text="a chat", skill="chat")
        server.answer(text="any", times=None)
        asked: list[Request[Any]] = [QUERY, CHAT, QUERY, CAPTION, CAPTION, CHAT]
        expected = ["first", "second", "any", "a caption", "any", "a chat"]
        assert [whole(server, request).text for request in asked] == expected

    def test_as_often_as_it_should_be_given(self, server: FakeServer) -> None:
        server.answer(text="two", times=2)
        server.answer(text="one")
        assert [whole(server).text for _ in range(3)] == ["two", "two", "one"]

    @pytest.mark.parametrize("dialect", [Dialect.ENGINE, Dialect.CLOUD, Dialect.STATION])
    def test_in_a_dialect(self, dialect: Dialect) -> None:
        stats = Metadata(stats=Stats(tokens=3))
        with FakeServer(dialect) as server:
            server.answer(result=QueryResult("Yes.", metadata=stats), times=2)
            server.answer(text="A chat.")
            server.answer(status=429)
            assert texts(streamed(server)[0]) == ["Yes."]
            assert whole(server).metadata.stats == (
                stats.stats if dialect is Dialect.STATION else None
            )
            assert whole(server, CHAT).text == "A chat."
            answer = post(server, "query", question="?")
            assert answer.status_code == (200 if dialect is Dialect.STATION else 429)
            error = answer.json()["error"]
            assert (error["message"] if dialect is Dialect.CLOUD else error) == (
                "the fake server answers 429"
            )

    def test_several_at_once(self, server: FakeServer) -> None:
        server.answer(text="The moon", seconds=0.01, times=20)
        with client(server) as moon, ThreadPoolExecutor(20) as pool:
            results = [*pool.map(lambda _: moon.send(QUERY).text, range(20))]
        assert (results, len(server.requests)) == (["The moon"] * 20, 20)


class TestFaults:
    @pytest.mark.parametrize(
        ("fault", "count", "kind"),
        [
            ("close@2", 2, ConnectionLost),
            ("reset@1", 1, ConnectionLost),
            ("stall@1", 1, IdleTimeout),
            ("truncate@3", 3, IncompleteStream),
            ("garbage@1", 1, RemoteProtocolError),
            ("error@2", 2, ServerError),
            ("no-head", 0, ConnectionLost),
            ("401", 0, APIError),
        ],
    )
    def test_of_serve(
        self, server: FakeServer, fault: str, count: int, kind: type[MoondreamError]
    ) -> None:
        server.answer(text="a b c d", fault=fault)
        events, error = streamed(
            server, timeouts=Timeouts(idle=1.0) if kind is IdleTimeout else None
        )
        assert isinstance(error, kind)
        assert len(events) == count

    def test_what_the_standard_allows(self, server: FakeServer) -> None:
        for fault in ("gzip", "cr", "bom", "keep-alive", "no-space"):
            server.answer(text="a b c d", fault=fault)
            assert streamed(server)[1].text == "a b c d"

    @pytest.mark.parametrize(
        ("break_at", "count", "kind"),
        [
            (BreakAt(ConnectionLost("cable cut"), after_events=2), 2, ConnectionLost),
            (BreakAt(ConnectionLost("cable cut"), after_bytes=10), 0, ConnectionLost),
            (BreakAt(ConnectionLost("cable cut"), after_bytes=0), 0, ConnectionLost),
            (BreakAt(ConnectionLost("cable cut"), after_events=99), 4, QueryResult),  # too late
            (BreakAt(None, after_events=1), 1, IncompleteStream),
            (BreakAt(TimeoutError(), after_events=1), 1, IdleTimeout),
            (BreakAt(OSError("cable cut"), after_events=1), 1, ConnectionLost),
            (BreakAt(ConnectionLost("cable cut")), 0, ConnectionLost),
        ],
        ids=str,
    )
    def test_at_a_byte_or_an_event(
        self, server: FakeServer, break_at: BreakAt, count: int, kind: type[Any]
    ) -> None:
        server.answer(text="a b c", break_at=break_at)
        events, error = streamed(
            server, timeouts=Timeouts(idle=1.0) if kind is IdleTimeout else None
        )
        assert (type(error), len(events)) == (kind, count)

    def test_a_whole_answer_breaks(self, server: FakeServer) -> None:
        server.answer(text="a b c", break_at=BreakAt(ConnectionLost(), after_bytes=10))
        server.answer(text="a b c", break_at=BreakAt(None, after_bytes=10))
        server.answer(text="a b c", fault="close")
        assert type(failed(server)) is ConnectionLost
        assert type(failed(server)) is IncompleteStream
        assert type(failed(server)) is ConnectionLost

    def test_fragmentation(self, server: FakeServer) -> None:
        server.answer(text="a b c", times=None, fragmentation=Fragmentation.EACH_BYTE)
        server_side = post(server, "query", question="?", stream=True)
        assert texts(streamed(server)[0]) == ["a", " b", " c"]
        sizes = {len(chunk) for chunk in raw_chunks(server)}
        assert (sizes, server_side.content[:6]) == ({1}, b"data: ")

    def test_a_pace(self, server: FakeServer) -> None:
        server.answer(text="a b", seconds=0.1, times=2)
        started = time.monotonic()
        streamed(server)
        between = time.monotonic()
        whole(server)
        assert between - started >= 0.3  # two deltas and the end
        assert time.monotonic() - between >= 0.1

    def test_the_pace_of_a_recording(self, server: FakeServer) -> None:
        server.answer(recording=in_seconds(30))
        server.answer(recording=in_seconds(0.2), seconds=None)
        started = time.monotonic()
        post(server, "query", question="?", stream=True)
        assert time.monotonic() - started < 30
        started = time.monotonic()
        post(server, "query", question="?", stream=True)
        assert time.monotonic() - started >= 0.4

    def test_a_client_that_leaves(self, server: FakeServer) -> None:
        server.answer(text="a b", fault="stall@1", times=2)
        with client(server) as moon:
            for _ in range(2):
                with moon.stream(QUERY) as stream:
                    assert next(stream) == TextDelta(text="a")
                server.wait_until_left()
        with pytest.raises(TimeoutError, match="no client left its answer within 0.01 s"):
            server.wait_until_left(0.01)


class TestReceived:
    def test_requests_and_what_else_was_sent(self, server: FakeServer) -> None:
        server.answer(text="Yes.", times=2)
        server.answer(objects=[])
        with client(server, api_key="s3cret-key", headers={"X-Trace": "t-1"}) as moon:
            moon.send(QUERY, extra_body={"lang": "de"})
            with moon.stream(CHAT) as stream:
                stream.result()
            moon.send(DETECT)
        assert server.requests == (QUERY, replace(CHAT, model="moondream3-preview"), DETECT)
        query, chat, detect = server.received
        assert [seen.stream for seen in (query, chat, detect)] == [False, True, False]
        assert (query.path, chat.path) == ("/v1/query", "/v1/chat/completions")
        assert query.extra_body == {"lang": "de"}
        assert query.headers["x-trace"] == "t-1"
        masked = query.headers["x-moondream-auth"], chat.headers["authorization"]
        assert all(text and "s3cret" not in text for text in masked)
        assert "s3cret" not in repr(server.received)

    def test_at_any_prefix(self, server: FakeServer) -> None:
        server.answer(text="Yes.")
        url = server.url.removesuffix("/v1") + "/behind/a/proxy/v2"
        with Client(endpoint=Endpoint(url)) as moon:
            assert moon.send(QUERY).text == "Yes."
        assert server.received[0].path == "/behind/a/proxy/v2/query"


class TestOtherClients:
    def test_httpx_alone(self, server: FakeServer) -> None:
        server.answer(text="The moon")
        server.answer(text="The moon")
        answer = post(server, "query", question="What?")
        assert (answer.status_code, answer.json()["answer"]) == (200, "The moon")
        lines = post(server, "query", question="What?", stream=True).text.split("\n\n")
        first, *_, last, empty = [json.loads(line.removeprefix("data: ") or "0") for line in lines]
        assert (first["chunk"], last["completed"], last["answer"], empty) == (
            "The",
            True,
            "The moon",
            0,
        )

    @pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not there")
    def test_curl(self, server: FakeServer) -> None:
        server.answer(text="The moon")
        command = ["curl", "-sS", "--noproxy", "*", f"{server.url}/query"]
        command += ["-d", '{"question": "What is in this image?"}']
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert json.loads(ran.stdout)["answer"] == "The moon", ran.stderr
        assert server.requests == (QUERY,)

    @pytest.mark.parametrize("backend", ["asyncio", "trio"])
    def test_async(self, server: FakeServer, backend: str) -> None:
        """The server does not share the event loop of the test."""

        async def ask() -> list[str]:
            async with AsyncClient(endpoint=Endpoint(server.url)) as moon:
                answers: list[str] = []

                async def one() -> None:
                    async with moon.stream(QUERY) as stream:
                        answers.append((await stream.result()).text)

                async with anyio.create_task_group() as tasks:
                    for _ in range(5):
                        tasks.start_soon(one)
                return answers

        server.answer(text="The moon", times=5)
        assert anyio.run(ask, backend=backend) == ["The moon"] * 5


def post(server: FakeServer, skill: str, **body: Any) -> httpx.Response:
    with httpx.Client(trust_env=False) as http:
        return http.post(f"{server.url}/{skill}", json=body)


def in_seconds(seconds: float) -> Recording:
    """Return a recording that takes so many seconds to its head, and to its only chunk."""
    recorded = RECORDED["query"]
    chunk = replace(recorded.chunks[0], seconds=seconds)
    return Recording(replace(recorded.header, seconds=seconds), (chunk,), Ending(0))


def raw_chunks(server: FakeServer) -> list[bytes]:
    with (
        httpx.Client(trust_env=False) as http,
        http.stream(
            "POST", f"{server.url}/query", json={"question": "?", "stream": True}
        ) as answer,
    ):
        return [*answer.iter_raw()]


def failed(server: FakeServer, request: Request[Any] = QUERY) -> Any:
    with pytest.raises(MoondreamError) as caught:
        whole(server, request)
    return caught.value


def streamed_text(recording: Recording) -> str:
    stream = ResponseStream(QUERY)
    stream.receive_response(200, recording.header.response_headers)
    for chunk in recording.chunks:
        stream.receive_data(chunk.data)
    stream.receive_eof()
    return stream.result().text
