"""What is checked, without a fuzzer: `check_records`, `check_stream` and `check_socket` make a case
of any bytes and raise if it fails.

1. The first bytes of `data` choose the circumstances (limits, fragmentation, ending, ...); the rest
   is the body, or chooses its chunks (see `grammar`). Any bytes are a case.
2. Each case is decoded whole, byte by byte, a record a chunk, and in a fragmentation of the
   fuzzer's choice, and has to come to the same each time: events, class, words and fields of the
   error, snapshot.
3. It has to be what `reference` (for sockets, `http_reference`) says, which shares no code with the
   package.
4. Everything has to be out as soon as its last byte is in.
5. Nothing but the documented errors comes out, and after one nothing but that one.
6. In most cases the decoder's windows are made smaller: so their borders, and the fast lane, which
   is only open for limits of two windows and more, are reached with a few bytes.
"""

from __future__ import annotations

import copy
import random
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, Final, NamedTuple, NoReturn

import msgspec

from fuzz import grammar, http_reference, reference
from fuzz.grammar import Source
from fuzz.reference import AT_END
from sansio_moondream import (
    FINISHED,
    NEED_DATA,
    CaptionRequest,
    ChatMessage,
    ChatRequest,
    Completed,
    ConnectionLost,
    DetectRequest,
    Endpoint,
    Event,
    Headers,
    HTTP11Exchange,
    HTTPRequest,
    IdleTimeout,
    LimitExceeded,
    Limits,
    LocalProtocolError,
    MoondreamError,
    PathChunk,
    PointRequest,
    QueryRequest,
    ReasoningDelta,
    RemoteProtocolError,
    Request,
    ResponseHead,
    ResponseStream,
    SegmentRequest,
    Signal,
    SocketStream,
    State,
    TextDelta,
    _answers,
    _bodies,
    _http11,
    _inflate,
    _records,
    _stream,
    encode_image,
)

_IMAGE: Final = encode_image(b"\x89PNG\r\n\x1a\n")
_REQUESTS: Final[dict[reference.Skill, Request[Any]]] = {
    "query": QueryRequest(question="?"),
    "caption": CaptionRequest(image=_IMAGE),
    "segment": SegmentRequest(image=_IMAGE, object="moon"),
    "detect": DetectRequest(image=_IMAGE, object="moon"),
    "point": PointRequest(image=_IMAGE, object="moon"),
    "chat": ChatRequest(messages=[ChatMessage("user", "?")]),
}
_MANY: Final = 640  # chunks of the finest fragmentation
NEVER: Final = AT_END + 1


class Failed(AssertionError):
    """A case that did not come to what it should."""


def _check(right: object, what: str, *about: object) -> None:
    if not right:
        raise Failed("\n  ".join([what, *(repr(one)[:4000] for one in about)]))


# --- Fragmentations

Chunks = list[bytes]


def _cut_at(data: bytes, offsets: Sequence[int]) -> Chunks:
    inside = sorted({offset for offset in offsets if 0 < offset < len(data)})
    return [data[start:end] for start, end in pairwise([0, *inside, len(data)])]


