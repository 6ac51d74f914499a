"""Hypothesis strategies (extra `testing`): requests, events, the bytes of responses, and ways to
cut and break them.

What they draw is consistent, as a server's answer is: the deltas of a text add up to it, a stream
ends once, and a `Response` says what must come out of its bytes. All shrink to the plainest: no
optional field, the engine's dialect, the servers' own spelling, one chunk, the first byte."""

try:
    import hypothesis as _hypothesis
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"{__name__} needs hypothesis, which is not installed: pip install 'sansio-moondream[testing]'",
        name="hypothesis",
    ) from error

from ._breaking import faults, fragmentations, limits
from ._events import events
from ._requests import images, requests, settings
from ._responses import error_answers, streams, whole_answers

__all__ = [
    "error_answers",
    "events",
    "faults",
    "fragmentations",
    "images",
    "limits",
    "requests",
    "settings",
    "streams",
    "whole_answers",
]

del _hypothesis
