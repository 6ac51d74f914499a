"""Messages to events and a result, for every skill but the chat."""

from __future__ import annotations

import re
from typing import Any, Literal

import sansio_moondream as sm

from .fields import Fault, Fields, NoAnswer, flag, integer, number, place, read_reasoning, string
from .json_text import mend

Skill = Literal["query", "caption", "segment", "detect", "point", "chat"]


class Builder:
    """Build one answer. A message with a fault leaves it unchanged."""

    def __init__(
        self, skill: Skill, status_code: int, headers: sm.Headers, limits: sm.Limits
    ) -> None:
        self.skill = skill
        self.status_code = status_code
        self.limits = limits
        self.text = ""  # text or path that was given out
        self.held = ""  # a high surrogate that waits for the next text
        self.final_text: str | None = None
        self.box: sm.BBox | None = None
        self.parse_error: str | None = None
        self.reasoning: sm.Reasoning | None = None
        self.objects: tuple[Any, ...] = ()
        self.about: dict[str, Any] = {"request_id": headers.get("x-request-id"), "headers": headers}
        self.measured: dict[tuple[str, str], Any] = {}  # by the name of the group and the field
        self.result: sm.Result | None = None

    def snapshot(self) -> sm.Result:
        """Return the result so far."""
        return self.result or self._result(sm.Metadata(**self.about), partial=True)

    def message(self, raw: Fields) -> list[sm.Event]:
        """Read one message of a stream.

        `raw` may have lone surrogates. Those in its text may meet their other half later.
        """
        fields = mend(raw)
        completed = flag(fields, "completed")
        if not completed and self._has_other_type(fields):
            self._add_metadata(fields)
            return [sm.Unknown(fields)]
        events: list[sm.Event] = []
        if self.skill in ("query", "caption"):
            key = "chunk" if string(fields, "chunk") else "text"
            string(fields, key)
            final = string(fields, self._whole_name()) if completed else None
            text = self.take(raw.get(key) or "", completed)
            if final and self.text == "":
                text = self.take(final, True)
            if text:
                events.append(sm.TextDelta(text, integer(fields.get("token_index"))))
            self.final_text = final
        elif self.skill == "segment":
            string(fields, "chunk")
            box = place(sm.BBox, fields["bbox"]) if fields.get("bbox") is not None else None
            final = string(fields, "path") if completed else None
            text = self.take(raw.get("chunk") or "", completed)
            if box is not None and not completed:
                events.append(box)
            if text:
                events.append(sm.PathChunk(text, integer(fields.get("token_index"))))
            self.box = box or self.box
            if completed:
                self._end_segment(fields, final)
        elif completed:
            self.objects = self._read_objects(fields)
        self._add_metadata(fields)
        if completed:
            return [*events, self._complete(fields)]
        return [sm.Unknown(fields)] if not events and self._is_unknown(raw) else events

    def answer(self, raw: Fields) -> list[sm.Event]:
        """Read an answer that came as one JSON object."""
        fields = mend(raw)
        events: list[sm.Event] = []
        if self.skill in ("query", "caption"):
            names = [self._whole_name(), "chunk", "text"]
            text = next((t for name in names if (t := string(fields, name))), "")
            if all(fields.get(name) is None for name in names):
                raise NoAnswer
            if text := self.take(text, True):
                events.append(sm.TextDelta(text))
        elif self.skill == "segment":
            path = string(fields, "path")
            if path is None and fields.get("parse_error") is None:
                raise NoAnswer
            self.box = place(sm.BBox, fields["bbox"]) if fields.get("bbox") is not None else None
            self._end_segment(fields, path)
        else:
            self.objects = self._read_objects(fields)
        self._add_metadata(fields)
        return [*events, self._complete(fields)]

    def end_of_stream(self) -> list[sm.Event]:
        """Read the proper end of the stream."""
        return []

    def take(self, text: str, completed: bool) -> str:
        """Add the text of a message, and return the part that is given out.

        Only a high surrogate at the end waits, and only while more may come.
        """
        text = self.held + text
        held = text[-1:] if re.search(r"[\ud800-\udbff]\Z", text) and not completed else ""
        text = mend(text.removesuffix(held))
        if len((self.text + text).encode()) > self.limits.max_text_bytes:
            raise Fault(sm.LimitExceeded)
        self.text += text
        self.held = held
        return text

    def _end_segment(self, fields: Fields, path: str | None) -> None:
        self.final_text = path
        if isinstance(fields.get("parse_error"), str):
            self.parse_error = fields["parse_error"]
            self.final_text = path or ""

    def _read_objects(self, fields: Fields) -> tuple[Any, ...]:
        kind, name = (sm.BBox, "objects") if self.skill == "detect" else (sm.Point, "points")
        if fields.get(name) is None:
            raise NoAnswer
        if not isinstance(fields[name], list):
            raise Fault(sm.RemoteProtocolError)
        return tuple(place(kind, value) for value in fields[name])

    def _has_other_type(self, fields: Fields) -> bool:
        kinds = (None, "bbox", "path_delta")
        return self.skill == "segment" and fields.get("type") not in kinds

    def _is_unknown(self, fields: Fields) -> bool:
        text = {"completed", "chunk", "text"}
        own = {"query": text, "caption": text, "segment": {"completed", "chunk", "bbox"}}
        known = {"stats", "_stats"} | own.get(self.skill, set())
        if not known & set(fields):
            return True
        if any(fields.get(name) for name in known):
            return False
        silent = known | {"completed", "chunk", "token_index", "request_id", "finish_reason"}
        silent |= {"metrics", *(["type"] if self.skill == "segment" else [])}
        return any(value for name, value in fields.items() if name not in silent)

    def _add_metadata(self, fields: Fields) -> None:
        """Read metadata. What has the wrong type is ignored."""
        if type(fields.get("request_id")) in (str, int) and fields["request_id"] != "":
            self.about["request_id"] = str(fields["request_id"])
        if isinstance(fields.get("finish_reason"), str) and fields["finish_reason"]:
            self.about["finish_reason"] = fields["finish_reason"]
        self._measure(sm.Metrics, fields.get("metrics"), {"input_tokens", "output_tokens"})
        for name in ("_stats", "stats"):
            self._measure(sm.Stats, fields.get(name), {"tokens"})
        if self.skill == "query":
            self.reasoning = read_reasoning(fields.get("reasoning")) or self.reasoning

    def _measure(self, kind: type[Any], value: Any, counts: set[str]) -> None:
        """Read measurements. A late one that is absent does not replace an earlier one."""
        if isinstance(value, dict):
            name = kind.__name__.lower()
            for field in kind.__struct_fields__:
                seen = integer(value.get(field)) if field in counts else number(value.get(field))
                if seen is not None:
                    self.measured[name, field] = seen
            fields = [field for owner, field in self.measured if owner == name]
            self.about[name] = kind(**{field: self.measured[name, field] for field in fields})

    def _complete(self, fields: Fields) -> sm.Completed:
        read = {"completed", "chunk", "token_index", "request_id", "finish_reason"}
        read |= {"metrics", "stats", "_stats"}
        if self.skill in ("query", "caption"):
            read |= {"text", self._whole_name()}
            if self.final_text is not None:
                self.about["deltas_match"] = self.final_text == self.text
        elif self.skill == "segment":
            read |= {"type", "path", "bbox", "parse_error"}
        else:
            read |= {"objects" if self.skill == "detect" else "points"}
        if self.skill == "query" and read_reasoning(fields.get("reasoning")) is not None:
            read |= {"reasoning"}
        extra = {name: value for name, value in fields.items() if name not in read}
        self.result = self._result(sm.Metadata(**self.about, extra=extra))
        return sm.Completed(self.result)

    def _whole_name(self) -> str:
        return "answer" if self.skill == "query" else "caption"

    def _result(self, metadata: sm.Metadata, *, partial: bool = False) -> sm.Result:
        text = self.text if self.final_text is None else self.final_text
        match self.skill:
            case "query":
                return sm.QueryResult(text, self.reasoning, metadata, partial)
            case "caption":
                return sm.CaptionResult(text, metadata, partial)
            case "segment":
                return sm.SegmentResult(text, self.box, self.parse_error, metadata, partial)
            case "detect":
                return sm.DetectResult(self.objects, metadata, partial)
            case "point":
                return sm.PointResult(self.objects, metadata, partial)
            case "chat":
                raise NotImplementedError
