"""For your own tests: cut a stream in every way that a network might, break it anywhere, and compare what comes out.

`check_cuttings` is the whole of it in one call. `strategies` (extra `testing`) makes streams up, for Hypothesis.
"""

from ._cuttings import at_offsets, each_byte, every_cutting, one_cut, with_empty_pieces
from ._outcomes import EOF, EVENT_STREAM, Fault, Outcome, check_cuttings, record_ends, run
from ._responses import Response

__all__ = [
    "EOF",
    "EVENT_STREAM",
    "Fault",
    "Outcome",
    "Response",
    "at_offsets",
    "check_cuttings",
    "each_byte",
    "every_cutting",
    "one_cut",
    "record_ends",
    "run",
    "with_empty_pieces",
]
