"""A slow decoder that is easy to believe: what the real one has to give for the same bytes.

It was written from the WHATWG's text ("Parsing an event stream", "Interpreting an event stream"),
from docs/wire-format.md and from the numbered rules of the core; it shares nothing with the package
but its public value classes, and reads JSON with the standard library. It sees the whole body at
once and never has to wait for anything:

    bytes -> lines -> records -> messages -> events

Where it differs from the WHATWG's text, on purpose, as the package does:

1. The last record counts without its blank line, and without its line end, if its data is one whole
   JSON object, or a chat's end.
2. Invalid UTF-8 in the data of a record is a fault; elsewhere (comments, other fields) nobody
   looks.
3. Lines and joined data are bounded by `Limits.max_record_bytes`. A byte order mark counts as a
   part of the first line.

Beside each event stands when it is due: after how many bytes of the body it has to be out.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from typing import Any, Literal, NamedTuple, NoReturn

from sansio_moondream import (
    APIError,
    AuthenticationError,
    BadRequestError,
    BBox,
    CaptionResult,
    ChatResult,
    Completed,
    DetectResult,
    Event,
    Grounding,
    Headers,
    IncompleteStream,
    LimitExceeded,
    Limits,
    Metadata,
    Metrics,
    MoondreamError,
    NotFoundError,
    PathChunk,
    PayloadTooLargeError,
    PaymentRequiredError,
    PermissionDeniedError,
    Point,
    PointResult,
    QueryResult,
    RateLimitError,
    Reasoning,
    ReasoningDelta,
    RemoteProtocolError,
    Result,
    SegmentResult,
    ServerError,
    Stats,
    TextDelta,
    Unknown,
    Usage,
)

Skill = Literal["query", "caption", "segment", "detect", "point", "chat"]
Kind = Literal["events", "json", "unnamed"]
Fields = dict[str, Any]

DONE = b"[DONE]"  # of a chat
AT_END = 1 << 62  # due only when the body ends
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


# --- Bytes to records


class Line(NamedTuple):
    text: bytes
    start: int
    due: int
    end: int


class Record(NamedTuple):
    name: bytes
    data: bytes
    due: int


class Records(NamedTuple):
    """The records of a stream.

    Attributes:
        whole: those that a blank line ended.
        too_long: when the stream passes a limit, if it does; nothing after that matters.
        last: what the end leaves unfinished, if it has data.
        broken_off: the end comes in a line, or in a record that has data.
        between: the offsets at which nothing of a record is pending, not even the LF of a CR LF.
    """

    whole: list[Record]
    too_long: int | None
    last: Record | None
    broken_off: bool
    between: set[int]


def lines_of(stream: bytes) -> list[Line]:
    """Lines end in CR LF, LF or CR.

    A CR is an end at once: nobody can know yet whether an LF will follow it.
    """
    lines: list[Line] = []
    start = 0
    for end in re.finditer(rb"\r\n|\n|\r", stream):
        lines.append(Line(stream[start : end.start()], start, end.start() + 1, end.end()))
        start = end.end()
    if start < len(stream):
        lines.append(Line(stream[start:], start, AT_END, len(stream)))
    return lines


def records_of(stream: bytes, max_bytes: int) -> Records:
    whole: list[Record] = []
    between = {0}
    name, data = b"", list[bytes]()
    for number, line in enumerate(lines_of(stream)):
        if len(line.text) > max_bytes:
            return Records(whole, line.start + max_bytes + 1, None, False, between)
        text = line.text.removeprefix(BYTE_ORDER_MARK) if number == 0 else line.text
        if text == b"" and line.due != AT_END:
            if data:
                whole.append(Record(name, b"\n".join(data), line.due))
            name, data = b"", []
        field, colon, value = text.partition(b":")
        if colon and value[:1] == b" ":
            value = value[1:]
        if field == b"event":
            name = value
        if field == b"data":
            data.append(value)
            if len(b"\n".join(data)) > max_bytes:
                return Records(whole, line.due, None, False, between)
        if not (name or data) and stream[line.end - 1] == ord("\n"):
            between.add(line.end)
    broken_off = bool(data) or not (stream == b"" or stream.endswith((b"\n", b"\r")))
    return Records(
        whole, None, Record(name, b"\n".join(data), AT_END) if data else None, broken_off, between
    )


# --- Bytes to JSON


class TooDeep(Exception):
    pass


def scan(data: bytes) -> tuple[int, bool]:
    """How deep brackets nest outside strings, and whether one of them, or a string, is open at the
    end.
    """
    depth = deepest = 0
    in_string = escaped = False
    for byte in data:
        if in_string:
            in_string = escaped or byte != ord('"')
            escaped = not escaped and byte == ord("\\")
        elif byte == ord('"'):
            in_string = True
        elif byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest, in_string or depth > 0


def read_json(data: bytes, limits: Limits) -> Any:
    """The value as it stands, lone halves of surrogate pairs included.

    Raises TooDeep or ValueError.
    """
    if scan(data)[0] > limits.max_json_depth:
        raise TooDeep
    text = data.decode("utf-8")
    if text.startswith("\ufeff"):
        raise ValueError("JSON begins with no byte order mark")
    return json.loads(text, parse_constant=_refuse)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def mend(value: Any) -> Any:
    """Halves that meet are joined, and halves that are alone replaced, all through."""
    match value:
        case str():
            return re.sub(
                r"[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]",
                lambda found: _join(found[0]),
                value,
            )
        case list():
            return [mend(item) for item in value]
        case dict():
            return {mend(key): mend(item) for key, item in value.items()}
        case _:
            return value


def _join(halves: str) -> str:
    if len(halves) == 1:
        return "\ufffd"
    return chr(0x10000 + ((ord(halves[0]) - 0xD800) << 10) + ord(halves[1]) - 0xDC00)


# --- Messages to events


class Fault(Exception):
    def __init__(self, error: type[MoondreamError]) -> None:
        self.error = error


class Builder:
    """What has come of an answer. A message that is at fault leaves it as it was."""

    def __init__(self, skill: Skill, limits: Limits, headers: Headers) -> None:
        self.skill = skill
        self.limits = limits
        self.headers = headers
        self.text = ""  # of text or path, as far as it was handed out
        self.held = ""  # half a character, which the next text may make whole
        self.final_text: str | None = None
        self.box: BBox | None = None
        self.parse_error: str | None = None
        self.reasoning: Reasoning | None = None
        self.objects: tuple[Any, ...] = ()
        self.about: dict[str, Any] = {"request_id": headers.get("x-request-id"), "headers": headers}
        self.result: Result | None = None

    def snapshot(self) -> Result:
        return self.result or self._result(Metadata(**self.about))

    def message(self, raw: Fields) -> list[Event]:
        """One message of a stream.

        `raw` may have lone halves: in its text they may meet the other half later.
        """
        fields = mend(raw)
        completed = _bool(fields, "completed")
        unknown = self._is_unknown(fields)
        if unknown and not completed:
            self._note(fields)
            return [Unknown(fields)]
        events: list[Event] = []
        if self.skill in ("query", "caption"):
            key = "text" if raw.get("chunk") is None else "chunk"
            _str(fields, "chunk"), _str(fields, key)
            final = (
                _str(fields, "answer" if self.skill == "query" else "caption")
                if completed
                else None
            )
            if text := self._take(raw.get(key) or "", completed):
                events.append(TextDelta(text, _int(fields.get("token_index"))))
            self.final_text = final
        elif self.skill == "segment":
            _str(fields, "chunk")
            box = _place(BBox, fields["bbox"]) if fields.get("bbox") is not None else None
            final = _str(fields, "path") if completed else None
            text = self._take(raw.get("chunk") or "", completed)
            if box is not None and not completed:
                events.append(box)
            if text:
                events.append(PathChunk(text, _int(fields.get("token_index"))))
            self.box = box or self.box
            if completed:
                self._end_segment(fields, final)
        elif completed:
            self.objects = self._read_objects(fields)
        self._note(fields)
        return [*events, self._complete(fields)] if completed else events

    def whole(self, raw: Fields) -> list[Event]:
        """An answer that came as one JSON object."""
        fields = mend(raw)
        events: list[Event] = []
        if self.skill in ("query", "caption"):
            text = _str(fields, "answer" if self.skill == "query" else "caption")
            if text is None:
                raise Fault(RemoteProtocolError)
            if text := self._take(text, True):
                events.append(TextDelta(text))
        elif self.skill == "segment":
            path = _str(fields, "path")
            if path is None and fields.get("parse_error") is None:
                raise Fault(RemoteProtocolError)
            self.box = _place(BBox, fields["bbox"]) if fields.get("bbox") is not None else None
            self._end_segment(fields, path)
        else:
            self.objects = self._read_objects(fields)
        self._note(fields)
        return [*events, self._complete(fields)]

    def ended(self) -> list[Event]:
        """The stream ended as it should: what that makes of an answer that needs no more."""
        return []

    def _take(self, text: str, completed: bool) -> str:
        """Text of a message: what of it is handed out.

        Only a half at the very end of what came waits, and only while more may come.
        """
        text = self.held + text
        held = text[-1:] if re.search(r"[\ud800-\udbff]\Z", text) and not completed else ""
        text = mend(text.removesuffix(held))
        if len((self.text + text).encode()) > self.limits.max_text_bytes:
            raise Fault(LimitExceeded)
        self.text += text
        self.held = held
        return text

    def _end_segment(self, fields: Fields, path: str | None) -> None:
        self.final_text = path or ""
        if isinstance(fields.get("parse_error"), str):
            self.parse_error = fields["parse_error"]

    def _read_objects(self, fields: Fields) -> tuple[Any, ...]:
        kind, name = (BBox, "objects") if self.skill == "detect" else (Point, "points")
        if not isinstance(fields.get(name), list):
            raise Fault(RemoteProtocolError)
        return tuple(_place(kind, value) for value in fields[name])

    def _is_unknown(self, fields: Fields) -> bool:
        if self.skill == "segment" and fields.get("type") not in (None, "bbox", "path_delta"):
            return True
        text = {"completed", "chunk", "text"}
        own = {"query": text, "caption": text, "segment": {"completed", "chunk", "bbox"}}
        known = {"stats", "_stats"} | own.get(self.skill, set())
        return not known & set(fields)

    def _note(self, fields: Fields) -> None:
        """What is about the answer: of the wrong type, it is let go."""
        if isinstance(fields.get("request_id"), str) or _int(fields.get("request_id")) is not None:
            self.about["request_id"] = str(fields["request_id"])
        if isinstance(fields.get("finish_reason"), str):
            self.about["finish_reason"] = fields["finish_reason"]
        if isinstance(metrics := fields.get("metrics"), dict):
            counts = [_int(metrics.get(name)) for name in ("input_tokens", "output_tokens")]
            times = [
                _float(metrics.get(name))
                for name in ("prefill_time_ms", "decode_time_ms", "ttft_ms")
            ]
            self.about["metrics"] = Metrics(*counts, *times)
        for name in ("_stats", "stats"):
            if isinstance(stats := fields.get(name), dict):
                numbers = _float(stats.get("duration")), _float(stats.get("tokens_per_sec"))
                self.about["stats"] = Stats(_int(stats.get("tokens")), *numbers)
        if self.skill == "query":
            self.reasoning = _read_reasoning(fields.get("reasoning")) or self.reasoning

    def _complete(self, fields: Fields) -> Completed:
        read = {
            "completed",
            "chunk",
            "token_index",
            "request_id",
            "finish_reason",
            "metrics",
            "stats",
            "_stats",
        }
        if self.skill in ("query", "caption"):
            read |= {"text", "answer" if self.skill == "query" else "caption"}
            if self.final_text is not None:
                self.about["deltas_match"] = self.final_text == self.text
        elif self.skill == "segment":
            read |= {"type", "path", "bbox", "parse_error"}
        else:
            read |= {"objects" if self.skill == "detect" else "points"}
        if self.skill == "query" and _read_reasoning(fields.get("reasoning")) is not None:
            read |= {"reasoning"}
        extra = {name: value for name, value in fields.items() if name not in read}
        self.result = self._result(Metadata(**self.about, extra=extra))
        return Completed(self.result)

    def _result(self, metadata: Metadata) -> Result:
        text = self.text if self.final_text is None else self.final_text
        match self.skill:
            case "query":
                return QueryResult(text, self.reasoning, metadata)
            case "caption":
                return CaptionResult(text, metadata)
            case "segment":
                return SegmentResult(
                    text, self.box, self.parse_error, metadata, partial=self.final_text is None
                )
            case "detect":
                return DetectResult(self.objects, metadata)
            case "point":
                return PointResult(self.objects, metadata)
            case "chat":
                raise NotImplementedError


class ChatBuilder(Builder):
    """OpenAI's chunks. There are two texts, and the end takes two things: the finish reason, and
    the end of the stream.
    """

    def __init__(self, skill: Skill, limits: Limits, headers: Headers) -> None:
        super().__init__(skill, limits, headers)
        self.thought = Builder(skill, limits, headers)  # for its text alone
        self.grounding: tuple[Grounding, ...] = ()
        self.last: Fields = {}

    def message(self, raw: Fields) -> list[Event]:
        choice = _first_choice(raw)
        delta = _dict(choice, "delta")
        events = self._read(choice, delta, False)
        self._note(mend(raw))
        if events:
            return events
        odd = raw.get("choices") and (choice == {} or _others(delta) != {})
        return [Unknown(mend(raw))] if odd or not {"choices", "usage"} & set(raw) else []

    def whole(self, raw: Fields) -> list[Event]:
        choice = _first_choice(raw)
        message = _dict(choice, "message")
        if not message:
            raise Fault(RemoteProtocolError)
        events = self._read(choice, message, True)
        self._note(mend(raw))
        return [*events, self._complete(_others(message) | raw)]

    def ended(self) -> list[Event]:
        return (
            [*self._hand_out("", "", True), self._complete(self.last)]
            if "finish_reason" in self.about
            else []
        )

    def _read(self, choice: Fields, part: Fields, completed: bool) -> list[Event]:
        if choice.get("finish_reason") == "error":
            raise Fault(RemoteProtocolError)
        text = _str(part, "content") or ""
        readings = [_read_reasoning(part.get(name)) for name in ("reasoning", "reasoning_content")]
        thought = next(
            (reading for reading in readings if reading not in (None, Reasoning(""))), Reasoning("")
        )
        events = self._hand_out(thought.text, text, completed)
        details = part.get("reasoning_details")
        grounded = _read_reasoning(details | {"text": ""}) if isinstance(details, dict) else None
        self.grounding += thought.grounding + (grounded.grounding if grounded else ())
        return events

    def _hand_out(self, thought: str, text: str, completed: bool) -> list[Event]:
        events: list[Event] = []
        if thought := self.thought._take(thought, completed):
            events.append(ReasoningDelta(thought))
        if text := self._take(text, completed):
            events.append(TextDelta(text))
        return events

    def _note(self, fields: Fields) -> None:
        if isinstance(fields.get("id"), str) and fields["id"] != "":
            self.about["request_id"] = fields["id"]
        reason = _first_choice(fields).get("finish_reason")
        if isinstance(reason, str) and reason != "":
            self.about["finish_reason"] = reason
            self.last = fields
        if isinstance(usage := fields.get("usage"), dict):
            self.about["usage"] = Usage(
                *(
                    _int(usage.get(name))
                    for name in ("prompt_tokens", "completion_tokens", "total_tokens")
                )
            )
            self.last = fields

    def _complete(self, fields: Fields) -> Completed:
        extra = {
            name: value
            for name, value in fields.items()
            if name not in ("id", "object", "choices", "usage")
        }
        self.result = self._result(Metadata(**self.about, extra=mend(extra)))
        return Completed(self.result)

    def _result(self, metadata: Metadata) -> Result:
        thought = self.thought.text
        return ChatResult(
            self.text,
            Reasoning(thought, self.grounding) if thought or self.grounding else None,
            metadata,
        )


def _first_choice(fields: Fields) -> Fields:
    choices = [] if fields.get("choices") is None else fields["choices"]
    if not isinstance(choices, list):
        raise Fault(RemoteProtocolError)
    for choice in choices:
        if not isinstance(choice, dict):
            raise Fault(RemoteProtocolError)
        if choice.get("index") is None or choice["index"] == 0:
            return choice
    return {}


def _dict(fields: Fields, name: str) -> Fields:
    value = fields.get(name)
    if value is not None and not isinstance(value, dict):
        raise Fault(RemoteProtocolError)
    return value or {}


def _others(part: Fields) -> Fields:
    others: Fields = {}
    for name, value in part.items():
        if name in ("reasoning", "reasoning_content"):
            read = _read_reasoning(value) is not None
        elif name == "reasoning_details":
            read = isinstance(value, dict) and _read_reasoning(value | {"text": ""}) is not None
        else:
            read = name in ("role", "content")
        if value and not read:
            others[name] = value
    return others


def _bool(fields: Fields, name: str) -> bool:
    if fields.get(name) not in (None, True, False) or type(fields.get(name)) in (int, float):
        raise Fault(RemoteProtocolError)
    return fields.get(name) is True


def _str(fields: Fields, name: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise Fault(RemoteProtocolError)
    return value


def _int(value: Any) -> int | None:
    return value if type(value) is int else None


def _float(value: Any) -> float | None:
    if type(value) not in (int, float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _place(kind: type[BBox] | type[Point], value: Any) -> Any:
    names = ("x_min", "y_min", "x_max", "y_max") if kind is BBox else ("x", "y")
    numbers = [_float(value.get(name)) for name in names] if isinstance(value, dict) else [None]
    if any(number is None or not math.isfinite(number) for number in numbers):
        raise Fault(RemoteProtocolError)
    return kind(*numbers)


def _read_reasoning(value: Any) -> Reasoning | None:
    match value:
        case str():
            return Reasoning(value)
        case {"text": str(text)}:
            grounding = value.get("grounding", [])
            parts = (
                [_read_grounding(part) for part in grounding]
                if isinstance(grounding, list)
                else [None]
            )
            return (
                None
                if None in parts
                else Reasoning(text, tuple(part for part in parts if part is not None))
            )
        case _:
            return None


def _read_grounding(value: Any) -> Grounding | None:
    if not isinstance(value, dict):
        return None
    start, end, pairs = (
        _int(value.get("start_idx")),
        _int(value.get("end_idx")),
        value.get("points", []),
    )
    if start is None or end is None or not isinstance(pairs, list):
        return None
    points: list[Point] = []
    for pair in pairs:
        x, y = map(_float, pair) if isinstance(pair, list) and len(pair) == 2 else (None, None)
        if x is None or y is None:
            return None
        points.append(Point(x, y))
    return Grounding(start, end, tuple(points))


# --- Errors

_BY_STATUS = {
    400: BadRequestError,
    401: AuthenticationError,
    402: PaymentRequiredError,
    403: PermissionDeniedError,
    404: NotFoundError,
    413: PayloadTooLargeError,
    422: BadRequestError,
    429: RateLimitError,
}
# The types of the wire format, and a few of their plain cousins.
_BY_TYPE = {
    "invalid_request_error": BadRequestError,
    "authentication_error": AuthenticationError,
    "permission_error": PermissionDeniedError,
    "not_found_error": NotFoundError,
    "request_too_large": PayloadTooLargeError,
    "rate_limit_error": RateLimitError,
    "rate_limit_exceeded": RateLimitError,
    "server_error": ServerError,
    "api_error": ServerError,
    "overloaded_error": ServerError,
    "overloaded": ServerError,
}


def is_error(fields: Fields) -> bool:
    if fields.get("error") is not None or fields.get("type") == "error":
        return True
    return isinstance(fields.get("detail"), (str, list)) and set(fields) <= {
        "detail",
        "status",
        "code",
        "request_id",
    }


def error_class(status: int, value: Any) -> type[APIError]:
    """By the HTTP status; in a 200 by the server's own word for it."""
    if status != 200:
        return ServerError if status >= 500 else _BY_STATUS.get(status, APIError)
    about = value if isinstance(value, dict) else {}
    about = about["error"] if isinstance(about.get("error"), dict) else about
    return _BY_TYPE.get(about["type"], APIError) if isinstance(about.get("type"), str) else APIError


