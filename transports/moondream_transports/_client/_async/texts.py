"""The texts of a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator

from sansio_moondream import Event, TextDelta


class AsyncTexts:
    """Iterate over texts without a generator, which would stay open if it is left early."""

    def __init__(self, events: AsyncIterator[Event]) -> None:
        self._events = events

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        while not isinstance(event := await anext(self._events), TextDelta):
            pass
        return event.text
