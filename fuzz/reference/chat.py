"""Messages to events and a result, for a chat."""

from __future__ import annotations

import sansio_moondream as sm

from .builder import Builder, Skill
from .fields import Fault, Fields, NoAnswer, read_reasoning, string
from .json_text import mend

_METADATA = (
    *("id", "object", "created", "model", "service_tier", "system_fingerprint"),
    *("provider", "obfuscation", "prompt_filter_results"),
)
_CHOICE_METADATA = (
    *("index", "finish_reason", "native_finish_reason", "stop_reason"),
    *("matched_stop", "logprobs", "token_ids", "content_filter_results"),
)


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
        part = self._part(choice)
        events = self._read(choice, part, False)
        self._add_metadata(mend(raw))
        is_unknown = _has_more(raw, choice, part)
        if events:
            parts = ("tool_calls", "function_call", "refusal")
            is_unknown = is_unknown or any(part.get(name) for name in parts)
        elif raw.get("choices"):
            odd = _speaks(choice, (*_CHOICE_METADATA, "delta", "text"))
            is_unknown = is_unknown or choice == {} or _others(part) != {} or odd
        elif raw.get("usage") is None:
            silent = (*_METADATA, "choices", "usage")
            absent = not {"choices", "usage"} & set(raw)
            is_unknown = is_unknown or absent or any(raw[name] for name in {*raw} - {*silent})
        return [*events, sm.Unknown(mend(raw))] if is_unknown else events

    def answer(self, raw: Fields) -> list[sm.Event]:
        choice = _first_choice(raw)
        message = _dict(choice, "message")
        if not message:
            if not isinstance(choice.get("text"), str):
                raise NoAnswer
            message = {"content": choice["text"]}
        events = self._read(choice, message, True)
        self._add_metadata(mend(raw))
        if _has_more(raw, choice, message) or _speaks({"delta": choice.get("delta")}, ()):
            events.append(sm.Unknown(mend(raw)))
        return [*events, self._complete(_others(message) | raw)]

    def _part(self, choice: Fields) -> Fields:
        """Choose the object with the next text: the delta, the text, or a whole message."""
        delta = _dict(choice, "delta")
        if any(delta[name] for name in set(delta) - {"role"}):
            return delta
        if isinstance(choice.get("text"), str) and choice["text"] != "":
            return {"content": choice["text"]}
        part = dict(choice["message"]) if isinstance(choice.get("message"), dict) else {}
        if self.text:
            part.pop("content", None)
        if self.thought.text:
            for name in ("reasoning", "reasoning_content", "reasoning_details"):
                part.pop(name, None)
        return part

    def end_of_stream(self) -> list[sm.Event]:
        if "finish_reason" not in self.about:
            return []
        return [*self._give_out("", "", True), self._complete(self.last)]

    def _read(self, choice: Fields, part: Fields, completed: bool) -> list[sm.Event]:
        if choice.get("finish_reason") == "error":
            raise Fault(sm.RemoteProtocolError)
        text = _content(part)
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
        if isinstance(fields.get("usage"), dict):
            self._measure(sm.Usage, fields["usage"], set(sm.Usage.__struct_fields__))
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


def _has_more(raw: Fields, choice: Fields, part: Fields) -> bool:
    """Test for a text that is not that of the part, and for other choices that say something."""
    others = [other for other in raw.get("choices") or [] if other is not choice]
    other_text = choice.get("text") is not None and choice["text"] not in ("", _content(part))
    message = choice["message"] if isinstance(choice.get("message"), dict) else {}
    whole = message.get("content") or ""
    if whole != part.get("content"):
        so_far = isinstance(whole, str) and whole.endswith(_content(part))
        other_text = other_text or (whole != "" and not so_far)
    return other_text or any(_speaks(other, _CHOICE_METADATA) for other in others)


def _speaks(choice: Fields, silent: tuple[str, ...]) -> bool:
    """Test if a choice says something beside these fields and the role of a message."""
    values = [value for name, value in choice.items() if name not in silent]
    said = [
        [item for name, item in value.items() if name != "role"]
        if isinstance(value, dict)
        else [value]
        for value in values
    ]
    return any(map(any, said))


def _content(part: Fields) -> str:
    """Read a text, or a list of texts."""
    match part.get("content"):
        case [*parts] if all(_is_text(one) for one in parts):
            return "".join(one["text"] for one in parts)
        case _:
            return string(part, "content") or ""


def _is_text(part: object) -> bool:
    match part:
        case {"type": "text", "text": str()}:
            return True
        case _:
            return False


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
