"""When the stream of a chat is complete."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sansio_moondream import (
    APIError,
    Completed,
    ConnectionLost,
    Dialect,
    IncompleteStream,
    Reasoning,
    RemoteProtocolError,
    ResponseStream,
    State,
    TextDelta,
    encode_events,
)
from sansio_moondream.testing import (
    EVENT_STREAM,
    check_fragmentations,
    each_byte,
    record_ends,
    run,
    strategies,
)
from tests.core.chats import BILL, DONE, START, STOP, USAGE, chunk, text
from tests.helpers import CHAT, record

LOST = ConnectionLost("gone")


class TestEnd:
    """A stream is complete with the finish reason, and `[DONE]` or the end of the body."""

    @pytest.mark.parametrize(
        "end",
        [
            DONE,
            DONE[:-1],
            DONE[:-2],
            b"data:[DONE]",
            b"data: [DONE] \r\n\r\n",
            b"event: message\ndata: [DONE]\n\n",
            BILL + DONE,
            DONE + b"data: nonsense\n\n",
            DONE + record({"error": "late"}),
        ],
    )
    def test_done_after_a_finish_reason(self, end: bytes):
        for ending in (None, LOST):
            outcome = check_fragmentations(CHAT, text("A") + STOP + end, ending=ending)
            assert outcome.error is None
            assert outcome.events == [TextDelta("A"), Completed(outcome.snapshot)]

    def test_done_is_the_end_at_once(self):
        stream = ResponseStream(CHAT)
        stream.receive_response(200, EVENT_STREAM)
        stream.receive_data(text("A") + STOP + b"data: [DONE]\n")
        assert list(stream.events()) == [TextDelta("A")]
        stream.receive_data(b"\n")
        assert stream.result().text == "A"
        assert stream.state is State.COMPLETED

    @pytest.mark.parametrize("end", [b"", BILL, BILL[:-2], b": ping\n\n", b"\n", b"data: \n\n"])
    def test_the_end_of_the_body_after_a_finish_reason(self, end: bytes):
        """Several servers never send `[DONE]`."""
        outcome = check_fragmentations(CHAT, text("A") + STOP + end)
        assert outcome.error is None
        assert outcome.snapshot.metadata.usage == (USAGE if end.startswith(b"data: {") else None)
        assert outcome.events == [TextDelta("A"), Completed(outcome.snapshot)]

    def test_a_finish_reason_without_its_blank_line(self):
        assert check_fragmentations(CHAT, text("A") + STOP.strip()).error is None

    @pytest.mark.parametrize("end", [b"", BILL, b"data: [DON"])
    def test_a_lost_connection_after_a_finish_reason_is_a_fault(self, end: bytes):
        """The server did not end the stream. The partial result has all fields that came."""
        outcome = check_fragmentations(CHAT, text("A") + STOP + end, ending=LOST)
        assert type(outcome.error) is ConnectionLost
        assert (outcome.snapshot.text, outcome.snapshot.metadata.finish_reason) == ("A", "stop")

    @pytest.mark.parametrize("rest", [b"d", b"data: [DON", b"data: {", b"data: [DON\n", b": pi"])
    def test_what_stops_in_the_middle_of_a_record_is_incomplete(self, rest: bytes):
        outcome = check_fragmentations(CHAT, text("A") + STOP + rest)
        assert type(outcome.error) is IncompleteStream
        assert outcome.error.partial == outcome.snapshot

    @pytest.mark.parametrize(
        "before", [b"", START, text("A"), text("A") + BILL, text("A") + chunk({}, "")]
    )
    def test_done_without_a_finish_reason_is_incomplete(self, before: bytes):
        """A gateway also sends this when the server behind it has died."""
        for end in (DONE, DONE.strip(), DONE + STOP):
            outcome = check_fragmentations(CHAT, before + end, ending=LOST)
            assert type(outcome.error) is IncompleteStream
            assert "before the answer had its end" in str(outcome.error)
        assert type(check_fragmentations(CHAT, before).error) is IncompleteStream

    @pytest.mark.parametrize("reason", [None, "", 7, ["stop"], {}])
    def test_what_is_no_finish_reason(self, reason: Any):
        assert type(run(CHAT, [text("A"), chunk({}, reason), DONE]).error) is IncompleteStream

    def test_an_error_for_a_finish_reason(self):
        body = record(
            {
                "choices": [
                    {
                        "delta": {"content": "B"},
                        "finish_reason": "error",
                        "error": {"message": "worker died"},
                    }
                ]
            }
        )
        outcome = check_fragmentations(CHAT, text("A") + body + DONE)
        assert type(outcome.error) is RemoteProtocolError
        assert "worker died" in str(outcome.error)
        assert outcome.events == [TextDelta("A")]

    def test_an_empty_stream(self):
        assert type(check_fragmentations(CHAT, b"").error) is IncompleteStream

    def test_done_in_front_of_an_error_event(self):
        assert type(run(CHAT, [text("A") + STOP + b"event: error\n" + DONE]).error) is APIError

    @pytest.mark.parametrize("ending", [None, LOST])
    def test_broken_at_every_byte(self, ending: Any):
        """A stream is complete at its end.

        That is after `[DONE]`, or after the record with the finish reason or with the usage.
        """
        before = START + chunk({"reasoning": "Look."}) + text("A") + text(" moon.")
        body = before + STOP + BILL + DONE
        whole = run(CHAT, [body])
        clean = {len(before + STOP), len(before + STOP) - 1, len(before + STOP) - 2}
        clean |= {at + len(BILL) for at in clean}
        for at in range(len(body)):
            outcome = run(CHAT, [body[:at]], ending=ending)
            if at % 5 == 0 or at in clean:
                assert outcome.key == run(CHAT, each_byte(body[:at]), ending=ending).key
            texts = [event for event in outcome.events if not isinstance(event, Completed)]
            assert texts == whole.events[: len(texts)]
            if at >= len(body) - 2 or (ending is None and at in clean):
                assert outcome.error is None, at
                assert (outcome.snapshot.text, outcome.snapshot.reasoning) == (
                    "A moon.",
                    Reasoning("Look."),
                )
            else:
                assert type(outcome.error) is (
                    IncompleteStream if ending is None else ConnectionLost
                ), at
                assert outcome.error.partial == outcome.snapshot


@settings(max_examples=50)
@given(st.data(), strategies.events("chat", Dialect.CHAT))
def test_a_stream_broken_anywhere_is_complete_or_incomplete(data: st.DataObject, events: list[Any]):
    encoded = encode_events(events, Dialect.CHAT)
    body, ending = data.draw(strategies.breaks(encoded, [LOST])).apply(encoded)
    outcome = run(CHAT, [body], ending=ending)
    assert run(CHAT, data.draw(strategies.fragmentations(body)), ending=ending).key == outcome.key
    if len(body) >= len(encoded) - 2:
        assert (outcome.error, outcome.events) == (None, events)
    elif outcome.error is None:
        # Only where a server without `[DONE]` would end: nothing but usage and unknown fields can
        # be missing.
        finish = encode_events(events[:-1], Dialect.CHAT) + record({})[:-2]
        assert ending is None
        assert len(body) >= len(finish)
        assert outcome.events[:-1] == events[:-1]
        assert outcome.snapshot.text == events[-1].result.text
        assert any(len(body) in (end, end - 1, end - 2) for end in record_ends(encoded))
    else:
        assert isinstance(outcome.error, IncompleteStream)
        assert outcome.events == events[: len(outcome.events)]
