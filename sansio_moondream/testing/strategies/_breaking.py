"""Ways to cut and break bytes, and limits to break on."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from sansio_moondream._errors import ConnectionLost, IdleTimeout, RemoteProtocolError, TotalTimeout
from sansio_moondream._limits import Limits
from sansio_moondream.testing._fragmentations import at_offsets
from sansio_moondream.testing._outcomes import BreakAt

_ENDINGS = (
    ConnectionLost("the connection broke"),
    IdleTimeout("no byte for 30 s"),
    TotalTimeout("not whole after 600 s"),
    RemoteProtocolError("what came is not HTTP"),
)


@st.composite
def fragmentations(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """The bytes in up to 13 chunks, none of them empty, cut anywhere; shrinks to one chunk."""
    return at_offsets(data, draw(st.lists(st.integers(1, max(1, len(data) - 1)), max_size=12)))


def faults(data: bytes, errors: Sequence[Exception] = _ENDINGS) -> st.SearchStrategy[BreakAt]:
    """A plan to break a stream somewhere, with one of these errors or a clean end; shrinks to a
    clean end before the first byte.
    """
    return st.builds(BreakAt, st.integers(0, len(data)), st.none() | st.sampled_from(errors))


def limits(most: int = 4096) -> st.SearchStrategy[Limits]:
    """Limits small enough to be met by short streams: `most` bytes at most."""
    small = st.integers(1, most)
    return st.builds(
        Limits,
        max_record_bytes=small,
        max_error_body_bytes=small,
        max_text_bytes=small,
        max_json_depth=st.integers(1, 8),
        max_inflate_ratio=st.integers(1, 20),
    )