# --- The whole


class Expected(NamedTuple):
    """What has to come of a response.

    Attributes:
        events: and, in `due`, after how many bytes of the body each of them has to be out.
        error: the class of the error that ends it, due after `error_due` bytes; None where the
            answer is whole.
        partial: of the error, or the snapshot at the end.
    """

    events: list[Event]
    due: list[int]
    error: type[MoondreamError] | None
    error_due: int
    partial: Result | None


def expect(
    skill: Skill,
    body: bytes,
    *,
    ending: type[MoondreamError] | None = None,
    limits: Limits | None = None,
    kind: Kind = "events",
    status: int = 200,
    headers: Headers | None = None,
) -> Expected:
    """What has to come of the body (uncompressed) of a response; `ending` is how it broke, None if
    it just ended.
    """
    limits = limits or Limits()
    answer = (ChatBuilder if skill == "chat" else Builder)(skill, limits, headers or Headers())
    if status >= 300:
        due = limits.max_error_body_bytes + 1 if len(body) > limits.max_error_body_bytes else AT_END
        return Expected([], [], error_class(status, None), due, None)
    if kind == "unnamed":
        if body in (BYTE_ORDER_MARK[:1], BYTE_ORDER_MARK[:2]):
            return Expected([], [], ending or RemoteProtocolError, AT_END, answer.snapshot())
        told = body.removeprefix(BYTE_ORDER_MARK).lstrip(b" \t\r\n")
        if len(body) - len(told) > limits.max_record_bytes:
            shortest = (
                len(BYTE_ORDER_MARK) if body.startswith(BYTE_ORDER_MARK) else 0
            )  # before it is whole, it may be anything
            return Expected(
                [], [], LimitExceeded, max(limits.max_record_bytes + 1, shortest), answer.snapshot()
            )
        if not told:
            return Expected([], [], ending or RemoteProtocolError, AT_END, answer.snapshot())
        kind = "json" if told.startswith(b"{") else "events"
    events: list[tuple[int, Event]] = []
    steps = (
        _json_body(answer, body, status, ending)
        if kind == "json"
        else _event_stream(answer, body, status, ending)
    )
    error, error_due = None, AT_END
    for due, step in steps:
        try:
            events += [(due, event) for event in step()]
        except Fault as fault:
            error, error_due = fault.error, due
            break
        if answer.result is not None:
            break
    return Expected(
        [event for _, event in events],
        [due for due, _ in events],
        error,
        error_due,
        answer.snapshot(),
    )