def _cut_fine(data: bytes) -> Chunks:
    """Byte by byte, but for long bodies."""
    return _cut_at(data, range(0, len(data), 1 + len(data) // _MANY))


def _cut_records(data: bytes) -> Chunks:
    """A record a chunk, where records end in LF LF: how servers flush."""
    *records, rest = data.split(b"\n\n")
    return [*(record + b"\n\n" for record in records), rest]


def _cut_as_chosen(data: bytes, style: int, seed: int) -> Chunks:
    rng = random.Random(seed)
    match style % 8:
        case 0:  # in front of data lines, whether a record began before or not
            return _cut_at(
                data,
                [
                    at
                    for at in range(len(data))
                    if data.startswith(b"data: ", at) and rng.random() < 0.8
                ],
            )
        case 1:
            return _cut_at(data, [seed * (len(data) + 1) >> 16])
        case 2:
            return _cut_at(data, range(0, len(data), 1 + seed % 64))
        case 3:  # around what ends lines, where most of the state is
            return _cut_at(
                data,
                [
                    at + rng.choice((0, 1))
                    for at, byte in enumerate(data)
                    if byte in b"\r\n" and rng.random() < 0.7
                ],
            )
        case 4:
            return _cut_at(data, [at for at in range(len(data)) if rng.random() < 0.3])
        case 5:  # with empty chunks
            return [
                b"",
                *(
                    some
                    for chunk in _cut_at(data, [rng.randrange(len(data) + 1) for _ in range(3)])
                    for some in (chunk, b"")
                ),
            ]
        case 6:
            return _cut_at(data, [rng.randrange(len(data) + 1) for _ in range(1 + seed % 7)])
        case _:  # records, now and then two in a chunk, or one in two
            ends = [at + 2 for at in range(len(data)) if data.startswith(b"\n\n", at)]
            return _cut_at(
                data,
                [end - rng.choice((0, 0, 0, 0, 1, 2, 3)) for end in ends if rng.random() < 0.8],
            )


# --- Records


class RecordsCase(NamedTuple):
    max_bytes: int
    body: bytes
    style: int
    seed: int


def read_records_case(data: bytes) -> RecordsCase:
    """The case that `data` stands for:

    6 bytes of circumstances, then the body or choices for it.
    """
    source = Source(data)
    mode, limit_kind, limit, style, high, low = (source.byte() for _ in range(6))
    body = source.rest() if mode % 4 == 1 else grammar.body(source, "query")
    return RecordsCase(
        _record_limit(limit_kind, limit, body, WINDOWS[-1]), body, style, high * 256 + low
    )


def check_records(data: bytes) -> None:
    """The record layer, against the reference and against other fragmentations of the same bytes."""
    max_bytes, body, style, seed = read_records_case(data)
    expected = reference.records_of(body, max_bytes)
    for chunks in ([body], _cut_fine(body), _cut_as_chosen(body, style, seed)):
        _check_fragmentation(max_bytes, chunks, expected)


def _check_fragmentation(max_bytes: int, chunks: Chunks, expected: reference.Records) -> None:
    parser = _records.RecordParser(max_bytes)
    seen: list[tuple[bytes, bytes]] = []
    wanted = [(record.name, record.data) for record in expected.whole]
    due = [record.due for record in expected.whole]
    too_long = NEVER if expected.too_long is None else expected.too_long
    fed = 0

    def fail(what: str) -> NoReturn:
        when = "at the end" if fed == AT_END else f"after {fed} bytes"
        raise Failed(
            f"{what} {when}\n  {seen=}\n  {expected=}\n  {max_bytes=}\n  {b''.join(chunks)!r}\n  {chunks=}"
        )

    error: LimitExceeded | None = None
    try:
        for chunk in filter(None, chunks):
            fed += len(chunk)
            for record in parser.feed(chunk):
                seen.append((record.name, record.data))
            if too_long <= fed:
                fail("a limit was not noticed")
            if len(seen) != bisect_right(due, fed):
                fail("more or fewer records are out")
            if parser.between_records and fed not in expected.between:
                fail("not between records")
        fed = AT_END
        last = parser.end()
    except LimitExceeded as caught:
        error, last = caught, None
    if (too_long <= fed) != (error is not None):
        fail("a limit was not noticed, or too early")
    if seen != wanted:
        fail("other records")
    if error is None and (None if last is None else (last.name, last.data)) != (
        expected.last and expected.last[:2]
    ):
        fail(f"{last!r} is left")


def _record_limit(kind: int, number: int, body: bytes, window: int) -> int:
    """Mostly a limit far off; else one just at what the body has, one around that at which the fast
    lane opens, or any small one.
    """
    if kind < 160:
        return Limits().max_record_bytes
    match kind % 4:
        case 0 | 1:
            records = reference.records_of(body, len(body) + 1).whole
            sizes = (
                [len(line.text) for line in reference.lines_of(body)]
                if kind % 4
                else [len(record.data) for record in records]
            )
            sizes = sorted({1, *sizes})
            return max(1, sizes[-1 - (number >> 1) % len(sizes)] - number % 2)
        case 2:
            return 2 * window + number % 3 - 1
        case _:
            return 1 + number


# --- Streams


class Case(NamedTuple):
    skill: reference.Skill
    kind: reference.Kind
    status: int
    headers: tuple[tuple[str, str], ...]
    limits: Limits
    window: int
    ending: Exception | None
    wire: bytes  # the body as it goes into the machine
    body: bytes  # ... and inflated
    broken: type[MoondreamError] | None  # what inflating it came to
    style: int
    seed: int
    pulling: int


CIRCUMSTANCES: Final = 17  # bytes that choose them
SKILLS: Final[tuple[reference.Skill, ...]] = (
    "query",
    "segment",
    "caption",
    "query",
    "segment",
    "detect",
    "point",
    "chat",
)
WINDOWS: Final = (16, 64, 256, 32 * 1024)
STATUSES: Final = (201, 307, 400, 401, 402, 403, 404, 413, 418, 422, 429, 500, 503)
ENDINGS: Final = (
    None,
    ConnectionLost("lost"),
    OSError("broken"),
    IdleTimeout("idle"),
    RemoteProtocolError("bad framing"),
)


def read_case(data: bytes) -> Case:
    """The case that `data` stands for: bytes of circumstances, then the body or choices for it."""
    source = Source(data)
    (
        mode,
        skill,
        kind,
        status,
        coding,
        ending,
        damage,
        window,
        *limits,
        style,
        high,
        low,
        pulling,
    ) = (source.byte() for _ in range(CIRCUMSTANCES))
    case_skill = SKILLS[skill % len(SKILLS)]
    case_kind: reference.Kind = (
        "json" if kind % 16 == 15 else "unnamed" if kind % 16 >= 13 else "events"
    )
    if mode % 4 == 1:
        plain = source.rest()
    elif case_kind == "json" or (case_kind == "unnamed" and mode & 2):
        plain = grammar.json_body(source, case_skill)
    else:
        plain = grammar.body(source, case_skill)
    announced, sent = _compress(coding, plain)
    if (
        announced is not None and ending & 128
    ):  # damage it on the way: cut it off, insert a chunk, or change a byte
        at = damage % (len(sent) + 1)
        flaw = bytes([damage])
        sent = sent[:at] if ending & 64 else [*sent[:at], flaw, *sent[at:]]
        if ending & 96 == 32:
            whole = b"".join(sent)
            at = damage * (len(whole) + 1) >> 8
            sent = [whole[:at], flaw, whole[at + 1 :]]
    wire = b"".join(sent)
    block, slack = _inflating(WINDOWS[window % 4])
    ratio = 1 + limits[4] % 4 if limits[4] >= 128 else Limits().max_inflate_ratio
    body, broken = (
        (wire, None)
        if announced is None
        else reference.inflate(announced, wire, ratio, slack, block)
    )
    return Case(
        skill=case_skill,
        kind=case_kind,
        status=200 if status < 240 else STATUSES[status % len(STATUSES)],
        headers=_headers(case_kind, kind, announced),
        limits=_limits(limits, body, WINDOWS[window % 4], case_skill, ratio),
        window=WINDOWS[window % 4],
        ending=ENDINGS[ending % 8 % len(ENDINGS)],
        wire=wire,
        body=body,
        broken=broken,
        style=style,
        seed=high * 256 + low,
        pulling=pulling,
    )


def _headers(kind: reference.Kind, choice: int, coding: str | None) -> tuple[tuple[str, str], ...]:
    content_type = {
        "events": ("text/event-stream", "Text/Event-Stream; charset=iso-8859-1"),
        "json": ("application/json", "application/problem+json; charset=utf-8"),
        "unnamed": ("application/octet-stream", ""),
    }[kind][choice >> 4 & 1]
    headers = [
        ("Content-Type", content_type),
        ("Content-Encoding", coding or "identity"),
        ("X-Request-Id", "h1"),
    ]
    return tuple(headers[: 2 + (choice >> 5 & 1)])


def _compress(choice: int, plain: bytes) -> tuple[str | None, Chunks]:
    """The content coding that is announced, and the chunks that are sent."""
    how = choice % 16
    if how < 10:
        return None, [plain]
    coding, wbits = ("gzip", 31) if how % 2 else ("deflate", 15)
    if how < 14:  # in one go, or flushed for each record
        engine = zlib.compressobj(wbits=wbits)
        chunks = [
            engine.compress(chunk) + engine.flush(zlib.Z_SYNC_FLUSH)
            for chunk in ([plain] if how < 12 else _cut_records(plain))
        ]
        return coding, [*chunks, engine.flush()]
    match choice // 16 % 4:
        case 0:  # raw deflate, which is refused
            return coding, [zlib.compress(plain, wbits=-15)]
        case 1 if how == 15:  # several gzip members, and junk
            half = len(plain) // 2
            return coding, [
                zlib.compress(plain[:half], wbits=31),
                zlib.compress(plain[half:], wbits=31),
                b"junk",
            ]
        case _:  # inflated already by whoever stands in between
            return coding, [plain]


def _limits(
    choices: Sequence[int], body: bytes, window: int, skill: reference.Skill, ratio: int
) -> Limits:
    kind, record, text, depth, error = choices
    limits: dict[str, int] = {"max_record_bytes": _record_limit(kind, record, body, window)}
    if text >= 224:
        limits["max_text_bytes"] = 1 + (text - 224) * 4
    elif text >= 160:  # just what the text has, or one less
        events = [
            event
            for event in reference.expect(skill, body).events
            if isinstance(event, TextDelta | PathChunk | ReasoningDelta)
        ]
        thoughts = [
            event for event in events if isinstance(event, ReasoningDelta)
        ]  # which have the limit for themselves
        texts = (
            thoughts
            if thoughts and text % 4 > 1
            else [event for event in events if event not in thoughts]
        )
        size = sum(
            len((event.data if isinstance(event, PathChunk) else event.text).encode())
            for event in texts
        )
        limits["max_text_bytes"] = max(1, size - text % 2)
    if depth >= 224:
        limits["max_json_depth"] = depth - 223
    elif depth >= 160:  # just what a message has, or one less
        nesting = sorted(
            {
                reference.scan(record.data)[0]
                for record in reference.records_of(body, len(body) + 1).whole
            }
            | {1}
        )
        limits["max_json_depth"] = max(1, nesting[(depth >> 1) % len(nesting)] - depth % 2)
    if error >= 128:
        limits["max_error_body_bytes"] = error - 127
    limits["max_inflate_ratio"] = ratio
    return Limits(**limits)


class Outcome(NamedTuple):
    events: list[Event]
    error: MoondreamError | None
    snapshot: Any
    progress: list[
        tuple[int, int, bool]
    ]  # after so many bytes, so many events were out, and the error or not

    @property
    def key(self) -> tuple[Any, ...]:
        error = self.error
        return (
            self.events,
            type(error),
            str(error),
            vars(error) if error else None,
            type(error.__cause__ if error else None),
            self.snapshot,
        )


def check_stream(data: bytes) -> None:
    """`ResponseStream`, against the reference and against other fragmentations of the same bytes."""
    case = read_case(data)
    with _windows(case.window):
        whole = _run(case, [case.wire], 0)
        others = {
            "byte by byte": _run(case, _cut_fine(case.wire), case.pulling >> 4),
            "a record a chunk": _run(case, _cut_records(case.wire), 0),
            "cut as chosen": _run(
                case, _cut_as_chosen(case.wire, case.style, case.seed), case.pulling
            ),
        }
    for name, other in others.items():
        _check(
            other.key == whole.key,
            f"{name} it comes to something else than whole",
            other.key,
            whole.key,
            case,
        )
    _check_encodable(whole, case)
    _check_reference(case, whole, others)


def _check_reference(case: Case, whole: Outcome, others: dict[str, Outcome]) -> None:
    ending = case.broken
    if ending is None and case.ending is not None:
        ending = type(case.ending) if isinstance(case.ending, MoondreamError) else ConnectionLost
    expected = reference.expect(
        case.skill,
        case.body,
        ending=ending,
        limits=case.limits,
        kind=case.kind,
        status=case.status,
        headers=Headers(case.headers),
    )
    _check(
        whole.events == expected.events,
        "other events than the reference has",
        whole.events,
        expected,
        case,
    )
    _check(
        (type(whole.error) if whole.error else None) == expected.error,
        "another end than the reference has",
        whole.error,
        expected,
        case,
    )
    _check(
        whole.snapshot == expected.partial,
        "another snapshot than the reference has",
        whole.snapshot,
        expected,
        case,
    )
    if case.wire is not case.body:
        return  # when compressed bytes come out is zlib's affair
    for name, other in others.items():
        for fed, events, failed in other.progress:
            about = (whole.events, expected, case)
            if events != bisect_right(expected.due, fed):
                _check(
                    False,
                    f"{name}, {events} events are out after {fed} bytes, not {bisect_right(expected.due, fed)}",
                    *about,
                )
            if failed != (expected.error is not None and expected.error_due <= fed):
                _check(
                    False,
                    f"{name}, the error is {'' if failed else 'not '}out after {fed} bytes",
                    *about,
                )


def _run(case: Case, chunks: Chunks, pulling: int) -> Outcome:
    """Feed the response, taking events in one of several ways, to its end and beyond; all that must
    hold on the way is checked.
    """
    stream = ResponseStream(_REQUESTS[case.skill], case.limits)
    puller = _Puller(stream, pulling, case)
    progress: list[tuple[int, int, bool]] = []
    stream.receive_response(103)
    stream.receive_response(case.status, case.headers)
    fed, late = 0, 9
    for chunk in chunks:
        stream.receive_data(chunk)
        fed += len(chunk)
        if puller.pull():
            progress.append((fed, len(puller.events), puller.error is not None))
        if stream.state in (State.COMPLETED, State.FAILED):
            late -= 1
            if not late:
                break  # nothing that comes now matters: a few chunks prove it
    if case.ending is None:
        stream.receive_eof()
    else:
        stream.receive_error(copy.copy(case.ending))
    puller.drain()
    puller.check_end()
    return Outcome(puller.events, puller.error, stream.snapshot, progress)


class _Puller:
    """Takes events out of a stream."""

    def __init__(self, stream: ResponseStream[Any], pulling: int, case: Case) -> None:
        self.stream = stream
        self.events: list[Event] = []
        self.error: MoondreamError | None = None
        self._pulling = pulling % 8
        self._rng = random.Random(pulling)
        self._case = case

    def pull(self) -> bool:
        """Take some events; whether all that were ready are out."""
        match self._pulling:
            case 3:
                while True:
                    try:
                        event = self.stream.next_event()
                    except MoondreamError as error:
                        self._failed(error)
                        return True
                    if isinstance(event, Signal):
                        _check(
                            (event is FINISHED) == (self.stream.state is State.COMPLETED),
                            "FINISHED at the wrong time",
                            event,
                            self._case,
                        )
                        return True
                    self.events.append(event)
            case 4:  # now and then
                if self._rng.random() < 0.7:
                    return False
            case 5:  # leave early
                for _ in range(self._rng.randrange(3)):
                    self._take(self._rng.randrange(4))
                return False
            case 6:  # look around first
                self._look_around()
            case _:
                pass
        self.drain()
        return True

    def drain(self) -> None:
        self._take(-1)

    def check_end(self) -> None:
        stream, case = self.stream, self._case
        for _ in range(2):
            if self.error is None:
                _check(
                    stream.state is State.COMPLETED,
                    "neither completed nor failed at the end",
                    stream.state,
                    self.events,
                    case,
                )
                completed = [event for event in self.events if isinstance(event, Completed)]
                _check(
                    self.events[-1:] == completed,
                    "no Completed, or not as the last event",
                    self.events,
                    case,
                )
                _check(
                    completed[0].result == stream.result() == stream.snapshot,
                    "result and snapshot differ",
                    stream.snapshot,
                    case,
                )
                _check(stream.next_event() is FINISHED, "something after the end", case)
                _check([*stream.events()] == [], "something after the end", case)
            else:
                _check(
                    stream.state is State.FAILED,
                    "an error, but not failed",
                    stream.state,
                    self.error,
                    case,
                )
                _check(
                    self.error.partial == stream.snapshot,
                    "the partial is not the snapshot",
                    self.error.partial,
                    stream.snapshot,
                    case,
                )
                again: tuple[Callable[[], object], ...] = (
                    stream.next_event,
                    stream.result,
                    self.drain,
                )
                for pull in again:
                    try:
                        pull()
                    except MoondreamError as error:
                        self._failed(error)
            for call, *values in ((stream.receive_data, b"late"), (stream.receive_response, 200)):
                try:
                    call(*values)
                except LocalProtocolError:
                    continue
                raise Failed("a call out of order went through")
            stream.receive_eof()
            stream.receive_error(OSError("late"))

    def _take(self, number: int) -> None:
        """Take so many events, and leave early then; all, and the error, if `number` is negative."""
        if number == 0:
            return
        try:
            for event in self.stream.events():
                _check(self.error is None, "an event after an error", event, self.error, self._case)
                self.events.append(event)
                number -= 1
                if number == 0:
                    return
        except MoondreamError as error:
            self._failed(error)

    def _failed(self, error: MoondreamError) -> None:
        _check(
            not isinstance(error, LocalProtocolError),
            "a call in order is said to be out of order",
            error,
            self._case,
        )
        _check(
            self.error is None or error is self.error,
            "another error after an error",
            error,
            self.error,
            self._case,
        )
        self.error = error

    def _look_around(self) -> None:
        stream = self.stream
        before = stream.snapshot
        try:
            result = stream.result()
        except LocalProtocolError:
            _check(
                stream.state not in (State.COMPLETED, State.FAILED),
                "no result after the end",
                stream.state,
                self._case,
            )
        except MoondreamError as error:
            self._expect_later(error)
        else:
            _check(
                result == stream.snapshot and stream.state is State.COMPLETED,
                "a result before the end",
                before,
                self._case,
            )

    def _expect_later(self, error: MoondreamError) -> None:
        """`result()` may know of the error before the events in front of it were taken."""
        _check(self.stream.state is State.FAILED, "an error, but not failed", error, self._case)
        self.drain()
        _check(
            self.error is error, "another error than result() raised", self.error, error, self._case
        )


def _check_encodable(outcome: Outcome, case: Case) -> None:
    """Half a character must never come out: nobody could print or store it."""
    error = outcome.error
    try:
        msgspec.json.encode(
            [
                outcome.events,
                outcome.snapshot,
                str(error),
                [str(value) for value in vars(error).values()] if error else [],
            ],
            enc_hook=dict,
        )
    except UnicodeEncodeError as caught:
        raise Failed(f"half a character came out: {outcome.key!r}\n  {case!r}") from caught


def _inflating(window: int) -> tuple[int, int]:
    """How often the ratio of inflating is looked at, and how much is always allowed; both in bytes."""
    return (16, 64) if window < WINDOWS[-2] else (_inflate._BLOCK, _inflate._SLACK)


@contextmanager
def _windows(size: int) -> Iterator[None]:
    """Make the decoder's windows smaller."""
    smaller: list[tuple[Any, str, int]] = [(_bodies, "WINDOW", size), (_stream, "WINDOW", size)]
    if size < WINDOWS[-1]:
        smaller.append((_answers, "_PORTION", 8 * size))
    block, slack = _inflating(size)
    smaller += [(_inflate, "_BLOCK", block), (_inflate, "_SLACK", slack)]
    before = [(module, name, getattr(module, name)) for module, name, _ in smaller]
    for module, name, value in smaller:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)


# --- Sockets


class SocketCase(NamedTuple):
    limit: int
    eof: bool
    raw: bytes
    style: int
    seed: int


_POST: Final = HTTPRequest("POST", "http://localhost/v1/query", (), b"{}")
_LOCAL: Final = Endpoint("http://localhost/v1")
_CLASSES: Final = {
    "waiting": None,
    "finished": None,
    "lost": ConnectionLost,
    "refused": RemoteProtocolError,
}


def read_socket_case(data: bytes) -> SocketCase:
    """The case that `data` stands for:

    7 bytes of circumstances, then the bytes of the socket or choices for them.
    """
    source = Source(data)
    mode, limit_kind, limit, ending, style, high, low = (
        source.byte() for _ in range(_HEADS["socket"])
    )
    raw = source.rest() if mode % 4 == 1 else grammar.response(source)
    return SocketCase(
        _line_limit(limit_kind, limit, raw), bool(ending % 2), raw, style, high * 256 + low
    )


def _line_limit(kind: int, number: int, raw: bytes) -> int:
    """Mostly the real one; else about what the heads, the trailers or a line have."""
    if kind < 128:
        return 64 * 1024
    ends = [at + 1 for at, byte in enumerate(raw) if byte == 10]
    blanks = [
        at + 1
        for at in range(1, len(raw))
        if raw[at] == 10 and raw[: at + 1].endswith((b"\n\n", b"\n\r\n"))
    ]
    sizes = (
        [end - start for start, end in pairwise([0, *ends])]
        if kind % 4 == 3
        else [*blanks, *(b - a for a, b in pairwise(blanks))]
    )
    sizes = sorted({20, *sizes})
    return max(1, sizes[-1 - number // 3 % len(sizes)] + number % 3 - 1)


def check_socket(data: bytes) -> None:
    """`HTTP11Exchange` against the reference, and it and `SocketStream` against other
    fragmentations of the same bytes.
    """
    case = read_socket_case(data)
    before, _http11.MAX_HEAD_BYTES = _http11.MAX_HEAD_BYTES, case.limit
    try:
        expected = http_reference.expect(case.raw, case.eof, case.limit)
        fragmentations = (
            [case.raw],
            _cut_fine(case.raw),
            _cut_as_chosen(case.raw, case.style, case.seed),
        )
        error = _check_exchange(case, fragmentations[0], expected, None)
        for chunks in fragmentations:
            _check_exchange(case, chunks, expected, error)
            _check_socket_stream(case, chunks, expected, error)
    finally:
        _http11.MAX_HEAD_BYTES = before


def _check_exchange(
    case: SocketCase, chunks: Chunks, expected: http_reference.Response, like: MoondreamError | None
) -> MoondreamError | None:
    """The error that it came to."""
    exchange = HTTP11Exchange(_POST)
    exchange.data_to_send()
    head, body, finished, error = None, b"", False, None
    try:
        for chunk in [*chunks, b"", None]:
            if chunk is not None:
                exchange.receive_data(chunk)
            elif case.eof:
                exchange.receive_eof()
            while (event := exchange.next_event()) is not NEED_DATA:
                if event is FINISHED:
                    finished = True
                    break
                _check(not finished, "more after the end", event, case)
                if isinstance(event, ResponseHead):
                    _check(head is None, "a second head", event, case)
                    head = event
                elif isinstance(event, bytes):
                    body += event
    except MoondreamError as caught:
        error = caught
        _check(caught.__context__ is None, "an error with what h11 saw", caught, case)
        try:
            exchange.next_event()
        except MoondreamError as again:
            _check(again is error, "another error after an error", again, error, case)
        else:
            raise Failed("no error after an error")
    seen_head = None if head is None else (head.status_code, list(head.headers.multi_items()))
    _check(
        seen_head == (None if expected.status is None else (expected.status, expected.fields)),
        "another head",
        seen_head,
        expected,
        case,
    )
    _check(body == expected.body, "another body", body, expected, case, chunks)
    _check(
        (type(error) if error else None) == _CLASSES[expected.end],
        "another end",
        error,
        expected,
        case,
        chunks,
    )
    _check(
        finished == (expected.end == "finished"),
        "finished or not",
        finished,
        expected,
        case,
        chunks,
    )
    _check(
        exchange.reusable == expected.reusable,
        "reusable or not",
        exchange.reusable,
        expected,
        case,
        chunks,
    )
    _check(
        like is None or str(error) == str(like),
        "other words in another fragmentation",
        error,
        like,
        case,
        chunks,
    )
    return error


def _check_socket_stream(
    case: SocketCase,
    chunks: Chunks,
    expected: http_reference.Response,
    error: MoondreamError | None,
) -> None:
    """It has to come to what a `ResponseStream` makes of the head, the body and the end."""
    stream = SocketStream(_REQUESTS["query"], _LOCAL)
    stream.data_to_send()
    plain = ResponseStream(_REQUESTS["query"])
    for chunk in chunks:
        stream.receive_data(chunk)
    if case.eof:
        stream.receive_eof()
    if expected.status is not None:
        plain.receive_response(expected.status, expected.fields)
        plain.receive_data(expected.body)
    if expected.end == "finished":
        plain.receive_eof()
    elif error is not None:
        plain.receive_error(type(error)(str(error)))
    outcomes = [_taken(one) for one in (stream, plain)]
    _check(
        outcomes[0] == outcomes[1],
        "SocketStream comes to something else than ResponseStream",
        *outcomes,
        case,
        chunks,
    )
    _check(
        stream.reusable == expected.reusable,
        "SocketStream is reusable or not",
        expected,
        case,
        chunks,
    )


def _taken(stream: SocketStream[Any] | ResponseStream[Any]) -> tuple[object, ...]:
    events, error = [], None
    try:
        while not isinstance(event := stream.next_event(), Signal):
            events.append(event)
    except MoondreamError as caught:
        error = caught
    return (
        events,
        type(error),
        str(error),
        vars(error) if error else None,
        stream.snapshot,
        stream.state,
        stream.request_id,
    )


# --- By name

HARNESSES: Final[dict[str, Callable[[bytes], None]]] = {
    "records": check_records,
    "stream": check_stream,
    "socket": check_socket,
}


_HEADS: Final = {"records": 6, "stream": CIRCUMSTANCES, "socket": 7}


def describe(name: str, data: bytes) -> str:
    """The case that `data` stands for, in words."""
    reads: dict[str, Callable[[bytes], NamedTuple]] = {
        "records": read_records_case,
        "stream": read_case,
        "socket": read_socket_case,
    }
    case = reads[name](data)
    return "".join(f"\n    {field}: {value!r}" for field, value in case._asdict().items())


def made_up(name: str, rng: random.Random) -> bytes:
    """A case at random, more of them telling than among random bytes."""
    limits = 5 if name == "stream" else 1
    head = bytearray(rng.randbytes(_HEADS[name]))
    head[0] = rng.choice((0, 0, 0, 0, 0, 2, 2, 1))
    at = 8 if name == "stream" else 1
    for index in range(at, at + limits):
        if rng.random() < 0.5:
            head[index] = 0
    return bytes(head) + rng.randbytes(rng.randrange(100))


def mutate(name: str, data: bytes, seed: int) -> bytes:
    """A case made up anew, or `data` in other circumstances, or with other choices in it; or
    nothing, for any other change.
    """
    rng = random.Random(seed)
    size = _HEADS[name]
    match rng.randrange(8):
        case 0:
            return made_up(name, rng)
        case 1 | 2:  # other circumstances for the same body
            head = bytearray(data[:size].ljust(size, b"\0"))
            for _ in range(rng.randrange(1, 4)):
                head[rng.randrange(size)] = rng.randrange(256)
            return bytes(head) + data[size:]
        case 3:  # other choices in the middle, of the same number or not
            at = rng.randrange(size, max(size, len(data)) + 1)
            return data[:at] + rng.randbytes(rng.randrange(8)) + data[at + rng.randrange(8) :]
        case _:
            return b""
