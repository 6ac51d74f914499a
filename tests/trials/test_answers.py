"""Answers that were lost or refused: numbers 14 to 19 of "What broke in trials"."""

from __future__ import annotations

from typing import Any

import pytest

from sansio_moondream import (
    APIError,
    Completed,
    IncompleteStream,
    Request,
    TextDelta,
    Unknown,
)
from sansio_moondream.testing import EVENT_STREAM, Outcome, check_fragmentations
from tests.helpers import CAPTION, CHAT, END, QUERY, delta, record

DONE = b"data: [DONE]\n\n"
JSON = (("content-type", "application/json"),)
MOON = TextDelta("a moon")


def one_choice(**fields: Any) -> dict[str, Any]:
    """A chat's message whose only choice has these fields, and that it is finished."""
    return {"choices": [{"index": 0, **fields, "finish_reason": "stop"}]}


def assert_whole(outcome: Outcome) -> None:
    """The answer is complete, and its text came as one delta."""
    assert outcome.error is None
    assert outcome.events[:-1] == [MOON]
    assert isinstance(outcome.events[-1], Completed)
    assert outcome.snapshot.text == "a moon"


def assert_incomplete(outcome: Outcome, words: str) -> None:
    """The stream is incomplete, and the error quotes what the server said."""
    assert type(outcome.error) is IncompleteStream
    assert words in str(outcome.error)


@pytest.mark.parametrize(
    "fields",
    [
        {"message": {"content": "a moon"}},
        {"message": {"content": "a moon"}, "delta": None},
        {"text": "a moon"},
    ],
    ids=["message", "message beside a null delta", "text"],
)
def test_chat_stream_loses_the_text_of_a_whole_choice(fields: dict[str, Any]) -> None:
    """Number 14."""
    assert_whole(check_fragmentations(CHAT, record(one_choice(**fields)) + DONE))


def test_chat_stream_hides_a_whole_choice_without_text() -> None:
    """Number 14: what gives no delta is Unknown."""
    message = one_choice(message={"refusal": "no pictures of the moon"})
    outcome = check_fragmentations(CHAT, record(message) + DONE)
    assert outcome.error is None
    assert outcome.events[:-1] == [Unknown(message)]


@pytest.mark.parametrize(
    ("request_", "field"),
    [(QUERY, "answer"), (CAPTION, "caption")],
    ids=["query", "caption"],
)
def test_text_of_the_only_message_gives_no_delta(request_: Request[Any], field: str) -> None:
    """Number 15."""
    assert_whole(check_fragmentations(request_, record({"completed": True, field: "a moon"})))


@pytest.mark.parametrize("coding", ["none", "utf-8", "identity, identity"])
def test_content_coding_that_means_none_is_refused(coding: str) -> None:
    """Number 16."""
    headers = (*EVENT_STREAM, ("content-encoding", coding))
    assert_whole(check_fragmentations(QUERY, delta("a moon") + END, headers=headers))


def test_content_type_twice_with_one_value_is_refused() -> None:
    """Number 16."""
    assert_whole(check_fragmentations(QUERY, delta("a moon") + END, headers=EVENT_STREAM * 2))


@pytest.mark.parametrize("error", ["", False, {}, []], ids=repr)
def test_empty_error_beside_a_chunk_ends_the_stream(error: object) -> None:
    """Number 17."""
    message = {"chunk": "a moon", "completed": False, "error": error}
    assert_whole(check_fragmentations(QUERY, record(message) + END))


def test_message_as_the_whole_body_is_no_api_error() -> None:
    """Number 18."""
    outcome = check_fragmentations(QUERY, b'{"message": "no credits"}', headers=JSON)
    assert (outcome.events, type(outcome.error)) == ([], APIError)
    assert isinstance(outcome.error, APIError)
    assert (outcome.error.message, outcome.error.status_code) == ("no credits", 200)


def test_message_in_a_stream_is_unknown() -> None:
    """Number 18."""
    outcome = check_fragmentations(QUERY, record({"message": "no credits"}))
    assert outcome.events == [Unknown({"message": "no credits"})]


def test_message_in_a_stream_is_not_quoted_by_the_error() -> None:
    """Number 18."""
    assert_incomplete(check_fragmentations(QUERY, record({"message": "no credits"})), "no credits")


@pytest.mark.parametrize(
    ("request_", "message", "words"),
    [
        (CHAT, {"choices": None, "error_message": "no credits"}, "no credits"),
        (QUERY, {"completed": False, "delta": "a moon"}, "a moon"),
    ],
    ids=["chat", "query"],
)
def test_message_with_an_empty_known_field_is_dropped(
    request_: Request[Any],
    message: dict[str, Any],
    words: str,
) -> None:
    """Number 18."""
    outcome = check_fragmentations(request_, record(message))
    assert outcome.events == [Unknown(message)]
    assert_incomplete(outcome, words)


def test_error_outside_of_a_data_field_is_not_quoted() -> None:
    """Number 18. The delta before it shows that the body is an event stream."""
    outcome = check_fragmentations(
        QUERY, delta("a moon") + b'{"error":{"message":"bad image"}}\n\n'
    )
    assert outcome.events == [MOON]
    assert_incomplete(outcome, "bad image")


@pytest.mark.parametrize("lead", [b"", b"\xef\xbb\xbf", b"\n "], ids=["bare", "BOM", "blanks"])
def test_json_labelled_as_an_event_stream_loses_its_answer(lead: bytes) -> None:
    """Number 19."""
    assert_whole(check_fragmentations(QUERY, lead + b'{\n "answer": "a moon"\n}\n'))


def test_json_error_labelled_as_an_event_stream_is_an_incomplete_stream() -> None:
    """Number 19."""
    outcome = check_fragmentations(QUERY, b'{"error":{"message":"bad image"}}')
    assert (outcome.events, type(outcome.error)) == ([], APIError)
    assert isinstance(outcome.error, APIError)
    assert outcome.error.message == "bad image"
