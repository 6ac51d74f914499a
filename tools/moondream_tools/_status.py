"""The exit statuses. It imports nothing slow: an interrupt may come before the rest is there."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

PROGRAM: Final = "moondream-stream"


class Exit(IntEnum):
    """Exit statuses. Those above 128 are a shell's for the same signals."""

    OK = 0
    USAGE = 2
    REFUSED = 3
    INCOMPLETE = 4
    UNREACHABLE = 5
    SOME_FAILED = 6
    INTERRUPTED = 130
    BROKEN_PIPE = 141
