"""Every fault of a real server is recorded, and its replay has the same outcome."""

from __future__ import annotations

import re
from itertools import cycle
from typing import Any

import pytest

from moondream_transports import (
    AsyncReplayTransport,
    AsyncVirtualClock,
    ReplayTransport,
    VirtualClock,
)
from moondream_transports.conformance._fault_cases import FAULTS, exchange
from moondream_transports.conformance._fault_server import (
    FaultServer,
)
from moondream_transports.conformance._faults import HTTPFault
from moondream_transports.conformance._secrets import KEY
from sansio_moondream import (
    Result,
)
from sansio_moondream.recording import Recording
from tests.transports.adapters import SYNC_AND_ASYNC, Adapter
from tests.transports.recording.transports import recording_of


def replay_of(adapter: Adapter, recording: Recording) -> Any:
    if adapter.is_async:
        return AsyncReplayTransport([recording], clock=AsyncVirtualClock())
    return ReplayTransport([recording], clock=VirtualClock())


def about(events: list[Any], outcome: Any) -> Any:
    """What an exchange came to, without what differs between two runs of one server."""
    if isinstance(outcome, Result):
        return (
            events[:-1],
            type(outcome),
            [(name, value) for name, value in vars_of(outcome) if name != "metadata"],
        )
    return (
        events,
        type(outcome),
        re.sub(r"[0-9.]+ seconds?", "", str(outcome)),
        str(getattr(outcome.partial, "text", None)),
    )


def vars_of(result: Any) -> list[tuple[str, Any]]:
    return [(name, getattr(result, name)) for name in result.__struct_fields__]


@pytest.mark.parametrize(
    ("fault", "adapter"),
    list(zip(FAULTS, cycle(SYNC_AND_ASYNC), strict=False)),
    ids=[fault.id for fault in FAULTS],
)
def test_every_fault_is_recorded_and_replays_to_the_same(
    fault: HTTPFault, adapter: Adapter
) -> None:
    saved: list[Recording] = []

    async def live(server: FaultServer) -> Any:
        request = fault.request
        async with adapter.transport() as transport:
            seen = await exchange(
                adapter,
                recording_of(adapter, transport, saved.append),
                server,
                request,
                timeouts=fault.timeouts,
                limits=fault.limits,
            )
        (recording,) = [Recording.decode(one.encode()) for one in saved]
        again = await exchange(
            adapter,
            replay_of(adapter, recording),
            server,
            request,
            timeouts=fault.timeouts,
            limits=fault.limits,
        )
        assert about(*again) == about(*seen)

    with FaultServer(fault.script) as server:
        adapter.run(live, server)
    assert KEY.encode() not in saved[0].encode()
