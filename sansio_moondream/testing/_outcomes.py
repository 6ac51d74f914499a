"""Run a stream to its end, and compare the outcomes of its fragmentations."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final, NamedTuple

from sansio_moondream._errors import MoondreamError
from sansio_moondream._events import Event
from sansio_moondream._headers import HeaderTypes
from sansio_moondream._limits import Limits
from sansio_moondream._requests.base import Request
from sansio_moondream._requests.http import HTTPRequest
from sansio_moondream._states import State
from sansio_moondream._stream import ResponseStream

from ._breaks import EOF
from ._fragmentations import every_fragmentation

EVENT_STREAM: Final = (("content-type", "text/event-stream"),)
"""The headers of a streamed answer."""

_JUNK = b'\r\ndata: {"chunk": "too late"}\n\n\xff'


class Outcome(NamedTuple):
    """The outcome of a stream.

    Attributes:
        events: that were given.
        error: that was raised after them, or None.
        snapshot: the stream's snapshot at the end.
    """

    events: list[Event]
    error: MoondreamError | None
    snapshot: Any

    @property
    def key(self) -> tuple[Any, ...]:
        """What is equal for the same bytes: events, snapshot, and class and fields of the error."""
        error = self.error
        fields = error and (type(error), str(error), vars(error), type(error.__cause__))
        return self.events, fields, self.snapshot


def run(
    request: Request[Any],
    chunks: Iterable[bytes],
    *,
    ending: Exception | None = EOF,
    status_code: int = 200,
    headers: HeaderTypes = EVENT_STREAM,
    limits: Limits | None = None,
    sent: HTTPRequest | None = None,
) -> Outcome:
    """Pass a response to a `ResponseStream`, and take the events after each chunk.

    Args:
        request: of the response.
        chunks: of the body.
        ending: the error for `receive_error`, or `EOF` for `receive_eof`.
        status_code, headers: of the response.
        limits, sent: of the stream.

    Returns:
        The outcome, with the error if it is one of this library. Any other error is raised.
    """
    stream = ResponseStream(request, limits, sent=sent)
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
            stream.receive_error(copy.copy(ending))  # the stream sets its `partial`
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
    sent: HTTPRequest | None = None,
    max_offsets: int | None = None,
) -> Outcome:
    """Run the same body in every fragmentation, and compare the outcomes.

    If the stream ends before the end of the body, data after its end is tried, too. The arguments
    are those of `run`, with the whole body as `data`, and `max_offsets` as in
    `every_fragmentation`.

    Returns:
        The outcome, which is the same for all fragmentations.

    Raises:
        AssertionError: two outcomes differ. The message names the fragmentation.
    """
    options: dict[str, Any] = {
        "status_code": status_code,
        "headers": headers,
        "limits": limits,
        "sent": sent,
    }
    expected = run(request, [data], ending=ending, **options)
    for name, chunks in every_fragmentation(data, max_offsets):
        _compare(name, run(request, chunks, ending=ending, **options), expected)
    if _ends_by_itself(request, data, options):
        for name, chunks in (
            ("trailing data", [data + _JUNK]),
            ("trailing data apart", [data, _JUNK]),
        ):
            _compare(name, run(request, chunks, ending=ending, **options), expected)
    return expected


def _ends_by_itself(request: Request[Any], data: bytes, options: dict[str, Any]) -> bool:
    """Test if the stream completes or fails before the end of the body."""
    stream = ResponseStream(request, options["limits"])
    stream.receive_response(options["status_code"], options["headers"])
    stream.receive_data(data)
    with suppress(MoondreamError):
        deque(stream.events(), maxlen=0)
    return stream.state in (State.COMPLETED, State.FAILED)


def _compare(name: str, seen: Outcome, expected: Outcome) -> None:
    if seen.key != expected.key:
        raise AssertionError(
            f"{name} gives another outcome than whole:\n  {seen.key}\nnot\n  {expected.key}"
        )
