"""The answers of `moondream-stream serve`, and which recording answers."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sansio_moondream import (
    Completed,
    Dialect,
    NotFoundError,
    QueryRequest,
    Request,
    TextDelta,
    encode_events,
    encode_result,
)
from sansio_moondream.recording import Chunk, Ending, Recording, RecordingHeader
from tests.helpers import DATA, DETECT, END, LOCAL, OWN, POINT, QUERY, REQUESTS, delta
from tests.tools.programs import Program, running, write
from tests.tools.serving import (
    BODY,
    DIALECTS,
    HARBOUR,
    RECORDED,
    asked,
    client,
    http_request,
    post,
    raw,
)


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
            {"question": "What?", "object": "moon", "image_url": HARBOUR.data_url, "stream": True}
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
        """The recording is a captured answer of the engine that is not streamed."""
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
            QueryRequest(question=question, image=HARBOUR).to_http(LOCAL),
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
        for image in (HARBOUR, REQUESTS["caption"].image):  # type: ignore[attr-defined]
            request = QueryRequest(question="Is it a moon?", image=image)
            assert asked(matching, request)[1].text == client(matching).send(request).text == "moon"

    def test_equals_take_turns(self, matching: Program) -> None:
        request = QueryRequest(question="Is it the sun?", image=HARBOUR)
        assert sorted(client(matching).send(request).text for _ in range(2)) == [
            "sun/one",
            "sun/two",
        ]

    def test_none_matches(self, matching: Program) -> None:
        _, error = asked(matching, QueryRequest(question="Is it the sea?", image=HARBOUR))
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
            asked(matching, QueryRequest(question="Is it a moon?", image=HARBOUR), Match="skill")[
                1
            ].text
            == "moon"
        )
        assert isinstance(asked(matching, POINT, Match="skill")[1], NotFoundError)
