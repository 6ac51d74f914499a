"""`ResponseStream`: errors, and calls out of order."""

from __future__ import annotations

import gc
import pickle
import weakref
from typing import Any

import pytest

from sansio_moondream import (
    FINISHED,
    TRANSITIONS,
    Completed,
    ConnectionLost,
    FirstEventTimeout,
    IdleTimeout,
    IncompleteStream,
    LocalProtocolError,
    QueryResult,
    RemoteProtocolError,
    ResponseStream,
    ServerError,
    State,
    Trigger,
)
from sansio_moondream.testing import EVENT_STREAM, run
from tests.core.streams import AB, A, B, drain, opened
from tests.helpers import DETECT, END, QUERY, SEGMENT, delta, record


class TestErrors:
    def test_the_same_error_again_and_nothing_else(self):
        stream = opened(delta("a", 1) + b"data: 1\n\n")
        assert stream.next_event() == A
        errors = []
        for pull in (stream.next_event, lambda: drain(stream), stream.result, stream.next_event):
            with pytest.raises(RemoteProtocolError) as caught:
                pull()
            errors.append(caught.value)
        assert len({id(error) for error in errors}) == 1
        stream.receive_data(END)
        stream.receive_error(OSError())
        stream.receive_eof()
        with pytest.raises(RemoteProtocolError) as caught:
            drain(stream)
        assert caught.value is errors[0]

    def test_tracebacks_do_not_pile_up(self):
        stream = opened(b"data: 1\n\n")
        lengths = []
        for _ in range(5):
            with pytest.raises(RemoteProtocolError) as caught:
                stream.next_event()
            lengths.append(len(caught.traceback))
        assert len(set(lengths[1:])) == 1

    def test_they_say_what_was_seen_in_short(self):
        outcome = run(QUERY, [b'data: {"chunk": 5, "note": "' + b"x" * 5000 + b'"}\n\n'])
        assert str(outcome.error).startswith(
            'the server sent a message in which "chunk" should be text, not a number: '
            '{"chunk": 5, "note"'
        )
        assert len(str(outcome.error)) < 400

    @pytest.mark.parametrize(
        ("payload", "words"),
        [
            ("nonsense", "not JSON"),
            ("[DONE]", "not JSON"),
            ('{"chunk": "a"} x', "not JSON"),
            ('{"chunk": NaN}', "not JSON"),
            ('{"chunk": "\t"}', "not JSON"),
            ("null", "no object"),
            ('"text"', "no object"),
            ("7", "no object"),
            ('[{"chunk": "a"}]', "no object"),
            ('{"chunk": 1}', '"chunk" should be text, not a number'),
            ('{"chunk": ["a"]}', '"chunk" should be text, not an array'),
            ('{"chunk": {}}', '"chunk" should be text, not an object'),
            ('{"chunk": true}', '"chunk" should be text, not true or false'),
            ('{"text": 1.5}', '"text" should be text, not a number'),
            ('{"completed": 1}', '"completed" should be true or false, not a number'),
            ('{"completed": "true"}', '"completed" should be true or false, not text'),
            ('{"completed": true, "answer": 1}', '"answer" should be text, not a number'),
        ],
    )
    def test_contradictions(self, payload: str, words: str):
        outcome = run(QUERY, [AB + f"data: {payload}\n\n".encode() + END])
        assert outcome.events == [A, B]
        assert type(outcome.error) is RemoteProtocolError
        assert words in str(outcome.error)
        assert outcome.error.partial == outcome.snapshot
        assert outcome.snapshot.text == "ab"

    def test_a_contradicting_end_leaves_its_own_text_out(self):
        outcome = run(QUERY, [AB + record({"chunk": "c", "completed": True, "answer": []})])
        assert (outcome.events, outcome.snapshot.text) == ([A, B], "ab")

    def test_done_is_no_fault_after_the_end(self):
        assert run(QUERY, [AB + END + b"data: [DONE]\n\n"]).error is None

    @pytest.mark.parametrize(
        "bbox",
        [
            1,
            "box",
            [0, 0, 1, 1],
            {},
            {"x_min": 0, "y_min": 0, "x_max": 1},
            {"x_min": "0", "y_min": 0, "x_max": 1, "y_max": 1},
        ],
    )
    def test_boxes_that_are_none(self, bbox: Any):
        outcome = run(SEGMENT, [record({"type": "bbox", "bbox": bbox})])
        assert type(outcome.error) is RemoteProtocolError
        assert '"bbox" should hold numbers x_min, y_min, x_max, y_max' in str(outcome.error)

    @pytest.mark.parametrize("number", [b"1e400", b"-1e400", b"9" * 400])
    def test_boxes_that_are_not_finite(self, number: bytes):
        body = b'{"objects": [{"x_min": %s, "y_min": 0, "x_max": 1, "y_max": 1}]}' % number
        outcome = run(DETECT, [body], headers={"content-type": "application/json"})
        assert type(outcome.error) is RemoteProtocolError

    @pytest.mark.parametrize("points", [b"[[1e400, 0]]", b"[[0, 1], [0, -1e400]]"])
    def test_places_of_a_reasoning_that_are_not_finite(self, points: bytes):
        """The reasoning is kept as an unknown field, as one in any other form."""
        grounding = b'{"text": "b", "grounding": [{"start_idx": 0, "end_idx": 1, "points": %s}]}'
        reasoning = grounding % points
        body = b'{"answer": "a", "reasoning": %s}' % reasoning
        outcome = run(QUERY, [body], headers={"content-type": "application/json"})
        result = outcome.snapshot
        assert (result.text, result.reasoning) == ("a", None)
        assert result.metadata.extra["reasoning"]["text"] == "b"

    @pytest.mark.parametrize("end", [END, b"", b": a comment"])
    def test_a_dropped_stream_is_freed_at_once(self, end: bytes):
        gc.disable()
        try:
            stream = opened(AB + end)
            drain(stream)
            gone = weakref.ref(stream)
            del stream
            assert gone() is None
        finally:
            gc.enable()

    def test_an_error_of_the_transport_comes_as_it_is(self):
        for fault in (
            IdleTimeout("no byte for 5 s"),
            FirstEventTimeout("x"),
            RemoteProtocolError("bad framing"),
            ServerError("x"),
        ):
            stream = opened(AB)
            stream.receive_error(fault)
            with pytest.raises(type(fault)) as caught:
                drain(stream)
            assert caught.value is fault
            assert isinstance(fault.partial, QueryResult)
            assert fault.partial.text == "ab"

    def test_any_other_is_the_cause_of_a_lost_connection(self):
        fault = ConnectionResetError(104, "Connection reset by peer")
        stream = opened(AB)
        stream.receive_error(fault)
        with pytest.raises(
            ConnectionLost,
            match=r"the connection broke: ConnectionResetError: .*Connection reset by peer",
        ) as caught:
            stream.result()
        assert caught.value.__cause__ is fault

    def test_before_the_head(self):
        for fault in (OSError("x"), None):
            stream = ResponseStream(QUERY)
            stream.receive_eof() if fault is None else stream.receive_error(fault)
            with pytest.raises(ConnectionLost) as caught:
                stream.next_event()
            assert caught.value.partial is None
            assert stream.state is State.FAILED

    def test_errors_pickle_with_all_they_carry(self):
        error = run(QUERY, [AB]).error
        assert error is not None
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), again.partial) == (
            IncompleteStream,
            str(error),
            error.partial,
        )


