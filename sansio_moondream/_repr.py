"""What is left out of a repr: a key, a picture, the rest of a long text."""

from __future__ import annotations

from msgspec import Struct


class OwnRepr(Struct, frozen=True):
    """Base of values that define `__repr__`: rich shows them by it.

    msgspec gives each Struct a `__rich_repr__` that has all fields. rich prefers it to the repr,
    in `rich.print` and in tracebacks with local variables.
    """

    def __rich_repr__(self) -> None:  # type: ignore[override]  # msgspec's is a generator
        """Return nothing, so that rich takes the repr."""


def short_repr(value: object, keep: int) -> str:
    """Format a value for an error message, in at most `keep` characters."""
    try:
        shown = repr(value)
    except ValueError:  # Python refuses to write integers of more than 4,300 digits
        shown = f"{type(value).__name__} with too many digits"
    return shown if len(shown) <= keep else f"{shown[:keep]}…"
