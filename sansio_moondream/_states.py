"""The state machine as data: `_stream.py` runs on it, docs/why/state-machine.md is made from it."""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """Where a `ResponseStream` is."""

    AWAITING_RESPONSE = "awaiting response"
    READING_EVENTS = "reading events"
    READING_JSON = "reading JSON"
    READING_UNNAMED = "reading a body that the head does not name"
    READING_ERROR = "reading an error body"
    COMPLETED = "completed"
    FAILED = "failed"


class Trigger(Enum):
    """What moves a `ResponseStream` from one state to the next."""

    INFORMATIONAL = "1xx head"
    EVENT_STREAM = "200, text/event-stream"
    JSON = "200, JSON"
    UNNAMED = "200, no content type or octet-stream"
    ERROR_STATUS = "3xx, 4xx, 5xx"
    END_OF_ANSWER = "end of the answer"
    FAULT = "fault"


_S, _T = State, Trigger
_READING = {_T.END_OF_ANSWER: _S.COMPLETED, _T.FAULT: _S.FAILED}
TRANSITIONS: dict[State, dict[Trigger, State]] = {
    _S.AWAITING_RESPONSE: {
        _T.INFORMATIONAL: _S.AWAITING_RESPONSE,
        _T.EVENT_STREAM: _S.READING_EVENTS,
        _T.JSON: _S.READING_JSON,
        _T.UNNAMED: _S.READING_UNNAMED,
        _T.ERROR_STATUS: _S.READING_ERROR,
        _T.FAULT: _S.FAILED,
    },
    _S.READING_EVENTS: _READING,
    _S.READING_JSON: _READING,
    _S.READING_UNNAMED: _READING,
    _S.READING_ERROR: {_T.FAULT: _S.FAILED},
    _S.COMPLETED: {},
    _S.FAILED: {},
}
"""The table that a `ResponseStream` runs on: what leads from each state to which other one."""
