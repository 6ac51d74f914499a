"""For your own tests: cut a stream in every way that a network might, break it anywhere, and
compare what comes out.

`check_fragmentations` is the whole of it in one call. `strategies` (extra `testing`) makes streams
up, for Hypothesis."""

from ._fragmentations import at_offsets, each_byte, every_fragmentation, in_two, with_empty_chunks
from ._outcomes import EOF, EVENT_STREAM, BreakAt, Outcome, check_fragmentations, record_ends, run
from ._responses import Response

__all__ = [
    "EOF",
    "EVENT_STREAM",
    "BreakAt",
    "Outcome",
    "Response",
    "at_offsets",
    "check_fragmentations",
    "each_byte",
    "every_fragmentation",
    "in_two",
    "record_ends",
    "run",
    "with_empty_chunks",
]
