"""What a stream comes to: its events and its end, and whether they are the same however the bytes
are cut.
"""

from __future__ import annotations

import copy
import re
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final, NamedTuple

from sansio_moondream._errors import MoondreamError
from sansio_moondream._events import Event
from sansio_moondream._headers import HeaderTypes
from sansio_moondream._limits import Limits
from sansio_moondream._requests.base import Request
from sansio_moondream._stream import ResponseStream, State

from ._fragmentations import every_fragmentation

EOF: Final = None
"""The ending of a body that ended as HTTP says it should."""

EVENT_STREAM: Final = (("content-type", "text/event-stream"),)
"""The headers of a streamed answer."""

_JUNK = b'\r\ndata: {"chunk": "too late"}\n\n\xff'


class Outcome(NamedTuple):
    """What came out of a stream: all events, and the error that followed them, or None where the
    answer is whole.
    """

    events: list[Event]
    error: MoondreamError | None
    snapshot: Any

    @property
    def key(self) -> tuple[Any, ...]:
        """What has to be the same for the same bytes: events, the error's class, words and fields,
        and what is left.
        """
        error = self.error
        about = (
            None if error is None else (type(error), str(error), vars(error), type(error.__cause__))
        )
        return self.events, about, self.snapshot


class BreakAt(NamedTuple):
    """A plan to break a stream: after so many bytes of the body, with that error; `EOF` ends it
    there as if it were whole.
    """

    after_bytes: int
    error: Exception | None = EOF

    def apply(self, data: bytes) -> tuple[bytes, Exception | None]:
        """What of the body still comes, and how it ends: `data` and `ending` for `run` and
        `check_fragmentations`.
        """
        return data[: self.after_bytes], self.error


def record_ends(data: bytes) -> list[int]:
    """The offsets just behind each record's blank line, for streams with LF line ends: a `BreakAt`
    there comes between events.
    """
    return [blank.end() for blank in re.finditer(rb"\n\n+", data)]


def run(
    request: Request[Any],
    chunks: Iterable[bytes],
    *,
    ending: Exception | None = EOF,
    status_code: int = 200,
    headers: HeaderTypes = EVENT_STREAM,
    limits: Limits | None = None,
) -> Outcome:
    """Feed a response to a `ResponseStream`, taking the events after each chunk, to its end.

    `ending` is given to `receive_error`, or `EOF`. Errors of this library are in the outcome; any
    other comes out."""
    stream = ResponseStream(request, limits)
    events: list[Event] = []
    error: MoondreamError | None = None
    try:
        stream.receive_response(status_code, headers)
        events += stream.events()
        for chunk in chunks:
            stream.receive_data(chunk)
            events += stream.events()
        if ending is None:
            stream.receive_eof()
        else:
            stream.receive_error(
                copy.copy(ending)
            )  # which gets its partial: the caller's stays as it is
        events.extend(stream.events())
    except MoondreamError as caught:
        error = caught
    return Outcome(events, error, stream.snapshot)


def check_fragmentations(
    request: Request[Any],
    data: bytes,
    *,
    ending: Exception | None = EOF,
    status_code: int = 200,
    headers: HeaderTypes = EVENT_STREAM,
    limits: Limits | None = None,
) -> Outcome:
    """Feed the same body in every fragmentation, and where it comes to an end by itself with junk
    behind it too.

    Gives the one outcome; raises AssertionError that names the first fragmentation with another.
    """
    heading: dict[str, Any] = {"status_code": status_code, "headers": headers, "limits": limits}
    expected = run(request, [data], ending=ending, **heading)
    for name, chunks in every_fragmentation(data):
        _compare(name, run(request, chunks, ending=ending, **heading), expected)
    if _ends_by_itself(request, data, heading):
        for name, chunks in (
            ("trailing data", [data + _JUNK]),
            ("trailing data apart", [data, _JUNK]),
        ):
            _compare(name, run(request, chunks, ending=ending, **heading), expected)
    return expected


def _ends_by_itself(request: Request[Any], data: bytes, heading: dict[str, Any]) -> bool:
    """Whether the answer or its fault is there before the end of the body is."""
    stream = ResponseStream(request, heading["limits"])
    stream.receive_response(heading["status_code"], heading["headers"])
    stream.receive_data(data)
    with suppress(MoondreamError):
        deque(stream.events(), maxlen=0)
    return stream.state in (State.COMPLETED, State.FAILED)


def _compare(name: str, seen: Outcome, expected: Outcome) -> None:
    if seen.key != expected.key:
        raise AssertionError(
            f"{name} gives another outcome than whole:\n  {seen.key}\nnot\n  {expected.key}"
        )
