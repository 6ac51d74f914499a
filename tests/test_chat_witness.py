"""The `openai` package as a witness: the same bytes from a server on loopback to it and to this
library, and what each makes of them.

What a sound stream says, both read alike, and both ask alike; so does the official client of the
service. Where a stream is not sound, they differ as `FAULTS` has it: the package ends a stream at
`[DONE]` or with the body, and asks nothing of either."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any, NamedTuple

import pytest

from moondream_transports import Client, UrllibTransport
from sansio_moondream import (
    ChatRequest,
    ChatResult,
    Completed,
    ConnectionLost,
    Dialect,
    Endpoint,
    Event,
    IncompleteStream,
    MoondreamError,
    RateLimitError,
    Reasoning,
    ReasoningDelta,
    ServerError,
    Settings,
    TextDelta,
    Usage,
    encode_events,
)
from tests.helpers import CHAT, PIXEL, record
from tests.peers import OneAnswer

openai = pytest.importorskip("openai", reason="needs openai, which `make` installs")

DONE = b"data: [DONE]\n\n"
USED = {"prompt_tokens": 740, "completion_tokens": 3, "total_tokens": 743}


def chunk(delta: dict[str, Any], finish_reason: str | None = None, **fields: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    about = {
        "id": "chatcmpl-7",
        "object": "chat.completion.chunk",
        "created": 1786000000,
        "model": "moondream3-preview",
    }
    return record(about | {"choices": [choice]} | fields)


START, STOP = chunk({"role": "assistant", "content": ""}), chunk({}, "stop")
A, MOON = chunk({"content": "Ein"}), chunk({"content": " Mond über 🌙."})
BILL = chunk({}, choices=[], usage=USED)

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
        'data: {"id":"chatcmpl-7","choices":[{"index":0,"delta":{"content":" Mond über 🌙."}}]}\n\n'.encode(),
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


class Said(NamedTuple):
    text: str
    reasoning: str
    finish_reason: str | None = None
    usage: Usage | None = None
    error: Exception | None = None


def chunks(
    body: list[bytes],
    *,
    framed: bool = True,
    status: str = "200 OK",
    content_type: str = "text/event-stream",
) -> list[bytes]:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunks = [
        b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in [*body, *([b""] if framed else [])]
    ]
    return [head.encode(), *chunks]


def by_us(sent: list[bytes], request: ChatRequest = CHAT, stream: bool = True) -> Said:
    """What this library makes of it; text and reasoning are from the events."""
    events: list[Event] = []
    result: Any = None
    error: MoondreamError | None = None
    with OneAnswer(sent) as server:
        client = Client(UrllibTransport(proxies={}), Endpoint(server.endpoint))
        try:
            if stream:
                with client.stream(request) as answer:
                    events.extend(answer)
                    result = answer.result()
            else:
                result = client.send(request)
        except MoondreamError as caught:
            result, error = caught.partial, caught
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    reasoning = "".join(event.text for event in events if isinstance(event, ReasoningDelta))
    if isinstance(result, ChatResult):
        assert not stream or result.text == text
        told = "" if result.reasoning is None else result.reasoning.text
        assert not stream or told == reasoning
        return Said(result.text, told, result.metadata.finish_reason, result.metadata.usage, error)
    return Said(text, reasoning, error=error)


def by_openai(sent: list[bytes], stream: bool = True) -> Said:
    """What the package makes of it, asked by its own `chat.completions.create`."""
    text, reasoning, finish_reason, usage, error = "", "", None, None, None
    with (
        OneAnswer(sent) as server,
        import_module("httpx2").Client(trust_env=False) as http,
        openai.OpenAI(
            api_key="none", base_url=server.endpoint, http_client=http, max_retries=0
        ) as client,
    ):
        try:
            asked = client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "?"}], stream=stream
            )
            for part in asked if stream else [asked]:
                for choice in part.choices:
                    said = choice.delta if stream else choice.message
                    text += said.content or ""
                    reasoning += (
                        getattr(said, "reasoning", None)
                        or getattr(said, "reasoning_content", None)
                        or ""
                    )
                    finish_reason = choice.finish_reason or finish_reason
                usage = part.usage or usage
        except openai.OpenAIError as caught:
            error = caught
    tokens = (
        None
        if usage is None
        else Usage(usage.prompt_tokens, usage.completion_tokens, usage.total_tokens)
    )
    return Said(text, reasoning, finish_reason, tokens, error)


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
        openai.OpenAI(api_key="KEY", base_url=endpoint, http_client=http, max_retries=0) as client,
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
    """With the official client of the service."""
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


ERROR = record({"error": {"message": "out of memory", "type": "server_error"}})
BUSY = json.dumps({"error": {"message": "slow down", "type": "rate_limit_error"}}).encode()


class HTTPFault(NamedTuple):
    """What is sent; the class of our error, and of the package's (None: it says nothing)."""

    sent: list[bytes]
    ours: type[MoondreamError]
    theirs: str | None
    text: str = "Ein"


FAULTS = {
    "connection lost between two chunks": HTTPFault(
        chunks([START, A], framed=False), ConnectionLost, "APIConnectionError"
    ),
    "connection lost behind the finish reason": HTTPFault(
        chunks([START, A, STOP], framed=False), ConnectionLost, "APIConnectionError"
    ),
    "body ends without the finish reason": HTTPFault(chunks([START, A]), IncompleteStream, None),
    "[DONE] without a finish reason": HTTPFault(chunks([START, A, DONE]), IncompleteStream, None),
    "body ends in the middle of a record": HTTPFault(
        chunks([START, A, STOP, BILL[:30]]), IncompleteStream, None
    ),
    "an error in the stream": HTTPFault(chunks([START, A, ERROR, DONE]), ServerError, "APIError"),
    "an error as JSON in a 200": HTTPFault(
        chunks([BUSY], content_type="application/json"), RateLimitError, None, ""
    ),
    "429": HTTPFault(
        chunks([BUSY], status="429 Too Many Requests", content_type="application/json"),
        RateLimitError,
        "RateLimitError",
        "",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_side_by_side(name: str):
    fault = FAULTS[name]
    ours, theirs = by_us(fault.sent), by_openai(fault.sent)
    assert type(ours.error) is fault.ours
    assert (None if theirs.error is None else type(theirs.error).__name__) == fault.theirs
    assert ours.text == theirs.text == fault.text
