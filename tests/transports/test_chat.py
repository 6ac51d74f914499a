"""A chat over every transport: whole, and broken in the ways that are its own. What all skills
share is in test_faults.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from moondream_transports import Timeouts
from moondream_transports.conformance._fault_cases import exchange
from moondream_transports.conformance._fault_server import (
    LAST_CHUNK,
    FaultServer,
    Script,
    chunk,
    head,
)
from moondream_transports.conformance._faults import answers, sized, wait
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

from .adapters import Adapter, assert_no_key, each_adapter


def message(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    return chunk(
        record(
            {"id": "7", "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}
        )
    )


BEGUN = (
    head(),
    message({"role": "assistant", "content": ""}),
    message({"reasoning": "Look."}),
    message({"content": "A moon."}),
)
STOP, BILL = (
    message({}, "stop"),
    chunk(record({"id": "7", "choices": [], "usage": {"total_tokens": 743}})),
)
DONE = chunk(b"data: [DONE]\n\n")
EVENTS = [ReasoningDelta("Look."), TextDelta("A moon.")]
ERROR = {"error": {"message": "worker died", "type": "server_error"}}


@dataclass(frozen=True)
class Case:
    """What the server does, and the error that it comes to after the two events, None where the
    answer is whole.
    """

    name: str
    script: Script
    error: type[MoondreamError] | None = None
    finish_reason: str | None = "stop"
    usage: Usage | None = None


TIMEOUTS = Timeouts(idle=1)
CASES = [
    Case("whole", answers(*BEGUN, STOP, BILL, DONE, LAST_CHUNK), usage=Usage(total_tokens=743)),
    Case("whole, and the connection is kept open", answers(*BEGUN, STOP, DONE, then=wait)),
    Case("whole, and lost behind its end", answers(*BEGUN, STOP, DONE)),
    Case("without [DONE]", answers(*BEGUN, STOP, BILL, LAST_CHUNK), usage=Usage(total_tokens=743)),
    Case("lost between two messages", answers(*BEGUN), ConnectionLost, None),
    Case("lost behind the finish reason", answers(*BEGUN, STOP), ConnectionLost),
    Case("silent behind the finish reason", answers(*BEGUN, STOP, then=wait), IdleTimeout),
    Case("ends without a finish reason", answers(*BEGUN, LAST_CHUNK), IncompleteStream, None),
    Case(
        "[DONE] without a finish reason", answers(*BEGUN, DONE, LAST_CHUNK), IncompleteStream, None
    ),
    Case(
        "ends in the middle of [DONE]",
        answers(*BEGUN, STOP, chunk(b"data: [DO"), LAST_CHUNK),
        IncompleteStream,
    ),
    Case(
        "an error in the stream",
        answers(*BEGUN, chunk(record(ERROR)), DONE, LAST_CHUNK),
        ServerError,
        None,
    ),
]


@each_adapter
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_streams(case: Case, adapter: Adapter) -> None:
    async def main(server: FaultServer) -> None:
        async with adapter.transport() as transport:
            events, outcome = await exchange(adapter, transport, server, CHAT, timeouts=TIMEOUTS)
        assert_no_key(outcome, repr(transport), repr(events))
        assert events[:2] == EVENTS
        if case.error is not None:
            assert type(outcome) is case.error, outcome
            assert len(events) == 2
        else:
            assert isinstance(outcome, ChatResult), outcome
            assert events[2:] == [Completed(outcome)]
        partial: Any = outcome if case.error is None else outcome.partial
        assert (partial.text, partial.reasoning) == ("A moon.", Reasoning("Look."))
        assert (
            partial.metadata.request_id,
            partial.metadata.finish_reason,
            partial.metadata.usage,
        ) == ("7", case.finish_reason, case.usage)

    with FaultServer(case.script) as server:
        adapter.run(main, server)
    assert server.connections == 1


@each_adapter
def test_whole_and_refused_answers(adapter: Adapter) -> None:
    body = (
        b'{"choices": [{"index": 0, "message": {"content": "A moon."}, "finish_reason": "stop"}]}'
    )

    async def main(server: FaultServer) -> tuple[list[Any], Any]:
        async with adapter.transport() as transport:
            return await exchange(adapter, transport, server, CHAT)

    with FaultServer(answers(sized(body, kind="application/json"))) as server:
        events, outcome = adapter.run(main, server)
        assert events == [TextDelta("A moon."), Completed(outcome)]
    with FaultServer(
        answers(sized(b'{"error": {"message": "No."}}', status_code=401, kind="application/json"))
    ) as server:
        events, outcome = adapter.run(main, server)
        assert (events, type(outcome), str(outcome)) == (
            [],
            AuthenticationError,
            f"the server answered 401: No. [POST {server.url}/chat/completions]",
        )
