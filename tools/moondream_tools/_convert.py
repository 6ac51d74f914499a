"""Recordings as a client asked for them: streamed or whole, in a dialect, in other chunks.
Recordings in, recordings out.

1. What was recorded in the form that is asked for is left as it is, byte for byte, unless a dialect
   is named.
2. Else it is decoded, as far as it goes, and encoded again. Times are kept: an event comes when its
   last byte came, and a whole answer when the stream would have ended.
3. How a recording ends is kept too. A stream that was cut is, as a whole answer, a connection that
   closes without one; an error that came inside a stream is an error's JSON. Errors in place of an
   answer, whatever their status, are left as they are.
4. Where a client left, but only when the answer was whole, the answer ends well: whatever the
client did not wait for is not missed."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from itertools import accumulate
from typing import Any, cast

from msgspec.structs import replace

from sansio_moondream import (
    APIError,
    CaptionRequest,
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
    encode_events,
    encode_image,
    encode_result,
)
from sansio_moondream.recording import EOF, LEFT, Chunk, Ending, Recording, ending_error

from ._refusals import JSON

EVENT_STREAM = "text/event-stream"
_ABOUT_THE_BODY = frozenset({"content-type", "content-length", "content-encoding"})


def retell(recording: Recording, *, skill: str, stream: bool, dialect: Dialect | None) -> Recording:
    """The recording of an answer of that skill, streamed or whole, and in the dialect if one is
    named.
    """
    status_code = recording.header.status_code
    if status_code is None or status_code >= 300:
        return recording
    if recording.ending.fault == LEFT:
        recording = _with_its_end(recording, skill)
    if dialect is None and stream in (is_stream(recording), _asked_to_stream(recording)):
        return recording
    told = _Told(recording, _request(skill))
    if told.is_refusal:
        return recording
    dialect = dialect or Dialect.ENGINE
    return told.streamed(dialect) if stream else told.whole(dialect)


def is_stream(recording: Recording) -> bool:
    """Whether it is an event stream by its head."""
    return (
        Headers(recording.header.response_headers)
        .get("content-type", "")
        .lower()
        .startswith(EVENT_STREAM)
    )


def _with_its_end(recording: Recording, skill: str) -> Recording:
    """A recording that its client left: with a clean end if the answer was whole by then, else as
    it is.
    """
    ended = replace(recording, ending=Ending(recording.ending.seconds))
    return ended if _Told(ended, _request(skill)).is_whole else recording


def _asked_to_stream(recording: Recording) -> bool:
    """Whether the recorded request asked for a stream, which a server may still answer with JSON."""
    body = recording.header.request_body
    return isinstance(body, dict) and cast("dict[str, Any]", body).get("stream") is True


def cut_into(recording: Recording, size: int) -> Recording:
    """The same bytes in chunks of `size` bytes, which may come from several of the old ones; each
    comes when its last byte came.
    """
    body = b"".join(chunk.data for chunk in recording.chunks)
    came: list[float] = []  # when, for each byte
    for now, chunk in zip(
        accumulate(chunk.seconds for chunk in recording.chunks), recording.chunks, strict=True
    ):
        came += [now] * len(chunk.data)
    chunks: list[Chunk] = []
    before = 0.0
    for start in range(0, len(body), size):
        data = body[start : start + size]
        now = came[start + len(data) - 1]
        chunks.append(Chunk(max(now - before, 0.0), data))
        before = now
    return Recording(recording.header, tuple(chunks), recording.ending)


def with_body(
    recording: Recording,
    kind: str,
    chunks: list[Chunk],
    ending: Ending,
    seconds: float | None = None,
) -> Recording:
    """The recording with another body, and a head that fits it."""
    kept = [field for field in recording.header.response_headers if field[0] not in _ABOUT_THE_BODY]
    header = replace(recording.header, response_headers=(*kept, ("content-type", kind)))
    if seconds is not None:
        header = replace(header, seconds=seconds)
    return Recording(header, tuple(chunks), ending)


class _Told:
    """What a recording says: the events of each chunk, and how they ended."""

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
                self._take(chunk.seconds, stream)
            if (fault := ending_error(recording.ending)) is not None:
                stream.receive_error(fault)
            else:
                stream.receive_eof()
            self._take(recording.ending.seconds, stream)
        except MoondreamError as error:
            self._error = error
        self._result = None if self._error is not None else stream.result()
        self.is_whole = stream.state is State.COMPLETED

    @property
    def is_refusal(self) -> bool:
        """Whether it is an error as JSON, in a 200."""
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
            chunks.append(Chunk(waited, b"data: " + _error_body(self._error) + b"\n\n"))
            waited = 0.0
        return with_body(
            self._recording, f"{EVENT_STREAM}; charset=utf-8", chunks, self._ending(waited)
        )

    def whole(self, dialect: Dialect) -> Recording:
        seconds = self._recording.header.seconds + sum(seconds for seconds, _ in self._events)
        if self._result is not None:
            return with_body(
                self._recording,
                JSON,
                [Chunk(0, encode_result(self._result, dialect))],
                Ending(0),
                seconds,
            )
        if isinstance(self._error, APIError):
            return with_body(
                self._recording, JSON, [Chunk(0, _error_body(self._error))], Ending(0), seconds
            )
        ending = self._ending(seconds)
        cut = (
            ending
            if ending.fault != EOF
            else Ending(seconds, "ConnectionLost", "the recorded stream has no end")
        )
        return Recording(
            replace(self._recording.header, status_code=None, response_headers=(), seconds=0.0),
            (),
            cut,
        )

    def _take(self, seconds: float, stream: ResponseStream[Any]) -> None:
        events: list[Event] = []
        self._events.append((seconds, events))
        events.extend(stream.events())

    def _ending(self, waited: float) -> Ending:
        return replace(self._recording.ending, seconds=max(waited, 0.0))


def _error_body(error: APIError) -> bytes:
    about = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
    return json.dumps({"error": about}).encode()


@cache
def _request(skill: str) -> Request[Any]:
    """A request of that skill: answers are decoded by what was asked, and only the skill matters
    there.
    """
    moon = encode_image((files("moondream_tools") / "recordings" / "moon.png").read_bytes())
    requests: list[Request[Any]] = [
        QueryRequest(question="?"),
        CaptionRequest(image=moon),
        SegmentRequest(image=moon, object="?"),
        DetectRequest(image=moon, object="?"),
        PointRequest(image=moon, object="?"),
    ]
    return next(request for request in requests if request.skill == skill)
