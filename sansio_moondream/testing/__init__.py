"""Tools for your own tests: split a stream in every way, break it anywhere, compare the outcomes.

`check_fragmentations` does all of it in one call. `strategies` (extra `testing`) generates streams
with Hypothesis.
"""

from ._breaks import EOF, BreakAt, record_ends
from ._fragmentations import at_offsets, each_byte, every_fragmentation, in_two, with_empty_chunks
from ._outcomes import EVENT_STREAM, Outcome, check_fragmentations, run
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