def _event_stream(
    answer: Builder, body: bytes, status: int, ending: type[MoondreamError] | None
) -> list[tuple[int, Any]]:
    """All that happens in an event stream, in order, as far as it comes to it: when, and what gives
    the events of it.
    """
    records = records_of(body, answer.limits.max_record_bytes)
    steps: list[tuple[int, Any]] = [
        (record.due, _Step(answer, status, record)) for record in records.whole
    ]
    if records.too_long is not None:
        steps.append((records.too_long, _Raise(LimitExceeded)))
    broken_off = records.broken_off
    if records.last is not None and (
        _is_end(answer, records.last) or _is_whole_object(records.last.data, answer.limits)
    ):
        steps.append((AT_END, _Step(answer, status, records.last)))
        broken_off = False
    if ending is None and not broken_off:
        steps.append((AT_END, answer.ended))
    steps.append((AT_END, _Raise(ending or IncompleteStream)))
    return steps


def _json_body(
    answer: Builder, body: bytes, status: int, ending: type[MoondreamError] | None
) -> list[tuple[int, Any]]:
    if len(body) > answer.limits.max_record_bytes:
        return [(answer.limits.max_record_bytes + 1, _Raise(LimitExceeded))]
    data = body.removeprefix(BYTE_ORDER_MARK)
    if ending is not None and issubclass(
        ending, RemoteProtocolError
    ):  # the compression broke: the bytes before that prove nothing
        return [(AT_END, _Raise(ending))]
    if not data.strip():
        return [(AT_END, _Raise(ending or RemoteProtocolError))]
    if scan(data)[0] > answer.limits.max_json_depth:
        return [(AT_END, _Raise(LimitExceeded))]
    if not _is_whole_object(data, answer.limits):
        return [
            (AT_END, _Raise(ending or (IncompleteStream if scan(data)[1] else RemoteProtocolError)))
        ]
    return [(AT_END, _Step(answer, status, Record(b"", data, AT_END), whole=True))]


