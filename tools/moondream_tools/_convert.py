"""Convert recordings to the form that a client asks for: streamed or whole, in a dialect.

1. A recording in that form is not changed by a byte, unless a dialect is given.
2. Otherwise it is decoded as far as possible, and encoded again. Times are kept: an event comes at
   the time of its last byte, and a whole answer at the time of the end of the stream.
3. The ending is kept too. A stream that broke becomes, as a whole answer, a connection that closes
   without one. An error inside a stream becomes an error as JSON. An error in place of an answer is
   not changed, with any status.
4. Chats have one dialect only, so a recording of a chat in the right form is never changed.
5. If the client left after a complete answer, the ending becomes a proper end. So it does if only
   what came after a complete answer was left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, cast

from msgspec.structs import replace

from sansio_moondream import (
    APIError,
    CaptionRequest,
    ChatMessage,
    ChatRequest,
    DetectRequest,
    Dialect,
    Event,
    Headers,
    MoondreamError,
    PointRequest,
    QueryRequest,
    Request,
    ResponseStream,
    SegmentRequest,
    State,
    encode_error,
    encode_events,
    encode_image,
    encode_result,
    encode_stream_error,
)
from sansio_moondream.recording import EOF, LEFT, OMITTED, Chunk, Ending, Recording, ending_error

JSON = "application/json"
EVENT_STREAM = "text/event-stream"
_BODY_HEADERS = frozenset({"content-type", "content-length", "content-encoding"})


def convert(
    recording: Recording, *, skill: str, stream: bool, dialect: Dialect | None
) -> Recording:
    """Return the recording of an answer of `skill`, streamed or whole.

    Args:
        recording: of an answer.
        skill: decides how the answer is decoded.
        stream: True for a stream, False for a whole answer.
        dialect: of the new recording. None keeps a recording that is in the right form. Chats have
            their own.
    """
    dialect = None if skill == "chat" else dialect
    status_code = recording.header.status_code
    if status_code is None or status_code >= 300:
        return recording
    if recording.ending.fault in (LEFT, OMITTED):
        recording = _with_proper_end(recording, skill)
    if dialect is None and stream in (is_stream(recording), _asks_for_stream(recording)):
        return recording
    decoded = _Decoded(recording, request_of(skill))
    if decoded.is_refusal:
        return recording
    dialect = dialect or (Dialect.CHAT if skill == "chat" else Dialect.ENGINE)
    return decoded.streamed(dialect) if stream else decoded.whole(dialect)


def is_stream(recording: Recording) -> bool:
    """Return whether the recorded head is that of an event stream."""
    headers = Headers(recording.header.response_headers)
    return headers.get("content-type", "").lower().startswith(EVENT_STREAM)


def with_body(
    recording: Recording,
    content_type: str,
    chunks: Sequence[Chunk],
    ending: Ending,
    seconds: float | None = None,
) -> Recording:
    """Return the recording with another body, and with headers that fit this body.

    `seconds` is the new time of the head.
    """
    kept = [field for field in recording.header.response_headers if field[0] not in _BODY_HEADERS]
    header = replace(recording.header, response_headers=(*kept, ("content-type", content_type)))
    if seconds is not None:
        header = replace(header, seconds=seconds)
    return Recording(header, tuple(chunks), ending)


def without_head(recording: Recording, ending: Ending) -> Recording:
    """Return the recording of an exchange that ended before the head of a response."""
    header = replace(recording.header, status_code=None, response_headers=(), seconds=0.0)
    return Recording(header, (), ending)


def _with_proper_end(recording: Recording, skill: str) -> Recording:
    """Return a recording without a proper end with one, if the answer was complete."""
    ended = replace(recording, ending=Ending(recording.ending.seconds))
    return ended if _Decoded(ended, request_of(skill)).is_complete else recording


def _asks_for_stream(recording: Recording) -> bool:
    """Return whether the recorded request asks for a stream. The answer may still be JSON."""
    body = recording.header.request_body
    return isinstance(body, dict) and cast("dict[str, Any]", body).get("stream") is True


class _Decoded:
    """The content of a recording: the events of each chunk, and the result or the error."""

    def __init__(self, recording: Recording, request: Request[Any]) -> None:
        self._recording = recording
        self._events: list[tuple[float, list[Event]]] = []
        self._error: MoondreamError | None = None
        stream = ResponseStream(request)
        try:
            stream.receive_response(
                recording.header.status_code or 0, recording.header.response_headers
            )
            for chunk in recording.chunks:
                stream.receive_data(chunk.data)
                self._take_events(chunk.seconds, stream)
            if (error := ending_error(recording.ending)) is not None:
                stream.receive_error(error)
            else:
                stream.receive_eof()
            self._take_events(recording.ending.seconds, stream)
        except MoondreamError as error:
            self._error = error
        self._result = None if self._error is not None else stream.result()
        self.is_complete = stream.state is State.COMPLETED

    @property
    def is_refusal(self) -> bool:
        """True for an error as JSON in a 200."""
        return isinstance(self._error, APIError) and not is_stream(self._recording)

    def streamed(self, dialect: Dialect) -> Recording:
        chunks: list[Chunk] = []
        waited = 0.0
        for seconds, events in self._events:
            waited += seconds
            if data := encode_events(events, dialect):
                chunks.append(Chunk(waited, data))
                waited = 0.0
        if isinstance(self._error, APIError):
            chunks.append(Chunk(waited, encode_stream_error(self._error)))
            waited = 0.0
        content_type = f"{EVENT_STREAM}; charset=utf-8"
        return with_body(self._recording, content_type, chunks, self._ending(waited))

    def whole(self, dialect: Dialect) -> Recording:
        seconds = self._recording.header.seconds + sum(seconds for seconds, _ in self._events)
        if self._result is not None:
            body = encode_result(self._result, dialect)
        elif isinstance(self._error, APIError):
            body = encode_error(self._error, dialect).body
        else:
            ending = self._ending(seconds)
            if ending.fault == EOF:
                ending = Ending(seconds, "ConnectionLost", "the recorded stream has no end")
            return without_head(self._recording, ending)
        return with_body(self._recording, JSON, [Chunk(0, body)], Ending(0), seconds)

    def _take_events(self, seconds: float, stream: ResponseStream[Any]) -> None:
        events: list[Event] = []
        self._events.append((seconds, events))
        events.extend(stream.events())  # those before an error are kept

    def _ending(self, seconds: float) -> Ending:
        return replace(self._recording.ending, seconds=max(seconds, 0.0))


@cache
def request_of(skill: str) -> Request[Any]:
    """Return a request of `skill`. Decoding depends on nothing else of the request."""
    picture = encode_image((files("moondream_tools") / "recordings" / "harbour.jpg").read_bytes())
    requests: list[Request[Any]] = [
        QueryRequest(question="?"),
        CaptionRequest(image=picture),
        SegmentRequest(image=picture, object="?"),
        DetectRequest(image=picture, object="?"),
        PointRequest(image=picture, object="?"),
        ChatRequest(messages=[ChatMessage("user", "?")]),
    ]
    return next(request for request in requests if request.skill == skill)
