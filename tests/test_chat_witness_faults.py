"""The `openai` package as a witness: faults of a server, side by side."""

from __future__ import annotations

import json
from typing import NamedTuple

import pytest

from sansio_moondream import (
    ConnectionLost,
    IncompleteStream,
    MoondreamError,
    RateLimitError,
    ServerError,
)
from tests.chat_witness import BILL, DONE, START, STOP, A, by_openai, by_us, chunks
from tests.helpers import record

ERROR = record({"error": {"message": "out of memory", "type": "server_error"}})
BUSY = json.dumps({"error": {"message": "slow down", "type": "rate_limit_error"}}).encode()


class HTTPFault(NamedTuple):
    """The bytes that are sent, and the error classes of both clients. None is no error."""

    sent: list[bytes]
    ours: type[MoondreamError]
    theirs: str | None
    text: str = "Ein"


FAULTS = {
    "connection lost between two chunks": HTTPFault(
        chunks([START, A], framed=False), ConnectionLost, "APIConnectionError"
    ),
    "connection lost behind the finish reason": HTTPFault(
        chunks([START, A, STOP], framed=False), ConnectionLost, "APIConnectionError"
    ),
    "body ends without the finish reason": HTTPFault(chunks([START, A]), IncompleteStream, None),
    "[DONE] without a finish reason": HTTPFault(chunks([START, A, DONE]), IncompleteStream, None),
    "body ends in the middle of a record": HTTPFault(
        chunks([START, A, STOP, BILL[:30]]), IncompleteStream, None
    ),
    "an error in the stream": HTTPFault(chunks([START, A, ERROR, DONE]), ServerError, "APIError"),
    "an error as JSON in a 200": HTTPFault(
        chunks([BUSY], content_type="application/json"), RateLimitError, None, ""
    ),
    "429": HTTPFault(
        chunks([BUSY], status="429 Too Many Requests", content_type="application/json"),
        RateLimitError,
        "RateLimitError",
        "",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_side_by_side(name: str):
    fault = FAULTS[name]
    ours, theirs = by_us(fault.sent), by_openai(fault.sent)
    assert type(ours.error) is fault.ours
    assert (None if theirs.error is None else type(theirs.error).__name__) == fault.theirs
    assert ours.text == theirs.text == fault.text
