"""Any recording survives the format, and any file is read or refused."""

from __future__ import annotations

import base64
import string
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from sansio_moondream.recording import (
    FORMAT_VERSION,
    OMITTED,
    Chunk,
    Ending,
    RecordedTimeouts,
    Recording,
    RecordingError,
    RecordingHeader,
    encode_line,
)
from tests.core.recordings import ENDING_ERRORS, MOON_FILE


def lines_of_text() -> st.SearchStrategy[str]:
    return st.text(st.characters(exclude_categories=["Cs"]))


SECONDS = st.floats(0, 1e6).map(lambda seconds: round(seconds, 6))
PAIRS = st.lists(
    st.tuples(
        st.text(string.ascii_letters + string.digits + "!#$%&'*+.^_`|~-", min_size=1),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\n\v\f\r")),
    ),
    max_size=3,
).map(tuple)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | lines_of_text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(string.ascii_letters), inner, max_size=3)
    ),
    max_leaves=5,
)


CHUNKS = st.lists(
    st.builds(Chunk, SECONDS, st.binary(min_size=1) | lines_of_text().filter(bool).map(str.encode)),
    max_size=5,
).map(tuple)


FAULTY = st.builds(
    Ending, SECONDS, st.sampled_from(ENDING_ERRORS).map(lambda kind: kind.__name__), lines_of_text()
)


LIMITS = st.none() | st.floats(0) | SECONDS
TIMEOUTS = st.none() | st.builds(RecordedTimeouts, LIMITS, LIMITS, LIMITS, LIMITS)


RECORDINGS = st.builds(
    Recording,
    st.builds(
        RecordingHeader,
        lines_of_text(),
        lines_of_text(),
        PAIRS,
        JSON,
        st.integers(100, 999),
        PAIRS,
        SECONDS,
        st.none() | SECONDS,
        TIMEOUTS,
    ),
    CHUNKS,
    FAULTY
    | st.builds(Ending, SECONDS)
    | st.builds(Ending, SECONDS, st.just(OMITTED), lines_of_text()),
) | st.builds(
    Recording,
    st.builds(RecordingHeader, lines_of_text(), lines_of_text(), PAIRS, JSON, timeouts=TIMEOUTS),
    st.just(()),
    FAULTY,
)


@given(RECORDINGS)
def test_what_goes_in_comes_out(recording: Recording) -> None:
    data = recording.encode()
    assert Recording.decode(data) == recording
    assert Recording.decode(data).encode() == data
    assert data.count(b"\n") == len(recording.chunks) + 2
    assert data.decode().splitlines() == data.decode().split("\n")[:-1]  # no other line end in it


LINES = st.lists(st.sampled_from([*MOON_FILE.splitlines(), "[]", '[0, "x"]', "{}"]))


@given(st.binary() | LINES.map(lambda lines: "\n".join(lines).encode()))
def test_only_documented_errors_come_out(data: bytes) -> None:
    with suppress(RecordingError):
        recording = Recording.decode(data)
        assert Recording.decode(recording.encode()) == recording


def test_bytes_that_are_text_are_text() -> None:
    assert encode_line(Chunk(0, b"A")).startswith(b'[0.0, "t"')
    assert encode_line(Chunk(0, "月".encode()[:2])) == b'[0.0, "b", "%b"]\n' % base64.b64encode(
        "月".encode()[:2]
    )
    assert FORMAT_VERSION == 1
