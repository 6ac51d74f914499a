"""A list, of which only the new items are held."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Growing(Generic[T]):
    """Append items, and take those that are new.

    Attributes:
        count: of all items, taken or not.
    """

    def __init__(self) -> None:
        self._new: list[T] = []
        self.count = 0

    def append(self, item: T) -> int:
        """Append an item, and return its index."""
        self._new.append(item)
        self.count += 1
        return self.count - 1

    def take(self) -> tuple[T, ...]:
        """Return the items that are new, and release them."""
        new = tuple(self._new)
        self._new.clear()
        return new
