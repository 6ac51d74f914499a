"""The answers of a fake server: the arguments of `FakeServer.answer` as a recording to play.

1. What is answered is a result for each skill that the answer is for, a recording, or an error.
2. A streamed answer has one chunk for each event. So `close@2` breaks after two events.
3. A text is streamed word by word, and a path command by command.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from moondream_transports.replay import AnyFragmentation, BreakAt, Fragmentation, play
from sansio_moondream import (
    APIError,
    CaptionResult,
    ChatResult,
    Completed,
    Dialect,
    Event,
    Metadata,
    PathChunk,
    QueryResult,
    ReasoningDelta,
    Result,
    SegmentResult,
    TextDelta,
    encode_error,
    encode_events,
    encode_result,
    encode_stream_error,
)
from sansio_moondream.recording import Chunk, Ending, Recording, RecordingHeader

from ._convert import EVENT_STREAM, JSON, convert, is_stream, without_head
from ._fake_content import Content, content_of, require, skills_of
from ._faults import HTTPFault

_WORDS = re.compile(r"\s*\S+|\s+")
_JSON = (("content-type", JSON),)
_EVENT_STREAM = (("content-type", f"{EVENT_STREAM}; charset=utf-8"),)
_SHOWN = 80  # characters of a value in a message
_COMMANDS = re.compile(r"[A-Za-z][^A-Za-z]*|[^A-Za-z]+")


class Answer:
    """One answer, and to which requests it is given.

    Args:
        what: the arguments of `FakeServer.answer` that say what is answered, without those that
            are None.
        number: of the answer, for messages and as its request id.
        skill: limits the answer to one skill.
        seconds: before each event, or before a whole answer. None keeps the times of a recording.
        fault: in the answer.
        break_at: where the answer breaks.
        fragmentation: of the body.
        times: how often it is given. None is any number.

    Raises TypeError, ValueError, RecordingError and OSError.
    """

    def __init__(
        self,
        what: Mapping[str, Any],
        number: int,
        *,
        skill: str | None = None,
        seconds: float | None = 0.0,
        fault: HTTPFault | None = None,
        break_at: BreakAt | None = None,
        fragmentation: AnyFragmentation = Fragmentation.AS_RECORDED,
        times: int | None = 1,
    ) -> None:
        self._what = ", ".join(
            f"{name}={shorten(repr(value), _SHOWN)}" for name, value in what.items()
        )
        self._number = number
        self._content = content_of(what, Metadata(f"fake-{number}", "stop"))
        error: APIError | None = what.get("error")
        self._error = None if self._content is error else error  # after what is answered
        self.skills = skills_of(self._content)
        if skill is not None and skill not in self.skills:
            raise ValueError(f"{self._what} is for {', '.join(self.skills)}, not for {skill!r}")
        if skill is not None:
            self.skills = (skill,)
        self._seconds = seconds
        self._fault = fault
        self._break_at = None if break_at is None else require(BreakAt, "break_at", break_at)
        self.fragmentation = fragmentation
        self._times = None if times is None else require(int, "times", times)
        if times is not None and times < 1:
            raise ValueError(f"times should be at least 1, or None, not {times}")
        self._given = 0

    def __str__(self) -> str:
        of = "" if self._times is None else f" of {self._times}"
        given = f", given {self._given}{of} times" if self._given else ""
        return f"{self._number}: {self._what} (for {', '.join(self.skills)}{given})"

    @property
    def is_left(self) -> bool:
        """True if it may be given again."""
        return self._times is None or self._given < self._times

    @property
    def is_unused(self) -> bool:
        """True if it was given less often than `times`."""
        return self._times is not None and self.is_left

    def give(self) -> None:
        """Count that it is given."""
        self._given += 1

    def check(self, dialect: Dialect) -> None:
        """Raise TypeError or ValueError if the answer cannot be sent."""
        for skill in self.skills:
            for stream in (False, True):
                recording = self.recording(skill, stream, dialect)
                play(recording, fragmentation=self.fragmentation).close()

    def recording(self, skill: str, stream: bool, dialect: Dialect) -> Recording:
        """Return the answer to a request, as a recording to play."""
        recording = _encode(self._content, self._error, skill, stream, dialect)
        if self._seconds is not None:
            recording = _paced(recording, self._seconds)
        if self._fault is not None:
            recording = self._fault.apply(recording)
        if self._break_at is not None:
            recording = _broken(recording, self._break_at)
        return recording


def shorten(text: str, most: int) -> str:
    """Return a text of at most so many characters, and a mark where it was cut."""
    return text if len(text) <= most else text[:most] + "…"


def _encode(
    content: Content, error: APIError | None, skill: str, stream: bool, dialect: Dialect
) -> Recording:
    """Return an answer that is whole, or streamed, or that the error ends."""
    if isinstance(content, Recording):
        return convert(content, skill=skill, stream=stream, dialect=None)
    if skill == "chat":
        dialect = Dialect.CHAT
    if isinstance(content, APIError):
        return _recording(skill, *encode_error(content, dialect))
    result = content[skill]
    if not stream and error is not None:
        return _recording(skill, *encode_error(error, dialect))
    if not stream:
        return _recording(skill, 200, _JSON, encode_result(result, dialect))
    chunks = [encode_events([event], dialect) for event in _deltas(result)]
    if error is None:
        chunks.append(encode_events([Completed(result)], dialect))
    else:
        chunks.append(encode_stream_error(error))
    return _recording(skill, 200, _EVENT_STREAM, *chunks)


def _recording(
    skill: str, status_code: int, headers: tuple[tuple[str, str], ...], *chunks: bytes
) -> Recording:
    header = RecordingHeader(
        "POST", f"/v1/{skill}", status_code=status_code, response_headers=headers
    )
    return Recording(header, tuple(Chunk(0, chunk) for chunk in chunks if chunk), Ending(0))


def _deltas(result: Result) -> Iterator[Event]:
    """Yield the events before the end of a stream with this result."""
    if isinstance(result, ChatResult) and result.reasoning is not None:
        yield from map(ReasoningDelta, _WORDS.findall(result.reasoning.text))
    if isinstance(result, QueryResult | CaptionResult | ChatResult):
        for word in _WORDS.findall(result.text):
            yield TextDelta(text=word)
    if isinstance(result, SegmentResult):
        if result.bbox is not None:
            yield result.bbox
        for command in _COMMANDS.findall(result.path):
            yield PathChunk(data=command)


def _paced(recording: Recording, seconds: float) -> Recording:
    """Return the recording with `seconds` before each chunk of a stream, or before the head."""
    before_head, before_chunk = (0.0, seconds) if is_stream(recording) else (seconds, 0.0)
    return Recording(
        replace(recording.header, seconds=before_head),
        tuple(replace(chunk, seconds=before_chunk) for chunk in recording.chunks),
        replace(recording.ending, seconds=0.0),
    )


def _broken(recording: Recording, break_at: BreakAt) -> Recording:
    """Return the recording with the break, which a shorter body has at its end."""
    ending = _ending(break_at.error)
    if break_at.before_head:
        return without_head(recording, ending)
    find: Callable[[bytes], int | None] = break_at.finder()
    chunks: list[Chunk] = []
    for chunk in recording.chunks:
        size = find(chunk.data)
        if size != 0:
            chunks.append(replace(chunk, data=chunk.data[:size]))
        if size is not None:
            break
    return Recording(recording.header, tuple(chunks), ending)


def _ending(error: Exception | None) -> Ending:
    if error is None:
        return Ending(0)
    try:
        return Ending(0, type(error).__name__, str(error))
    except ValueError:  # an error that no recording has: the connection breaks
        return Ending(0, "ConnectionLost", f"{type(error).__name__}: {error}")
