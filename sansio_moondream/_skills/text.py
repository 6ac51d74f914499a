"""Builders of the skills whose answer is text: query and caption.

Text comes in "chunk", or in "text" from the documentation's demo. The last message and a whole
answer may carry the whole text in a field that is named after the skill. If no delta came before,
the whole text is the delta.
"""

from __future__ import annotations

from typing import ClassVar

from sansio_moondream._events import Completed, Event, TextDelta
from sansio_moondream._metadata import Metadata
from sansio_moondream._results import CaptionResult, QueryResult, R, Reasoning

from .builder import SHARED_FIELDS, Builder
from .fields import Fields, NoAnswer, first_string, read_reasoning, string, token_index


class TextBuilder(Builder[R]):
    """What query and caption share."""

    _MEANINGFUL = frozenset({"chunk", "text", "completed", "stats", "_stats"})
    _READ = SHARED_FIELDS | {"text"}
    _WHOLE: ClassVar[str]
    """The field that carries the whole text."""

    _whole_text: str | None = None

    def _add_message(self, fields: Fields, completed: bool) -> list[Event]:
        chunk = first_string(fields, "chunk", "text")
        whole = string(fields, self._WHOLE) if completed else None
        text = self.deltas.add(chunk or "", last=completed)
        if whole and not self.deltas.has_text():
            text = self.deltas.add(whole)  # it has no surrogate: see `_unicode.TEXT_FIELDS`
        if completed:
            self._whole_text = whole
        return [TextDelta(text, token_index(fields))] if text else []

    def _add_answer(self, fields: Fields) -> list[Event]:
        text = first_string(fields, self._WHOLE, "chunk", "text")
        if text is None:
            raise NoAnswer(f'the answer should have its text in "{self._WHOLE}"')
        text = self.deltas.add(text, last=True)
        return [TextDelta(text)] if text else []

    def _deltas_match(self) -> bool | None:
        return None if self._whole_text is None else self._whole_text == self.deltas.text()

    def _text(self) -> str:
        return self.deltas.text() if self._whole_text is None else self._whole_text


class QueryBuilder(TextBuilder[QueryResult]):
    _WHOLE = "answer"
    _NOT_EXTRA = SHARED_FIELDS | {"text", "answer"}

    _reasoning: Reasoning | None = None

    def _add_metadata(self, fields: Fields) -> None:
        super()._add_metadata(fields)
        if fields.get("reasoning") is not None:
            self._reasoning = read_reasoning(fields["reasoning"]) or self._reasoning

    def _complete(self, fields: Fields) -> Completed:
        # A reasoning in a form that this version cannot read becomes one of the extra fields.
        if read_reasoning(fields.get("reasoning")) is not None:
            fields = {name: value for name, value in fields.items() if name != "reasoning"}
        return super()._complete(fields)

    def _result(self, metadata: Metadata, *, partial: bool = False) -> QueryResult:
        return QueryResult(self._text(), self._reasoning, metadata, partial)


class CaptionBuilder(TextBuilder[CaptionResult]):
    _WHOLE = "caption"
    _NOT_EXTRA = SHARED_FIELDS | {"text", "caption"}

    def _result(self, metadata: Metadata, *, partial: bool = False) -> CaptionResult:
        return CaptionResult(self._text(), metadata, partial)
