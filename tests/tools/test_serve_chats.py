"""Chats of `moondream-stream serve`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from sansio_moondream import (
    ChatMessage,
    ChatRequest,
    Completed,
    ConnectionLost,
    Dialect,
    NotFoundError,
    RateLimitError,
    ServerError,
    TextDelta,
    encode_result,
)
from sansio_moondream.recording import Chunk, Ending, Recording, RecordingHeader
from tests.helpers import CHAT, LOCAL, record
from tests.tools.programs import Program, running, write
from tests.tools.serving import HARBOUR, RECORDED, asked, client, http_request

PATH = "/v1/chat/completions"
BODY = {"messages": [{"role": "user", "content": "?"}]}
STREAM = [("content-type", "text/event-stream")]


def chat(question: str) -> ChatRequest:
    return ChatRequest(messages=[ChatMessage("user", [HARBOUR, question])])


def sent(
    server: Program, body: dict[str, Any], **headers: str
) -> tuple[int, dict[str, str], bytes]:
    return http_request(server, path=PATH, body=json.dumps(body), **headers)


class TestAnswers:
    @pytest.mark.parametrize("dialect", [{}, {"X_Moondream_Dialect": "station"}])
    def test_as_it_was_recorded(self, server: Program, dialect: dict[str, str]) -> None:
        _, head, body = sent(server, BODY | {"stream": True}, **dialect)
        assert head["content-type"].startswith("text/event-stream")
        assert body == b"".join(chunk.data for chunk in RECORDED["chat"].chunks)

    def test_whole_and_streamed(self, server: Program) -> None:
        events, streamed = asked(server, CHAT)
        whole = client(server).send(CHAT)
        assert whole.text == streamed.text == "".join(event.text for event in events[:-1])  # type: ignore[union-attr]
        assert (len(events), type(events[-1])) == (9, Completed)
        assert whole.metadata.usage == streamed.metadata.usage is not None
        _, head, body = sent(server, BODY, X_Moondream_Dialect="cloud")
        assert (head["content-type"], body) == (
            "application/json",
            encode_result(whole, Dialect.CHAT),
        )

    def test_fragmentation(self, server: Program) -> None:
        assert asked(server, CHAT, Fragmentation="1") == asked(server, CHAT)

    @pytest.mark.parametrize(
        ("fault", "kind"),
        [
            ("close@2", ConnectionLost),
            ("error@2", ServerError),
            ("json-error", ServerError),
            ("429", RateLimitError),
        ],
    )
    def test_faults(self, server: Program, fault: str, kind: type[Exception]) -> None:
        events, error = asked(server, CHAT, Fault=fault)
        assert (type(error), len(events)) == (kind, 2 if "@" in fault else 0)


@pytest.fixture(scope="module")
def chats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("chats")
    delta = {"choices": [{"delta": {"content": "A moon."}}]}
    busy = {"error": {"message": "busy", "type": "server_error"}}
    whole = {"choices": [{"message": {"content": "A moon."}, "finish_reason": "length"}]}
    for name, stream, chunks in [
        ("whole", False, [json.dumps(whole).encode()]),
        ("fails", True, [record(delta), record(busy)]),
        ("no end", True, [record(delta), b"data: [DONE]\n\n"]),
    ]:
        head = STREAM if stream else [("content-type", "application/json")]
        header = RecordingHeader.of(chat(name).to_http(LOCAL, stream=stream), 200, head)
        lines = tuple(Chunk(0, chunk) for chunk in chunks)
        write(folder, f"{name}.jsonl", Recording(header, lines, Ending(0)).encode())
    with running("serve", folder, "--match", "any-image") as program:
        yield program


class TestConverted:
    def test_a_whole_chat_as_a_stream(self, chats: Program) -> None:
        (first, last), result = asked(chats, chat("whole"))
        assert (first, last) == (TextDelta("A moon."), Completed(result))
        assert result.metadata.finish_reason == "length"

    def test_an_error_in_a_stream_as_json(self, chats: Program) -> None:
        assert asked(chats, chat("fails"))[0] == [TextDelta("A moon.")]
        with pytest.raises(ServerError, match="busy") as caught:
            client(chats).send(chat("fails"))
        assert (caught.value.status_code, caught.value.type) == (200, "server_error")

    def test_a_stream_without_its_end_as_no_answer(self, chats: Program) -> None:
        with pytest.raises(ConnectionLost):
            client(chats).send(chat("no end"))

    def test_another_question(self, chats: Program) -> None:
        with pytest.raises(NotFoundError, match="the nearest, .* differs: messages") as caught:
            client(chats).send(chat("Is it a moon?"))
        assert caught.value.type == "not_found_error"
