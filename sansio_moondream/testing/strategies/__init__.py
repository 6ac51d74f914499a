"""Hypothesis strategies (extra `testing`): requests, events, responses, breaks, and all values.

What is drawn is consistent, as a server's answers are: the deltas add up to the text, a stream ends
once, and a `Response` has the expected outcome of its bytes. All strategies shrink to the simplest
value: no optional field, the engine's dialect, the servers' own formatting, one chunk, the first
byte.
"""

try:
    import hypothesis as _hypothesis
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"{__name__} needs hypothesis, which is not installed: "
        "pip install 'sansio-moondream[testing]'",
        name="hypothesis",
    ) from error

from ._answers import streams, whole_answers
from ._breaks import breaks, fragmentations, limits
from ._error_answers import error_answers
from ._events import events
from ._requests import images, requests, settings
from ._values import values

__all__ = [
    "breaks",
    "error_answers",
    "events",
    "fragmentations",
    "images",
    "limits",
    "requests",
    "settings",
    "streams",
    "values",
    "whole_answers",
]

del _hypothesis