class TestOrder:
    def test_data_before_the_head(self):
        with pytest.raises(LocalProtocolError, match="before receive_response"):
            ResponseStream(QUERY).receive_data(b"")

    def test_two_heads(self):
        stream = opened()
        with pytest.raises(LocalProtocolError, match="a response has one head"):
            stream.receive_response(200)
        stream.receive_data(AB)
        assert drain(stream) == [A, B]

    def test_head_after_the_end(self):
        stream = ResponseStream(QUERY)
        stream.receive_eof()
        with pytest.raises(LocalProtocolError):
            stream.receive_response(200)

    @pytest.mark.parametrize("end", ["eof", "error"])
    def test_data_after_the_end_of_input(self, end: str):
        stream = opened(AB)
        stream.receive_eof() if end == "eof" else stream.receive_error(OSError())
        with pytest.raises(LocalProtocolError, match="after the end of input"):
            stream.receive_data(b"x")
        with pytest.raises((IncompleteStream, ConnectionLost)):
            drain(stream)

    def test_the_first_end_of_input_counts(self):
        stream = opened(AB)
        stream.receive_eof()
        stream.receive_error(OSError())
        stream.receive_eof()
        with pytest.raises(IncompleteStream) as caught:
            drain(stream)
        assert type(caught.value) is IncompleteStream

    def test_data_after_the_answer_is_ignored(self):
        stream = opened(AB + END + delta("more"))
        assert drain(stream)[-1] == Completed(stream.result())
        stream.receive_data(b"\xff" * 100_000)
        assert drain(stream) == []
        stream.receive_error(OSError())
        assert stream.next_event() is FINISHED

    def test_informational_heads_are_skipped(self):
        stream = ResponseStream(QUERY)
        stream.receive_response(100)
        stream.receive_response(103, [("link", "</style.css>")])
        assert stream.state is State.AWAITING_RESPONSE
        stream.receive_response(200, EVENT_STREAM)
        stream.receive_data(END)
        assert stream.result().text == ""

    def test_every_state_and_trigger_is_in_the_table(self):
        assert set(TRANSITIONS) == set(State)
        reached = {state for targets in TRANSITIONS.values() for state in targets.values()}
        assert reached == set(State)
        assert {trigger for targets in TRANSITIONS.values() for trigger in targets} == set(Trigger)
        assert {state for state, targets in TRANSITIONS.items() if not targets} == {
            State.COMPLETED,
            State.FAILED,
        }


def test_reading_an_error_body_ends_in_its_error_however_it_ends():
    for ending in (None, OSError("reset"), IdleTimeout("stalled")):
        outcome = run(
            QUERY,
            [b'{"error": "busy"}'],
            status_code=503,
            headers={"content-type": "application/json"},
            ending=ending,
        )
        assert type(outcome.error) is ServerError
        assert outcome.error.message == "busy"
        assert outcome.snapshot is None


def test_an_error_that_knows_more_keeps_it():
    known = IdleTimeout("x", partial=QueryResult("from elsewhere"), request_id="r9")
    stream = opened(AB)
    stream.receive_error(known)
    with pytest.raises(IdleTimeout) as caught:
        stream.result()
    assert caught.value.partial == QueryResult("from elsewhere")
    assert caught.value.request_id == "r9"
