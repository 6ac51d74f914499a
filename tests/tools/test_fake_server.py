"""`FakeServer`: what it answers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from moondream_tools import FakeServer
from sansio_moondream import (
    APIError,
    BBox,
    CaptionResult,
    ChatResult,
    Completed,
    DetectResult,
    Dialect,
    Metadata,
    PathChunk,
    PaymentRequiredError,
    Point,
    PointResult,
    QueryResult,
    RateLimitError,
    Reasoning,
    ReasoningDelta,
    Request,
    SegmentResult,
    ServerError,
    Stats,
)
from tests.helpers import CAPTION, CHAT, DETECT, POINT, QUERY, REQUESTS, SEGMENT
from tests.tools.fake_servers import (
    BOX,
    PATH,
    client,
    failed,
    post,
    streamed,
    streamed_text,
    texts,
    whole,
)
from tests.tools.serving import RECORDED, SHIPPED


class TestAnswers:
    @pytest.mark.parametrize("request_", [QUERY, CAPTION, CHAT], ids=lambda request: request.skill)
    def test_a_text_is_for_each_skill_with_a_text(
        self, fake: FakeServer, request_: Request[Any]
    ) -> None:
        fake.answer(text=" The moon rises.\n", times=2)
        events, result = streamed(fake, request_)
        assert texts(events) == [" The", " moon", " rises.", "\n"]
        assert events[-1] == Completed(result)
        assert result.text == whole(fake, request_).text == " The moon rises.\n"
        assert (result.metadata.request_id, result.metadata.finish_reason) == ("fake-1", "stop")

    def test_a_text_with_a_reasoning(self, fake: FakeServer) -> None:
        fake.answer(text="Full.", reasoning="It is round.", times=2)
        events, result = streamed(fake, CHAT)
        thoughts = [event.text for event in events if isinstance(event, ReasoningDelta)]
        assert (thoughts, texts(events)) == (["It", " is", " round."], ["Full."])
        assert result.reasoning == whole(fake).reasoning == Reasoning("It is round.")

    def test_a_segmentation(self, fake: FakeServer) -> None:
        fake.answer(path=PATH, box=BOX, times=2)
        events, result = streamed(fake, SEGMENT)
        assert events[:-1] == [BOX, *(PathChunk(data=part) for part in ("M0 0", "L.5 1", "Z"))]
        assert (result.path, result.bbox) == (PATH, BOX)
        assert (whole(fake, SEGMENT).path, result.partial) == (PATH, False)
        fake.answer(path=PATH)
        fake.answer(box=BOX)
        assert whole(fake, SEGMENT).bbox is None
        assert (whole(fake, SEGMENT).bbox) == BOX

    def test_boxes_and_points(self, fake: FakeServer) -> None:
        fake.answer(objects=[BOX])
        fake.answer(objects=[])
        fake.answer(points=iter([Point(0.5, 0.25)]))
        assert whole(fake, POINT).points == (Point(0.5, 0.25),)
        assert [whole(fake, DETECT).objects for _ in range(2)] == [(BOX,), ()]

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
    def test_a_result_with_all_its_fields(self, fake: FakeServer, result: Any) -> None:
        fake.answer(result=result)
        request = REQUESTS[type(result).__name__.removesuffix("Result").lower()]
        seen = whole(fake, request)
        for name in set(result.__struct_fields__) - {"metadata"}:
            assert getattr(seen, name) == getattr(result, name)
        assert seen.metadata.request_id == result.metadata.request_id
        assert seen.metadata.finish_reason == result.metadata.finish_reason

    def test_a_recording(self, fake: FakeServer) -> None:
        fake.answer(recording=RECORDED["query"])
        fake.answer(recording=Path(str(SHIPPED / "query.jsonl")))
        fake.answer(recording=str(SHIPPED / "segment.jsonl"))
        body = b"".join(chunk.data for chunk in RECORDED["query"].chunks)
        assert post(fake, "query", question="?", stream=True).content == body
        assert whole(fake).text == streamed_text(RECORDED["query"])
        events, result = streamed(fake, SEGMENT)
        assert (type(events[0]), events[-1]) == (BBox, Completed(result))

    def test_an_error(self, fake: FakeServer) -> None:
        fake.answer(error=RateLimitError("slowly", retry_after=7.0), times=2)
        fake.answer(error=APIError("pay", status_code=402))
        fake.answer(status=503)
        for stream in (False, True):
            error = streamed(fake)[1] if stream else failed(fake)
            assert (type(error), error.message, error.retry_after, error.status_code) == (
                RateLimitError,
                "slowly",
                7.0,
                429,
            )
        error = failed(fake, CHAT)
        assert (type(error), error.message) == (PaymentRequiredError, "pay")
        error = failed(fake, POINT)
        assert (type(error), error.message, error.status_code) == (
            ServerError,
            "the fake server answers 503",
            503,
        )

    def test_an_error_inside_a_stream(self, fake: FakeServer) -> None:
        fake.answer(text="a b", error=RateLimitError("slowly"), times=2)
        fake.answer(box=BOX, error=ServerError("hot"))
        events, error = streamed(fake)
        assert (texts(events), error.partial.text, error.status_code) == (["a", " b"], "a b", 200)
        assert (type(error), error.message) == (RateLimitError, "slowly")
        error = failed(fake)
        assert (type(error), error.status_code, error.message) == (RateLimitError, 429, "slowly")
        events, error = streamed(fake, SEGMENT)
        assert (events, type(error), error.partial.bbox) == ([BOX], ServerError, BOX)

    def test_each_once_in_order_by_skill(self, fake: FakeServer) -> None:
        fake.answer(text="first")
        fake.answer(text="a caption", skill="caption")
        fake.answer(text="second")
        fake.answer(text="a chat", skill="chat")
        fake.answer(text="any", times=None)
        asked: list[Request[Any]] = [QUERY, CHAT, QUERY, CAPTION, CAPTION, CHAT]
        expected = ["first", "second", "any", "a caption", "any", "a chat"]
        assert [whole(fake, request).text for request in asked] == expected

    def test_a_miss_shows_how_often_others_were_given(self) -> None:
        server = FakeServer().start()
        server.answer(text="any", skill="query", times=None)
        server.answer(text="two", skill="caption", times=2)
        for request in (QUERY, CAPTION):
            whole(server, request)
        message = failed(server, DETECT).message
        server.close()
        assert "1: text='any' (for query, given 1 times); " in message
        assert message.endswith("2: text='two' (for caption, given 1 of 2 times)")

    def test_as_often_as_it_should_be_given(self, fake: FakeServer) -> None:
        fake.answer(text="two", times=2)
        fake.answer(text="one")
        assert [whole(fake).text for _ in range(3)] == ["two", "two", "one"]

    @pytest.mark.parametrize("dialect", [Dialect.ENGINE, Dialect.CLOUD, Dialect.STATION])
    def test_in_a_dialect(self, dialect: Dialect) -> None:
        stats = Metadata(stats=Stats(tokens=3))
        with FakeServer(dialect) as fake:
            fake.answer(result=QueryResult("Yes.", metadata=stats), times=2)
            fake.answer(text="A chat.")
            fake.answer(status=429)
            assert texts(streamed(fake)[0]) == ["Yes."]
            assert whole(fake).metadata.stats == (
                stats.stats if dialect is Dialect.STATION else None
            )
            assert whole(fake, CHAT).text == "A chat."
            answer = post(fake, "query", question="?")
            assert answer.status_code == (200 if dialect is Dialect.STATION else 429)
            error = answer.json()["error"]
            assert (error["message"] if dialect is Dialect.CLOUD else error) == (
                "the fake server answers 429"
            )

    def test_several_at_once(self, fake: FakeServer) -> None:
        fake.answer(text="The moon", seconds=0.01, times=20)
        with client(fake) as moon, ThreadPoolExecutor(20) as pool:
            results = [*pool.map(lambda _: moon.send(QUERY).text, range(20))]
        assert (results, len(fake.requests)) == (["The moon"] * 20, 20)
