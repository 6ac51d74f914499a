"""The package `openai` as a witness: it reads our format OPENAI, for chats and for other texts."""

from __future__ import annotations

from typing import Any

import pytest

from sansio_moondream import (
    CaptionResult,
    ChatResult,
    Completed,
    ConnectError,
    Event,
    Metadata,
    MoondreamError,
    QueryResult,
    RateLimitError,
    Reasoning,
    ReasoningDelta,
    TextDelta,
    Usage,
)
from sansio_moondream.relay import Format, _refusals, open_encoder
from tests.chat_witness import Said, by_openai, chunks, openai
from tests.core.relays import END_OF_TEXT, TEXT, encoded
from tests.helpers import REQUESTS

ABOUT = Metadata("31", "stop", usage=Usage(740, 3, 743))
CHAT: list[Event] = [
    ReasoningDelta("It is"),
    ReasoningDelta(" round."),
    TextDelta("Ein Mond 🌙"),
    TextDelta("."),
    Completed(ChatResult("Ein Mond 🌙.", Reasoning("It is round."), ABOUT)),
]


@pytest.mark.parametrize(
    ("skill", "events", "said"),
    [
        ("chat", CHAT, Said("Ein Mond 🌙.", "It is round.", "stop", Usage(740, 3, 743))),
        (
            "query",
            [*TEXT, END_OF_TEXT],
            Said("A mö\ud83c", "It is round.", "length", Usage(740, 3, 743)),
        ),
        ("query", [Completed(QueryResult("A moon."))], Said("A moon.", "", "stop", None)),
        ("caption", [Completed(CaptionResult())], Said("", "", "stop", None)),
    ],
)
def test_each_answer_is_read(skill: str, events: list[Event], said: Said) -> None:
    body = encoded(open_encoder(Format.OPENAI, REQUESTS[skill], created=1), events)
    assert by_openai(chunks([body])) == said
    split = [body[at : at + 50] for at in range(0, len(body), 50)]
    assert by_openai(chunks(split)) == said


@pytest.mark.parametrize(
    ("error", "message", "type_", "code"),
    [
        (
            ConnectError("http://10.0.0.7: refused"),
            "the upstream server cannot be reached",
            "server_error",
            "502",
        ),
        (
            RateLimitError("busy", status_code=429, type="rate_limit_error"),
            "busy",
            "rate_limit_error",
            None,
        ),
        (
            _refusals.stopping(),
            "this server stops: ask again",
            "server_stopping",
            "503",
        ),
    ],
)
@pytest.mark.parametrize("before", [[], [TextDelta("A")]], ids=["at once", "later"])
def test_an_error_is_raised(
    before: list[Event], error: MoondreamError, message: str, type_: str, code: str | None
) -> None:
    body = encoded(open_encoder(Format.OPENAI), before, error)
    said = by_openai(chunks([body]))
    assert said.text == "".join("A" for _ in before)
    raised: Any = said.error
    assert type(raised) is openai().APIError
    assert (raised.message, raised.type, raised.code) == (message, type_, code)
