"""The whole: the expected outcome of a response."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple, NoReturn

import sansio_moondream as sm

from .builder import Builder, Skill
from .chat import ChatBuilder
from .errors import error_class, has_words, is_error
from .fields import Fault, NoAnswer
from .inflate import inflate
from .json_text import TooLarge, exceeds, is_whole_object, read_json, scan
from .records import AT_END, BYTE_ORDER_MARK, Record, records_of

Ending = type[sm.MoondreamError] | None
Step = tuple[int, Callable[[], list[sm.Event]]]
"""A moment, as a number of bytes, and what gives the events of it or raises a Fault."""


class Expected(NamedTuple):
    """The expected outcome of a response.

    Attributes:
        events: all of them.
        due: for each event, after how many bytes of the body it has to be ready.
        error: the class of the error that ends it, or None if the answer is complete.
        error_due: after how many bytes the error has to be ready.
        snapshot: the last one; None for an error status.
        body: the inflated body.
    """

    events: list[sm.Event]
    due: list[int]
    error: Ending
    error_due: int
    snapshot: sm.Result | None
    body: bytes


def expect(
    skill: Skill,
    status_code: int,
    headers: sm.Headers,
    wire: bytes,
    ending: Ending = None,
    limits: sm.Limits | None = None,
) -> Expected:
    """Compute the expected outcome of a response.

    Args:
        skill: of the request.
        status_code: at least 200.
        headers: of the response.
        wire: the body as it was sent.
        ending: the error that broke the transport, or None for a proper end.
        limits: of the stream.
    """
    limits = limits or sm.Limits()
    builder = (ChatBuilder if skill == "chat" else Builder)(skill, status_code, headers, limits)
    codings = [coding.strip().lower() for coding in headers.get("content-encoding", "").split(",")]
    none = ("", "identity", "none", "utf-8", "utf8")
    coding = "+".join(coding.removeprefix("x-") for coding in codings if coding not in none)
    body = wire
    if coding in ("gzip", "deflate"):
        body, fault = inflate(coding, wire, limits.max_inflate_ratio)
        ending = fault or ending
    steps = _steps(builder, headers, coding, body, ending)
    events: list[sm.Event] = []
    due: list[int] = []
    error: Ending = None
    error_due = AT_END
    for moment, step in steps:
        try:
            new = step()
        except Fault as raised:
            error, error_due = raised.error, moment
            break
        events += new
        due += [moment] * len(new)
        if builder.result is not None:
            break
    snapshot = None if status_code >= 300 else builder.snapshot()
    return Expected(events, due, error, error_due, snapshot, body)


def _steps(
    builder: Builder, headers: sm.Headers, coding: str, body: bytes, ending: Ending
) -> Iterator[Step]:
    limits, status_code = builder.limits, builder.status_code
    fields = [value for name, value in headers.multi_items() if name == "content-type"]
    media_types = {field.partition(";")[0].strip().lower() for field in fields} - {""}
    media_type = media_types.pop() if len(media_types) == 1 else "?" if media_types else ""
    if status_code >= 300:
        is_cut = len(body) > limits.max_error_body_bytes
        due = limits.max_error_body_bytes + 1 if is_cut else AT_END
        yield due, partial(_fail, error_class(status_code, None))
    elif coding not in ("", "gzip", "deflate") or status_code in (204, 205):
        yield 0, partial(_fail, sm.RemoteProtocolError)
    elif media_type == "text/event-stream":
        yield from _undecided_body(builder, body, ending, labelled=True)
    elif media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        yield from _json_body(builder, body, ending)
    elif media_type in ("", "application/octet-stream"):
        yield from _undecided_body(builder, body, ending, labelled=False)
    else:
        yield 0, partial(_fail, sm.RemoteProtocolError)


def _undecided_body(
    builder: Builder, body: bytes, ending: Ending, labelled: bool
) -> Iterator[Step]:
    max_bytes = builder.limits.max_record_bytes
    nothing: Iterator[Step] = iter([(AT_END, partial(_fail, ending or sm.RemoteProtocolError))])
    if labelled:
        nothing = _event_stream(builder, body, ending)
    deciding = body.removeprefix(BYTE_ORDER_MARK).lstrip(b" \t\r\n")
    if body in (BYTE_ORDER_MARK[:1], BYTE_ORDER_MARK[:2]):
        yield from nothing
    elif len(body) - len(deciding) > max_bytes:
        # Before the mark is whole, it may be anything.
        shortest = len(BYTE_ORDER_MARK) if body.startswith(BYTE_ORDER_MARK) else 0
        yield max(max_bytes + 1, shortest), partial(_fail, sm.LimitExceeded)
    elif not deciding:
        yield from nothing
    elif deciding.startswith(b"{"):
        yield from _json_body(builder, deciding, ending, start=len(body) - len(deciding))
    else:
        yield from _event_stream(builder, body, ending)


def _event_stream(builder: Builder, body: bytes, ending: Ending) -> Iterator[Step]:
    records = records_of(body, builder.limits.max_record_bytes, builder.limits.max_record_lines)
    for record in records.whole:
        yield record.due, partial(_read, builder, record)
    if records.too_long is not None:
        yield records.too_long, partial(_fail, sm.LimitExceeded)
    unfinished = records.unfinished
    last = records.last
    if last and (_is_done(builder, last) or is_whole_object(last.data, builder.limits)):
        yield AT_END, partial(_read, builder, last)
        unfinished = False
    if ending is None and not unfinished:
        yield AT_END, builder.end_of_stream
    yield AT_END, partial(_fail, ending or sm.IncompleteStream)


def _json_body(builder: Builder, body: bytes, ending: Ending, start: int = 0) -> Iterator[Step]:
    limits = builder.limits
    data = body.removeprefix(BYTE_ORDER_MARK)
    if len(body) > limits.max_record_bytes:
        yield start + limits.max_record_bytes + 1, partial(_fail, sm.LimitExceeded)
    elif ending is not None and issubclass(ending, sm.RemoteProtocolError):
        # The compression or the framing is broken, so the bytes may be wrong.
        yield AT_END, partial(_fail, ending)
    elif not data.strip():
        yield AT_END, partial(_fail, ending or sm.RemoteProtocolError)
    elif exceeds(data, limits):
        yield AT_END, partial(_fail, sm.LimitExceeded)
    elif not is_whole_object(data, limits):
        cut = sm.IncompleteStream if scan(data).unclosed else sm.RemoteProtocolError
        yield AT_END, partial(_fail, ending or cut)
    else:
        yield AT_END, partial(_read, builder, Record(b"", data, AT_END), is_answer=True)


def _fail(error: type[sm.MoondreamError]) -> NoReturn:
    raise Fault(error)


def _read(builder: Builder, record: Record, is_answer: bool = False) -> list[sm.Event]:
    """Read the data of one record, or a whole JSON answer."""
    if not record.data.strip(b" \t\r\n"):
        return []
    is_error_record = record.name == b"error"
    if not is_answer and not is_error_record and _is_done(builder, record):
        events = builder.end_of_stream()
        if builder.result is None:
            raise Fault(sm.IncompleteStream)
        return events
    try:
        value = read_json(record.data, builder.limits)
    except TooLarge:
        raise Fault(sm.APIError if is_error_record else sm.LimitExceeded) from None
    except ValueError:
        raise Fault(sm.APIError if is_error_record else sm.RemoteProtocolError) from None
    if is_error_record or (isinstance(value, dict) and is_error(value)):
        raise Fault(error_class(builder.status_code, value))
    if not isinstance(value, dict):
        raise Fault(sm.RemoteProtocolError)
    if not is_answer:
        return builder.message(value)
    try:
        return builder.answer(value)
    except NoAnswer:
        if has_words(value):
            raise Fault(error_class(builder.status_code, value)) from None
        raise


def _is_done(builder: Builder, record: Record) -> bool:
    return builder.skill == "chat" and record.data.strip(b" \t\r\n") == b"[DONE]"
