"""Messages to events and a result, for a chat."""

from __future__ import annotations

import sansio_moondream as sm

from .builder import Builder, Skill
from .fields import Fault, Fields, integer, read_reasoning, string
from .json_text import mend

_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")


class ChatBuilder(Builder):
    """Build a chat's answer from OpenAI's chunks.

    It has two texts. It is complete after its finish reason and the end of the stream.
    """

    def __init__(
        self, skill: Skill, status_code: int, headers: sm.Headers, limits: sm.Limits
    ) -> None:
        super().__init__(skill, status_code, headers, limits)
        self.thought = Builder(skill, status_code, headers, limits)  # only its text is used
        self.grounding: tuple[sm.Grounding, ...] = ()
        self.last: Fields = {}

    def message(self, raw: Fields) -> list[sm.Event]:
        choice = _first_choice(raw)
        delta = _dict(choice, "delta")
        events = self._read(choice, delta, False)
        self._add_metadata(mend(raw))
        if events:
            return events
        odd = raw.get("choices") and (choice == {} or _others(delta) != {})
        return [sm.Unknown(mend(raw))] if odd or not {"choices", "usage"} & set(raw) else []

    def answer(self, raw: Fields) -> list[sm.Event]:
        choice = _first_choice(raw)
        message = _dict(choice, "message")
        if not message:
            raise Fault(sm.RemoteProtocolError)
        events = self._read(choice, message, True)
        self._add_metadata(mend(raw))
        return [*events, self._complete(_others(message) | raw)]

    def end_of_stream(self) -> list[sm.Event]:
        if "finish_reason" not in self.about:
            return []
        return [*self._give_out("", "", True), self._complete(self.last)]

    def _read(self, choice: Fields, part: Fields, completed: bool) -> list[sm.Event]:
        if choice.get("finish_reason") == "error":
            raise Fault(sm.RemoteProtocolError)
        text = string(part, "content") or ""
        readings = [read_reasoning(part.get(name)) for name in ("reasoning", "reasoning_content")]
        thought = next(
            (reading for reading in readings if reading not in (None, sm.Reasoning(""))),
            sm.Reasoning(""),
        )
        details = part.get("reasoning_details")
        grounded = read_reasoning(details | {"text": ""}) if isinstance(details, dict) else None
        grounding = self.grounding + thought.grounding + (grounded.grounding if grounded else ())
        if sum(1 + len(part.points) for part in grounding) > self.limits.max_json_values:
            raise Fault(sm.LimitExceeded)
        events = self._give_out(thought.text, text, completed)
        self.grounding = grounding
        return events

    def _give_out(self, thought: str, text: str, completed: bool) -> list[sm.Event]:
        events: list[sm.Event] = []
        if thought := self.thought.take(thought, completed):
            events.append(sm.ReasoningDelta(thought))
        if text := self.take(text, completed):
            events.append(sm.TextDelta(text))
        return events

    def _add_metadata(self, fields: Fields) -> None:
        if isinstance(fields.get("id"), str) and fields["id"] != "":
            self.about["request_id"] = fields["id"]
        reason = _first_choice(fields).get("finish_reason")
        if isinstance(reason, str) and reason != "":
            self.about["finish_reason"] = reason
            self.last = fields
        if isinstance(usage := fields.get("usage"), dict):
            self.about["usage"] = sm.Usage(*(integer(usage.get(name)) for name in _COUNTS))
            self.last = fields

    def _complete(self, fields: Fields) -> sm.Completed:
        read = ("id", "object", "choices", "usage")
        extra = {name: value for name, value in fields.items() if name not in read}
        self.result = self._result(sm.Metadata(**self.about, extra=mend(extra)))
        return sm.Completed(self.result)

    def _result(self, metadata: sm.Metadata, *, partial: bool = False) -> sm.Result:
        text = self.thought.text
        reasoning = sm.Reasoning(text, self.grounding) if text or self.grounding else None
        return sm.ChatResult(self.text, reasoning, metadata, partial)


def _first_choice(fields: Fields) -> Fields:
    choices = [] if fields.get("choices") is None else fields["choices"]
    if not isinstance(choices, list):
        raise Fault(sm.RemoteProtocolError)
    for choice in choices:
        if not isinstance(choice, dict):
            raise Fault(sm.RemoteProtocolError)
        if choice.get("index") is None or choice["index"] == 0:
            return choice
    return {}


def _dict(fields: Fields, name: str) -> Fields:
    value = fields.get(name)
    if value is not None and not isinstance(value, dict):
        raise Fault(sm.RemoteProtocolError)
    return value or {}


def _others(part: Fields) -> Fields:
    others: Fields = {}
    for name, value in part.items():
        if name in ("reasoning", "reasoning_content"):
            read = read_reasoning(value) is not None
        elif name == "reasoning_details":
            read = isinstance(value, dict) and read_reasoning(value | {"text": ""}) is not None
        else:
            read = name in ("role", "content")
        if value and not read:
            others[name] = value
    return others
