"""Values whose repr leaves something out: a key, a picture, a long text."""

from __future__ import annotations

from msgspec import Struct


class OwnRepr(Struct, frozen=True):
    """Base of values that define `__repr__`: rich shows them by it.

    msgspec gives each Struct a `__rich_repr__` that has all fields. rich prefers it to the repr,
    in `rich.print` and in tracebacks with local variables.
    """

    def __rich_repr__(self) -> None:  # type: ignore[override]  # msgspec's is a generator
        """Return nothing, so that rich takes the repr."""
