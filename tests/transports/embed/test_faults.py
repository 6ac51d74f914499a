"""The SDKs of docs/how-to/embed-*.md against the faults that every transport is tested with."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from moondream_transports import Client, UrllibTransport
from moondream_transports.conformance._fault_cases import FAULTS, is_right
from moondream_transports.conformance._fault_server import (
    FaultServer,
    Peer,
)
from moondream_transports.conformance._faults import EVENTS, LARGE, HTTPFault, answers
from sansio_moondream import (
    APIError,
    ConnectionLost,
    Endpoint,
    Event,
    FirstEventTimeout,
    MoondreamError,
    RemoteProtocolError,
)
from tests.helpers import TRACES, Trace
from tests.transports.adapters import LONGEST_WAIT
from tests.transports.embed.sdks import each_sdk, exchange

CASES = [
    fault
    for fault in FAULTS
    if fault.limits is None  # the SDKs leave those of the core as they are
    # The SDKs limit each wait, but not the whole exchange.
    and not (("comments" in fault.name or "never ends" in fault.name) and fault.error)
    # This server sends its last byte late. The SDKs close when the answer is whole.
    and "in TCP segments" not in fault.name
]


# What the guide says of libraries, and is not mended there.
LIMITS_OF_LIBRARIES: dict[tuple[str, str], type[MoondreamError] | None] = {
    (
        "5: server closes in the middle of the status line",
        "moon_http",
    ): RemoteProtocolError,  # status 20, it says
    (
        "5: server closes in the middle of the head",
        "moon_http",
    ): RemoteProtocolError,  # text/ev, it says
    ("31: server sends 100 and 103 before the head", "moon_http"): ConnectionLost,
    ("31: server sends 200 header fields", "moon_http"): RemoteProtocolError,
    (
        "34: server sends a space before the colon of Content-Length",
        "moon_http",
    ): None,  # so it has no length, and is read to its end
}

# These depend on a race. When a write fails, asyncio drops what it has not read.
RACES = {("36: server answers 413 before it has read the request", "moon_asyncio"): ConnectionLost}


@each_sdk
class TestTheSameAsEveryTransport:
    @pytest.mark.parametrize("fault", CASES, ids=[fault.id for fault in CASES])
    def test_fault(self, fault: HTTPFault, sdk: str) -> None:
        if (fault.id, sdk) in LIMITS_OF_LIBRARIES:
            error = LIMITS_OF_LIBRARIES[fault.id, sdk]
            fault = replace(fault, error=error, about={}, events=0 if error else len(EVENTS))
        with FaultServer(fault.script) as server:
            request = fault.request
            timeout = fault.timeouts.idle and max(fault.timeouts.idle, 1)  # for connecting, too
            events, outcome = exchange(sdk, server.url, request, server.saw_event, timeout=timeout)
        is_lost = not events and type(outcome) is RACES.get((fault.id, sdk))
        assert is_lost or is_right(fault, events, outcome), (events, outcome)
        assert server.connections == 1

    @pytest.mark.parametrize("trace", TRACES, ids=[trace.name for trace in TRACES])
    def test_the_captured_responses(self, trace: Trace, sdk: str) -> None:
        """To the last field: metrics, request id, and the words of an error of the server."""
        with FaultServer(answers(*trace.raw)) as server:
            events, outcome = exchange(sdk, server.url, trace.request)
            with Client(UrllibTransport(), Endpoint(server.url)).stream(trace.request) as stream:
                expected: list[Event] = []
                try:
                    expected.extend(stream)
                    whole: Any = stream.result()
                except MoondreamError as error:
                    whole = error
        assert events == expected
        if isinstance(whole, MoondreamError):
            assert (type(outcome), outcome.partial, outcome.request_id) == (
                type(whole),
                whole.partial,
                whole.request_id,
            )
            assert not isinstance(whole, APIError) or str(outcome) == str(whole)
        else:
            assert outcome == whole


@each_sdk
def test_a_server_that_does_not_read(sdk: str) -> None:
    """Sending has a deadline too, and the headers, key included, are in none of the frames that an
    error remembers.
    """

    def script(peer: Peer) -> None:
        has_given_up.wait(LONGEST_WAIT)

    has_given_up = threading.Event()
    with FaultServer(script) as server:
        events, outcome = exchange(sdk, server.url, LARGE, timeout=1)
        has_given_up.set()
    assert (events, type(outcome), type(outcome.__cause__)) == ([], FirstEventTimeout, TimeoutError)
