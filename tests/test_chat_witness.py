"""The `openai` package as a witness: it reads the same answers as we do."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

import pytest

from moondream_transports import Client, UrllibTransport
from sansio_moondream import (
    ChatRequest,
    ChatResult,
    Completed,
    Dialect,
    Endpoint,
    Reasoning,
    ReasoningDelta,
    Settings,
    TextDelta,
    Usage,
    encode_events,
)
from tests.chat_witness import (
    BILL,
    DONE,
    MOON,
    START,
    STOP,
    USED,
    A,
    Said,
    by_openai,
    by_us,
    chunk,
    chunks,
    openai,
)
from tests.helpers import PIXEL
from tests.peers import OneAnswer

SOUND = {
    "with usage": [START, A, MOON, STOP, BILL, DONE],
    "without usage": [START, A, MOON, STOP, DONE],
    "without [DONE]": [START, A, MOON, STOP, BILL],
    "usage with the finish reason": [START, A, MOON, chunk({}, "length", usage=USED), DONE],
    "text with the finish reason": [A, chunk({"content": " Mond über 🌙."}, "stop"), DONE],
    "reasoning": [
        START,
        chunk({"reasoning": "Sieh: "}),
        chunk({"reasoning": "rund."}),
        A,
        MOON,
        STOP,
        BILL,
        DONE,
    ],
    "reasoning_content": [
        chunk({"content": None, "reasoning_content": "Sieh: rund."}),
        A,
        MOON,
        STOP,
        DONE,
    ],
    "comments, no space, CRLF": [
        b": OPENROUTER PROCESSING\r\n\r\n",
        (A + MOON + STOP + DONE).replace(b"\n", b"\r\n").replace(b": {", b":{"),
    ],
    "raw UTF-8": [
        A,
        (
            'data: {"id":"chatcmpl-7","choices":[{"index":0,"delta":{"content":" Mond über '
            '🌙."}}]}\n\n'
        ).encode(),
        STOP,
        DONE,
    ],
    "encoded by this library": [
        encode_events(
            [
                ReasoningDelta("Sieh: rund."),
                TextDelta("Ein Mond über 🌙."),
                Completed(ChatResult("Ein Mond über 🌙.", Reasoning("Sieh: rund."))),
            ],
            Dialect.CHAT,
        )
    ],
}


@pytest.mark.parametrize("name", SOUND)
def test_sound_streams_are_read_alike(name: str):
    ours, theirs = by_us(chunks(SOUND[name])), by_openai(chunks(SOUND[name]))
    assert ours == theirs
    assert ours.text == "Ein Mond über 🌙."
    assert ours.reasoning == ("Sieh: rund." if "reasoning" in name or "encoded" in name else "")
    assert ours.finish_reason in ("stop", "length")
    assert ours.usage == (
        Usage(740, 3, 743) if BILL in SOUND[name] or "usage with" in name else None
    )


@pytest.mark.parametrize(
    "reasoning", [{}, {"reasoning": "Sieh: rund."}, {"reasoning_content": "Sieh: rund."}]
)
def test_whole_answers_are_read_alike(reasoning: dict[str, str]):
    message = {"role": "assistant", "content": "Ein Mond über 🌙."} | reasoning
    answer = {"id": "chatcmpl-7", "object": "chat.completion", "usage": USED}
    body = json.dumps(
        answer | {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    ).encode()
    sent = chunks([body], content_type="application/json")
    ours, theirs = by_us(sent, stream=False), by_openai(sent, stream=False)
    assert (
        ours
        == theirs
        == Said("Ein Mond über 🌙.", "Sieh: rund." if reasoning else "", "stop", Usage(740, 3, 743))
    )


ASKED: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {
        "role": "user",
        "content": [
            {"type": "image_url", "image_url": {"url": PIXEL.data_url}},
            {"type": "text", "text": "?"},
        ],
    },
]


def ask_openai(endpoint: str) -> str:
    with (
        import_module("httpx2").Client(trust_env=False) as http,
        openai().OpenAI(
            api_key="KEY", base_url=endpoint, http_client=http, max_retries=0
        ) as client,
    ):
        options = {
            "temperature": 0.5,
            "max_completion_tokens": 9,
            "extra_body": {"reasoning": True},
        }
        chunks = client.chat.completions.create(
            model="moondream3-preview", messages=ASKED, stream=True, **options
        )
        return "".join(part.choices[0].delta.content or "" for part in chunks if part.choices)


def ask_moondream(endpoint: str) -> str:
    """Send a chat with the official client of the service."""
    client = pytest.importorskip("moondream", reason="needs moondream, which `make` installs").vl(
        api_key="KEY", endpoint=endpoint
    )
    return "".join(
        client.chat(
            ASKED, stream=True, settings={"temperature": 0.5, "max_tokens": 9}, reasoning=True
        )["message"]
    )


@pytest.mark.parametrize("ask", [ask_openai, ask_moondream])
def test_they_ask_alike(ask: Any, monkeypatch: pytest.MonkeyPatch):
    """The same address, key and body, whatever the order of its fields; and they read the same
    text.
    """
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with OneAnswer(chunks(SOUND["with usage"])) as server:
        assert ask(server.endpoint) == "Ein Mond über 🌙."
        theirs = server.asked
    with OneAnswer(chunks(SOUND["with usage"])) as server:
        request = ChatRequest(
            messages=ASKED, reasoning=True, settings=Settings(temperature=0.5, max_tokens=9)
        )
        with Client(UrllibTransport(proxies={}), Endpoint(server.endpoint, api_key="KEY")).stream(
            request
        ) as stream:
            assert stream.result().text == "Ein Mond über 🌙."
        ours = server.asked
    assert theirs is not None
    assert ours is not None
    assert theirs[0] == ours[0] == "POST /v1/chat/completions HTTP/1.1"
    assert theirs[1]["authorization"] == ours[1]["authorization"] == "Bearer KEY"
    assert json.loads(theirs[2]) == json.loads(ours[2])
