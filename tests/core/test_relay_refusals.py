"""The errors that a relay itself makes, and those that the service answers."""

from __future__ import annotations

import pytest

from sansio_moondream import APIError, NotFoundError, ServerError, encode_error
from sansio_moondream._server.refusals import refusal
from sansio_moondream.relay import _refusals as refusals
from sansio_moondream.relay import to_public


@pytest.mark.parametrize(
    ("error", "kind", "status_code", "type_", "retryable", "retry_after", "message"),
    [
        (
            refusals.stopping(),
            *(ServerError, 503, "server_stopping", True, 1),
            "this server stops: ask again",
        ),
        (
            refusals.too_many(2.5),
            *(ServerError, 503, "too_many_streams", True, 2.5),
            "too many streams are open on this server: ask again later",
        ),
        (
            refusals.too_slow(123456),
            *(ServerError, 503, "reader_too_slow", True, None),
            "the stream is ended, as its reader is too slow: 123,456 bytes wait for it",
        ),
        (
            refusals.not_found(),
            *(NotFoundError, 404, "stream_not_found", False, None),
            "this server has no such stream, or keeps it no longer",
        ),
        (
            refusals.gone(31),
            *(NotFoundError, 404, "records_not_kept", False, None),
            "the records before 31 are no longer kept: ask again",
        ),
        (
            refusals.cancelled(),
            *(APIError, 410, "stream_cancelled", False, None),
            "the stream was cancelled: ask again if it is wanted still",
        ),
        (
            refusals.internal(),
            *(ServerError, 500, "internal_error", True, None),
            "this server failed, by a mistake in its program",
        ),
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
    message: str,
):
    assert type(error) is kind
    assert (error.status_code, error.type, error.retryable) == (status_code, type_, retryable)
    assert (error.retry_after, error.message) == (retry_after, message)
    assert to_public(error).to_dict() == error.to_dict()  # it is written for readers
    assert encode_error(error).status_code == status_code


@pytest.mark.parametrize(
    ("status_code", "type_"),
    [
        *((400, "invalid_request_error"), (499, "invalid_request_error")),
        *((500, "server_error"), (503, "overloaded_error"), (504, "server_error")),
    ],
)
def test_the_type_of_a_status(status_code: int, type_: str):
    error = refusal(status_code, "no", "field")
    assert (error.status_code, error.type, error.param) == (status_code, type_, "field")
