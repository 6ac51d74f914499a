"""Strategies to split and break bytes, and for limits that break streams."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from sansio_moondream._errors import ConnectionLost, IdleTimeout, RemoteProtocolError, TotalTimeout
from sansio_moondream._limits import Limits
from sansio_moondream.testing._breaks import BreakAt
from sansio_moondream.testing._fragmentations import at_offsets

_ERRORS = (
    ConnectionLost("the connection was closed"),
    IdleTimeout("no byte for 30 s"),
    TotalTimeout("not complete after 600 s"),
    RemoteProtocolError("the bytes are not HTTP"),
)


@st.composite
def fragmentations(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """Split `data` into up to 13 chunks, none of them empty. Shrinks to one chunk."""
    return at_offsets(data, draw(st.lists(st.integers(1, max(1, len(data) - 1)), max_size=12)))


def breaks(data: bytes, errors: Sequence[Exception] = _ERRORS) -> st.SearchStrategy[BreakAt]:
    """Break `data`, a body, at any byte, with one of `errors` or a proper end.

    Shrinks to a proper end before the first byte.
    """
    error = st.none() | st.sampled_from(errors)
    return st.builds(BreakAt, error, after_bytes=st.integers(0, len(data)))


def limits(max_bytes: int = 4096) -> st.SearchStrategy[Limits]:
    """Generate limits that short streams exceed: at most `max_bytes` bytes each."""
    small = st.integers(1, max_bytes)
    return st.builds(
        Limits,
        max_record_bytes=small,
        max_error_body_bytes=small,
        max_text_bytes=small,
        max_record_lines=st.integers(1, 8),
        max_json_depth=st.integers(1, 8),
        max_json_values=small,
        max_inflate_ratio=st.integers(1, 20),
    )
