"""What the builders of all skills share.

A builder takes the messages of one answer, gives the events of each, and holds the result.

1. `add_message` takes a message of a stream, `add_answer` a whole JSON answer. `end_of_stream`
   marks the end by protocol where that is no message. They set `result` when the answer is
   complete.
2. A message is checked before any of it counts. A message that contradicts the protocol leaves the
   builder unchanged.
3. A field that carries the answer must have the right type, else `Contradiction` is raised. A field
   of metadata with the wrong type is ignored. `null` means that the field is absent.
4. A caller may add the text of a message to `deltas` by itself. Then it must come to the same as
   `add_message` would (see `_wire/fast_path.py`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic

import msgspec

from sansio_moondream._errors import LimitExceeded
from sansio_moondream._events import Completed, Event, Unknown
from sansio_moondream._headers import Headers
from sansio_moondream._limits import Limits
from sansio_moondream._metadata import Metadata, Metrics, Stats
from sansio_moondream._results import R
from sansio_moondream._unicode import (
    ends_in_high_surrogate,
    well_formed,
    with_well_formed_texts,
)

from .fields import Fields, flag, numbers

SHARED_FIELDS = frozenset(
    {
        "completed",
        "chunk",
        "token_index",
        "request_id",
        "finish_reason",
        "metrics",
        "stats",
        "_stats",
    }
)
"""Fields that mean the same in a message of any skill but the chat."""
_METADATA_FIELDS = frozenset({"request_id", "finish_reason", "metrics", "stats", "_stats"})
_BUDGET = 32 * 1024
"""Bytes after which the parts of a text are joined."""
_SIZE_OF_A_PART = 64
"""Bytes that the budget is charged for each part, besides its text."""


class Deltas:
    """Collect the text of an answer, which comes in chunks, up to a limit.

    A text of one character takes fifty bytes as a string of its own. So we join the parts as soon
    as the budget is used up.

    Attributes:
        parts: the last texts.
        budget: bytes of UTF-8 that surely still fit. A caller that appends to `parts` by itself
            subtracts at least the size of the text, and at least a few bytes for each part.
        surrogate: a high surrogate that waits for the next text, or "". While there is one, all
            text must come through `add`.
    """

    def __init__(self, max_bytes: int) -> None:
        self.parts: list[str] = []
        self.budget = min(max_bytes, _BUDGET)
        self.surrogate = ""
        self._max_bytes = max_bytes
        self._joined: list[str] = []  # the texts before `parts`
        self._joined_size = 0

    def fits(self, size: int) -> bool:
        """Whether a text of `size` bytes fits. If it does, the budget covers it."""
        if size > self.budget:
            self._join_parts()
            self.budget = min(self._max_bytes - self._joined_size, max(size, _BUDGET))
        return size <= self.budget

    def append(self, text: str) -> None:
        """Add a text that has no surrogates and fits."""
        self.parts.append(text)
        self.budget -= _size(text) + _SIZE_OF_A_PART

    def add(self, text: str, *, last: bool = False) -> str:
        """Add a text and return what may be given out now.

        Surrogates are joined or replaced (see `_unicode.py`). A high surrogate at the end is kept
        for the next text, unless this text is the `last`.

        Raises:
            LimitExceeded: The text does not fit. It is not added.
        """
        if not text and not last:
            return ""
        text, self.surrogate = self.surrogate + text, ""
        if not last and ends_in_high_surrogate(text):
            text, self.surrogate = text[:-1], text[-1]
        if not text:
            return ""
        text = well_formed(text)
        if not self.fits(_size(text)):
            raise LimitExceeded(
                f"the server sent more text than Limits.max_text_bytes ({self._max_bytes:,} bytes)"
            )
        self.append(text)
        return text

    def has_text(self) -> bool:
        """Return whether any text was given out."""
        return any(self._joined) or any(self.parts)

    def text(self) -> str:
        """Return all text that was given out."""
        self._join_parts()
        text = "".join(self._joined)
        self._joined = [text]
        return text

    def _join_parts(self) -> None:
        part = "".join(self.parts)
        self.parts.clear()
        self._joined.append(part)
        self._joined_size += _size(part)


def _size(text: str) -> int:
    """Return the bytes of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())


