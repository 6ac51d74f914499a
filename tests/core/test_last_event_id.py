"""`parse_last_event_id`: what clients send, and what they should not."""

from __future__ import annotations

import pytest

from sansio_moondream import BadRequestError
from sansio_moondream.relay import parse_last_event_id


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, 0), ("", 0), ("0", 0), ("7", 7), ("007", 7), ("9" * 18, 10**18 - 1)],
)
def test_ids(value: str | None, expected: int):
    assert parse_last_event_id(value) == expected


@pytest.mark.parametrize(
    "value", ["-1", "+1", " 1", "1\n", "1.0", "1_0", "\u0661", "abc", "9" * 19, "9" * 10_000]
)
def test_what_is_no_id_of_a_stream(value: str):
    with pytest.raises(BadRequestError, match="should be a number of this stream") as caught:
        parse_last_event_id(value)
    assert (caught.value.status_code, caught.value.param) == (400, "last_event_id")
    assert len(caught.value.message) < 120
