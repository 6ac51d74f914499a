"""Events: a closed union of plain values, and what decoding keeps inside them stays inside."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from sansio_moondream import (
    FINISHED,
    NEED_DATA,
    BBox,
    CaptionResult,
    Completed,
    Event,
    PathChunk,
    QueryResult,
    ReasoningDelta,
    ResponseStream,
    Signal,
    TextDelta,
    Unknown,
)
from sansio_moondream.testing import run
from tests.helpers import END, QUERY, SEGMENT, delta, record

BOX = {"x_min": 0.1, "y_min": 0.2, "x_max": 0.3, "y_max": 0.4}
EVENTS: list[Event] = [
    TextDelta(" moon", 5),
    ReasoningDelta("Look: "),
    BBox(0.1, 0.2, 0.3, 0.4),
    PathChunk(" L 1 1", 7),
    Completed(CaptionResult("A moon.")),
    Unknown({"type": "mood", "of": ["the", "moon"]}),
]
by_type = pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)


def decoded(*messages: object) -> list[Event]:
    request = (
        SEGMENT
        if any(isinstance(message, dict) and "type" in message for message in messages)
        else QUERY
    )
    return run(request, [record(message) for message in messages]).events


@by_type
def test_values(event: Event):
    for again in (pickle.loads(pickle.dumps(event)), copy.copy(event), copy.deepcopy(event)):
        assert again == event
        assert type(again) is type(event)
        assert repr(again) == repr(event)
    with pytest.raises(AttributeError, match="immutable"):
        setattr(event, type(event).__match_args__[0], None)
    assert event not in [other for other in EVENTS if other is not event]


@pytest.mark.parametrize("event", EVENTS[:4], ids=lambda event: type(event).__name__)
def test_hashable(event: Event):
    assert len({event, copy.copy(event)}) == 1


@pytest.mark.parametrize("event", EVENTS[4:], ids=lambda event: type(event).__name__)
def test_what_holds_fields_of_the_servers_own_is_not(event: Event):
    with pytest.raises(TypeError, match="unhashable"):
        hash(event)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (TextDelta(" moon"), "TextDelta(text=' moon')"),
        (TextDelta(" moon", 5), "TextDelta(text=' moon', token_index=5)"),
        (PathChunk("M 0 0"), "PathChunk(data='M 0 0')"),
        (PathChunk(" L 1 1", token_index=7), "PathChunk(data=' L 1 1', token_index=7)"),
        (BBox(0, 0.5, 1, 1), "BBox(x_min=0, y_min=0.5, x_max=1, y_max=1)"),
        (
            Completed(QueryResult("x")),
            "Completed(result=QueryResult(text='x', metadata=Metadata()))",
        ),
        (Unknown({"mood": "bright"}), "Unknown(data={'mood': 'bright'})"),
    ],
)
def test_repr(event: Event, expected: str):
    assert repr(event) == expected


def test_a_decoded_event_is_as_one_made_by_hand():
    """Inside it is what the JSON decoder made, with a guard field that nobody needs to know of."""
    for seen, made in [
        (decoded({"chunk": "a", "completed": False, "token_index": 2})[0], TextDelta("a", 2)),
        (decoded({"chunk": "a"})[0], TextDelta("a")),
        (decoded({"text": "a"})[0], TextDelta("a")),
        (
            decoded({"type": "path_delta", "chunk": "M 0 0", "completed": False})[0],
            PathChunk("M 0 0"),
        ),
        (decoded({"type": "bbox", "bbox": BOX})[0], BBox(**BOX)),
    ]:
        assert (seen, hash(seen), repr(seen), pickle.dumps(seen)) == (
            made,
            hash(made),
            repr(made),
            pickle.dumps(made),
        )
        assert type(seen) is type(made)


@by_type
def test_the_guard_is_invisible(event: Event):
    class_: Any = type(event)
    assert not any(name.startswith("_") for name in class_.__match_args__)
    assert "_completed" not in repr(event)
    with pytest.raises(TypeError, match="positional"):
        class_(*[None] * (len(class_.__match_args__) + 1))


def test_an_end_is_never_handed_out_as_a_delta():
    events = decoded({"chunk": "a", "completed": False}, {"chunk": "b", "completed": True})
    assert events[:2] == [TextDelta("a"), TextDelta("b")]
    assert isinstance(events[2], Completed)
    assert events[1] == pickle.loads(pickle.dumps(events[1])) == TextDelta("b")


def test_matchable():
    def told(event: Event) -> object:
        match event:
            case TextDelta(text) | ReasoningDelta(text):
                return text
            case BBox(x_min, y_min, x_max, y_max):
                return x_min, y_min, x_max, y_max
            case PathChunk(data, token_index=7):
                return data
            case Completed(CaptionResult(text)):
                return text
            case Unknown({"type": kind}):
                return kind
            case _:
                return None

    assert [told(event) for event in EVENTS] == [
        " moon",
        "Look: ",
        (0.1, 0.2, 0.3, 0.4),
        " L 1 1",
        "A moon.",
        "mood",
    ]
    assert told(PathChunk("M", 8)) is None


def test_a_union_for_isinstance():
    assert all(isinstance(event, Event) for event in EVENTS)
    assert not isinstance(NEED_DATA, Event)


class TestSignals:
    def test_are_two(self):
        assert list(Signal) == [NEED_DATA, FINISHED]
        assert NEED_DATA is Signal.NEED_DATA
        assert FINISHED is Signal.FINISHED
        assert [repr(signal) for signal in Signal] == ["NEED_DATA", "FINISHED"]

    @pytest.mark.parametrize("signal", Signal)
    def test_keep_their_identity(self, signal: Signal):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            assert pickle.loads(pickle.dumps(signal, protocol)) is signal
        assert copy.deepcopy([signal])[0] is signal
        assert len({signal, copy.copy(signal)}) == 1

    def test_come_where_there_is_no_event(self):
        stream = ResponseStream(QUERY)
        assert stream.next_event() is NEED_DATA
        stream.receive_response(200, {"content-type": "text/event-stream"})
        stream.receive_data(delta("a"))
        seen: list[Any] = [stream.next_event(), stream.next_event()]
        stream.receive_data(END)
        seen += [stream.next_event(), stream.next_event(), stream.next_event()]
        match seen:
            case [TextDelta("a"), Signal.NEED_DATA, Completed(), Signal.FINISHED, Signal.FINISHED]:
                pass
            case _:
                pytest.fail(repr(seen))
