"""Moments of `time.monotonic()`, and spans until them, where None is for ever."""

from __future__ import annotations

from time import monotonic


def after(seconds: float | None) -> float | None:
    """The moment so many seconds from now."""
    return None if seconds is None else monotonic() + seconds


def sooner(one: float | None, other: float | None) -> float | None:
    """Whichever moment comes first, or whichever span is shorter."""
    return min((moment for moment in (one, other) if moment is not None), default=None)