class Builder(ABC, Generic[R]):
    """Build the result of one answer from its messages."""

    DONE: ClassVar[bytes | None] = None
    """The data of the record that ends a stream, where that record is not JSON."""
    _MEANINGFUL: ClassVar[frozenset[str]]
    """The fields by which a message is known. See `_is_unknown`."""
    _READ: ClassVar[frozenset[str]] = SHARED_FIELDS
    """The fields that any message may have. A message that has only these says nothing more."""
    _NOT_EXTRA: ClassVar[frozenset[str]]
    """All other fields of the last message become `Metadata.extra`."""

    def __init__(self, headers: Headers, limits: Limits) -> None:
        self.deltas = Deltas(limits.max_text_bytes)
        self.result: R | None = None
        self._metadata = Metadata(request_id=headers.get("x-request-id"), headers=headers)

    @property
    def request_id(self) -> str | None:
        """The server's id of the exchange, as far as it is known."""
        return self._metadata.request_id

    def add_message(self, fields: Fields) -> list[Event]:
        """Add a message of a stream and return its events.

        Raises:
            Contradiction: The message contradicts the protocol.
            LimitExceeded: Its text exceeds `Limits.max_text_bytes`.
        """
        completed = flag(fields, "completed")
        events = self._add_message(fields, completed)
        self._add_metadata(fields)
        if completed:
            return [*events, self._complete(fields)]
        return events or self._unknown(fields)

    def add_answer(self, fields: Fields) -> list[Event]:
        """Add an answer that came as one JSON object, and return its events.

        Raises as `add_message` does.
        """
        events = self._add_answer(fields)
        self._add_metadata(fields)
        return [*events, self._complete(fields)]

    def end_of_stream(self) -> list[Event]:
        """Note that the stream ended by `DONE` or with its body, and return the last events.

        Only an answer that has no end-of-stream message completes here.
        """
        return []

    def snapshot(self) -> R:
        """Return what has arrived as a partial result, or `result` if the answer is complete."""
        return self.result or self._result(self._metadata, partial=True)

    @abstractmethod
    def _add_message(self, fields: Fields, completed: bool) -> list[Event]:
        """Add the fields that carry the answer; return their events without `Completed`."""

    def _add_answer(self, fields: Fields) -> list[Event]:
        """Do the same for a whole answer."""
        return self._add_message(fields, True)

    @abstractmethod
    def _result(self, metadata: Metadata, *, partial: bool = False) -> R:
        """Return what was added as a result."""

    def _deltas_match(self) -> bool | None:
        """Return the value of `Metadata.deltas_match`."""
        return None

    def _is_unknown(self, fields: Fields) -> bool:
        """Whether a message that gave no event should be an `Unknown`.

        If its known fields say nothing (null, false, an empty text), its other fields decide.
        """
        if self._MEANINGFUL.isdisjoint(fields):
            return True
        said = {name for name, value in fields.items() if value}
        return self._MEANINGFUL.isdisjoint(said) and not said <= self._READ

    def _unknown(self, fields: Fields) -> list[Event]:
        return [Unknown(with_well_formed_texts(fields))] if self._is_unknown(fields) else []

    def _add_metadata(self, fields: Fields) -> None:
        if _METADATA_FIELDS.isdisjoint(fields):
            return
        changes: dict[str, Any] = {}
        request_id = fields.get("request_id")
        if type(request_id) in (str, int) and request_id not in ("", self.request_id):
            changes["request_id"] = str(request_id)
        if isinstance(finish_reason := fields.get("finish_reason"), str) and finish_reason:
            changes["finish_reason"] = finish_reason
        before = self._metadata
        if (metrics := numbers(Metrics, fields.get("metrics"), before.metrics)) is not None:
            changes["metrics"] = metrics
        for name in ("_stats", "stats"):
            stats = numbers(Stats, fields.get(name), changes.get("stats", before.stats))
            if stats is not None:
                changes["stats"] = stats
        if changes:
            self._metadata = msgspec.structs.replace(self._metadata, **changes)

    def _complete(self, fields: Fields) -> Completed:
        extra = {name: value for name, value in fields.items() if name not in self._NOT_EXTRA}
        self._metadata = msgspec.structs.replace(
            self._metadata, extra=well_formed(extra), deltas_match=self._deltas_match()
        )
        self.result = self._result(self._metadata)
        return Completed(self.result)