class _Raise:
    def __init__(self, error: type[MoondreamError]) -> None:
        self.error = error

    def __call__(self) -> list[Event]:
        raise Fault(self.error)


class _Step:
    def __init__(self, answer: Builder, status: int, record: Record, whole: bool = False) -> None:
        self.answer = answer
        self.status = status
        self.record = record
        self.whole = whole

    def __call__(self) -> list[Event]:
        if not self.record.data.strip(b" \t\r\n"):
            return []
        if not self.whole and self.record.name != b"error" and _is_end(self.answer, self.record):
            events = self.answer.ended()
            if self.answer.result is None:
                raise Fault(IncompleteStream)
            return events
        try:
            value = read_json(self.record.data, self.answer.limits)
        except TooDeep:
            raise Fault(APIError if self.record.name == b"error" else LimitExceeded) from None
        except ValueError:
            raise Fault(APIError if self.record.name == b"error" else RemoteProtocolError) from None
        if self.record.name == b"error" or (isinstance(value, dict) and is_error(value)):
            raise Fault(error_class(self.status, value))
        if not isinstance(value, dict):
            raise Fault(RemoteProtocolError)
        return self.answer.whole(value) if self.whole else self.answer.message(value)


def _is_end(answer: Builder, record: Record) -> bool:
    return answer.skill == "chat" and record.data.strip(b" \t\r\n") == DONE


