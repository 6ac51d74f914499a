"""A chat over every transport: whole, and broken in the ways that are its own. What all skills share is in test_faults.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from moondream_transports.testing._fault_rows import exchange
from moondream_transports.testing._fault_server import LAST_CHUNK, FaultServer, Script, chunk, head
from moondream_transports.testing._faults import QUICK, answers, sized, wait
from sansio_moondream import (
    AuthenticationError,
    ChatResult,
    Completed,
    ConnectionLost,
    IdleTimeout,
    IncompleteStream,
    MoondreamError,
    Reasoning,
    ReasoningDelta,
    ServerError,
    TextDelta,
    Usage,
)
from tests.helpers import CHAT, record

from .drivers import Driver, assert_no_key, each_driver


def message(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    return chunk(record({"id": "7", "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}))


BEGUN = (head(), message({"role": "assistant", "content": ""}), message({"reasoning": "Look."}), message({"content": "A moon."}))
STOP, BILL = message({}, "stop"), chunk(record({"id": "7", "choices": [], "usage": {"total_tokens": 743}}))
DONE = chunk(b"data: [DONE]\n\n")
EVENTS = [ReasoningDelta("Look."), TextDelta("A moon.")]
ERROR = {"error": {"message": "worker died", "type": "server_error"}}


@dataclass(frozen=True)
class Row:
    """What the server does, and the error that it comes to after the two events, None where the answer is whole."""

    name: str
    script: Script
    error: type[MoondreamError] | None = None
    finish_reason: str | None = "stop"
    usage: Usage | None = None


ROWS = [
    Row("whole", answers(*BEGUN, STOP, BILL, DONE, LAST_CHUNK), usage=Usage(total_tokens=743)),
    Row("whole, and the connection is kept open", answers(*BEGUN, STOP, DONE, then=wait)),
    Row("whole, and lost behind its end", answers(*BEGUN, STOP, DONE)),
    Row("without [DONE]", answers(*BEGUN, STOP, BILL, LAST_CHUNK), usage=Usage(total_tokens=743)),
    Row("lost between two messages", answers(*BEGUN), ConnectionLost, None),
    Row("lost behind the finish reason", answers(*BEGUN, STOP), ConnectionLost),
    Row("silent behind the finish reason", answers(*BEGUN, STOP, then=wait), IdleTimeout),
    Row("ends without a finish reason", answers(*BEGUN, LAST_CHUNK), IncompleteStream, None),
    Row("[DONE] without a finish reason", answers(*BEGUN, DONE, LAST_CHUNK), IncompleteStream, None),
    Row("ends in the middle of [DONE]", answers(*BEGUN, STOP, chunk(b"data: [DO"), LAST_CHUNK), IncompleteStream),
    Row("an error in the stream", answers(*BEGUN, chunk(record(ERROR)), DONE, LAST_CHUNK), ServerError, None),
]


@each_driver
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_streams(row: Row, driver: Driver) -> None:
    async def main(server: FaultServer) -> None:
        async with driver.transport() as transport:
            events, outcome = await exchange(driver, transport, server, CHAT, timeouts=QUICK)
        assert_no_key(outcome, repr(transport), repr(events))
        assert events[:2] == EVENTS
        if row.error is not None:
            assert type(outcome) is row.error, outcome
            assert len(events) == 2
        else:
            assert isinstance(outcome, ChatResult), outcome
            assert events[2:] == [Completed(outcome)]
        partial: Any = outcome if row.error is None else outcome.partial
        assert (partial.text, partial.reasoning) == ("A moon.", Reasoning("Look."))
        assert (partial.metadata.request_id, partial.metadata.finish_reason, partial.metadata.usage) == ("7", row.finish_reason, row.usage)

    with FaultServer(row.script) as server:
        driver.run(main, server)
    assert server.connections == 1


@each_driver
def test_whole_and_refused_answers(driver: Driver) -> None:
    body = b'{"choices": [{"index": 0, "message": {"content": "A moon."}, "finish_reason": "stop"}]}'

    async def main(server: FaultServer) -> tuple[list[Any], Any]:
        async with driver.transport() as transport:
            return await exchange(driver, transport, server, CHAT, timeouts=QUICK)

    with FaultServer(answers(sized(body, kind="application/json"))) as server:
        events, outcome = driver.run(main, server)
        assert events == [TextDelta("A moon."), Completed(outcome)]
    with FaultServer(answers(sized(b'{"error": {"message": "No."}}', status_code=401, kind="application/json"))) as server:
        events, outcome = driver.run(main, server)
        assert (events, type(outcome), str(outcome)) == ([], AuthenticationError, "the server answered 401: No.")
