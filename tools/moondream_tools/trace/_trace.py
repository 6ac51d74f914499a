"""A trace, and what it gains while its exchange is under way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, cast

import msgspec
from msgspec.structs import asdict, replace

from moondream_tools._service import known_skill
from sansio_moondream import State
from sansio_moondream._forms import plain
from sansio_moondream._unicode import well_formed
from sansio_moondream.recording import Recording, RecordingHeader

from ._builder import TraceBuilder
from ._text import well_formed_pairs
from ._values import (
    VERSION,
    Content,
    TraceDeadlines,
    TraceRequest,
    TraceState,
    TraceTimes,
    TraceUpdate,
)


class Trace(Content, frozen=True, tag_field="trace", tag=VERSION):
    """An exchange, from chunks to events.

    Attributes:
        name: of the recording.
        skill: of the request, or None if its path names none. Then there are no events.
        request, response, times, deadlines, ending: see their classes. `response` is None if no
            head came; `deadlines` is None if the recording does not know them; `ending` is None
            while the exchange is under way.
        body: the bytes of the body.
        inflated: the same, inflated; None if the body is not compressed. In JSON it is `decoded`.
        chunks, records, messages, events, states: see their classes.
        error: the JSON form of the error that the answer ended with, or None.
        result: the JSON form of the result, partial if the answer is not complete. None without an
            answer, and before the end of the answer.
        size: of the picture in pixels, if the recording knows it: width and height.
    """

    name: str
    skill: str | None
    request: TraceRequest
    deadlines: TraceDeadlines | None
    size: tuple[int, int] | None

    @classmethod
    def of(cls, recording: Recording, name: str = "") -> Self:
        """Return the trace of `recording`, which is called `name`."""
        header = recording.header
        builder = TraceBuilder(header)
        at = header.seconds
        if header.status_code is not None:
            builder.receive_response(
                header.status_code, header.response_headers, at, connected=header.connected
            )
        for chunk in recording.chunks:
            at += chunk.seconds
            builder.receive_data(chunk.data, at)
        builder.receive_ending(recording.ending, at + recording.ending.seconds)
        return cls.begin(header, name).updated(builder.take_update())

    @classmethod
    def begin(cls, header: RecordingHeader, name: str = "") -> Self:
        """Return the trace of an exchange that has just begun, and is called `name`.

        `header` has its request. Add the updates of a `TraceBuilder` to it.
        """
        skill, timeouts = known_skill(header.path), header.timeouts
        start = TraceState(0.0, None, State.AWAITING_RESPONSE.name, None)
        return cls(
            name=well_formed(name),
            skill=skill,
            request=TraceRequest(
                well_formed(header.method),
                well_formed(header.path),
                well_formed_pairs(header.request_headers),
                plain(well_formed(header.request_body)),
            ),
            response=None,
            times=TraceTimes(header.connected, None, None),
            deadlines=None if timeouts is None else TraceDeadlines(**asdict(timeouts)),
            ending=None,
            body=b"",
            inflated=None,
            chunks=(),
            records=(),
            messages=(),
            events=(),
            states=() if skill is None else (start,),
            error=None,
            result=None,
            size=_size(header.request_body),
        )

    def __repr__(self) -> str:
        status = "no head" if self.response is None else self.response.status_code
        ending = "under way" if self.ending is None else self.ending.fault
        sizes = f"{len(self.chunks):,} chunks, {len(self.events):,} events"
        return f"<Trace {self.request.method} {self.request.path}: {status}, {sizes}, {ending}>"

    def updated(self, update: TraceUpdate) -> Self:
        """Return the trace with what `update` adds."""
        body = self.body + update.body
        inflated = None
        if self.inflated is not None or update.inflated is not None:
            inflated = self.decoded + update.decoded
        return replace(
            self,
            response=update.response,
            times=update.times,
            ending=update.ending,
            body=body,
            inflated=None if inflated == body else inflated,
            chunks=self.chunks + update.chunks,
            records=self.records + update.records,
            messages=self.messages + update.messages,
            events=self.events + update.events,
            states=self.states + update.states,
            error=update.error,
            result=update.result,
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make a trace of `data`, its JSON form. Fields that are not known are ignored.

        Raises:
            ValueError: a field is missing or of another type, or the version is another.
        """
        return msgspec.convert(data, cls)


def _size(body: Any) -> tuple[int, int] | None:
    """Return the size of the first picture in the recorded body of a request."""
    match body:
        case {"sha256": _, "width": width, "height": height} if _are_pixels(width, height):
            return width, height
        case dict():
            inner = list(cast("dict[str, Any]", body).values())
        case list():
            inner = cast("list[Any]", body)
        case _:
            return None
    return next((size for item in inner if (size := _size(item)) is not None), None)


def _are_pixels(*numbers: Any) -> bool:
    return all(type(number) is int and 0 < number < 1e9 for number in numbers)