def _is_whole_object(data: bytes, limits: Limits) -> bool:
    try:
        return isinstance(read_json(data, limits), dict)
    except (ValueError, TooDeep):
        return False


# --- Compression


def inflate(
    coding: str, wire: bytes, ratio: int, slack: int, block: int
) -> tuple[bytes, type[MoondreamError] | None]:
    """The plain bytes of a gzip or deflate body, and what breaks it, if something does; one byte at
    a time, so that nothing before the fault is lost. Bytes that do not begin as announced, but like
    text, were inflated before.

    After each `block` bytes, it may have inflated to `slack` and `ratio` times as many bytes.
    """
    if len(wire) < 2:
        return wire, None
    if not (
        wire.startswith(b"\x1f\x8b")
        if coding == "gzip"
        else wire[0] % 16 == 8 and (wire[0] * 256 + wire[1]) % 31 == 0
    ):
        text = wire[:1] in (b"{", b"[", b"<", b" ", b"\t", b"\r", b"\n", b":") or wire[:2] in (
            b"da",
            b"ev",
            b"id",
            b"re",
            b"\xef\xbb",
        )
        return (wire, None) if text else (b"", RemoteProtocolError)
    plain = bytearray()
    engine = zlib.decompressobj(wbits=32 + 15)
    over = False
    for taken, byte in enumerate(wire, 1):
        if engine.eof:
            over = over or coding != "gzip" or byte != 0x1F  # what comes after the end is let go
            engine = engine if over else zlib.decompressobj(wbits=32 + 15)
        try:
            plain += b"" if over else engine.decompress(bytes([byte]))
        except zlib.error:
            return bytes(plain), RemoteProtocolError
        if taken % block == 0 and len(plain) > slack + taken * ratio:
            return bytes(plain), LimitExceeded
    return bytes(plain), None
