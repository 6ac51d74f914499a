"""The errors that a relay itself makes: their classes, and what a reader does with them."""

from __future__ import annotations

import pytest

from sansio_moondream import APIError, NotFoundError, ServerError, encode_error
from sansio_moondream.relay import _refusals as refusals
from sansio_moondream.relay import to_public


@pytest.mark.parametrize(
    ("error", "kind", "status_code", "type_", "retryable", "retry_after"),
    [
        (refusals.stopping(), ServerError, 503, "server_stopping", True, 1),
        (refusals.too_many(2.5), ServerError, 503, "too_many_streams", True, 2.5),
        (refusals.too_slow(1234), ServerError, 503, "reader_too_slow", True, None),
        (refusals.not_found(), NotFoundError, 404, "stream_not_found", False, None),
        (refusals.gone(7), NotFoundError, 404, "records_not_kept", False, None),
        (refusals.cancelled(), APIError, 410, "stream_cancelled", False, None),
        (refusals.internal(), ServerError, 500, "internal_error", True, None),
    ],
    ids=lambda value: value.type if isinstance(value, APIError) else "",
)
def test_each(
    error: APIError,
    kind: type[APIError],
    status_code: int,
    type_: str,
    retryable: bool,
    retry_after: float | None,
):
    assert type(error) is kind
    assert (error.status_code, error.type, error.retryable) == (status_code, type_, retryable)
    assert error.retry_after == retry_after
    assert to_public(error).message == error.message  # it is written for readers
    assert encode_error(error).status_code == status_code


def test_their_numbers():
    assert "1,234 bytes" in refusals.too_slow(1234).message
    assert "before 7" in refusals.gone(7).message
