# Generated from ../_async/texts.py by `make generate`; do not edit.
"""The texts of a stream."""

from __future__ import annotations

from collections.abc import Iterator

from sansio_moondream import Event, TextDelta


class Texts:
    """Iterate over texts without a generator, which would stay open if it is left early."""

    def __init__(self, events: Iterator[Event]) -> None:
        self._events = events

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        while not isinstance(event := next(self._events), TextDelta):
            pass
        return event.text
