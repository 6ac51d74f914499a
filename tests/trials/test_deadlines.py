"""Case 8 of "What broke in trials": heads that never end ran past every deadline, on sync httpx."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

import pytest

from moondream_transports import Timeouts
from moondream_transports.conformance._fault_server import FaultServer, Peer
from sansio_moondream import MoondreamError, RemoteProtocolError
from tests.helpers import QUERY
from tests.transports.adapters import ADAPTERS, Adapter

TOTAL = 1.0
WATCHDOG = 6.0  # then the server closes: a client that hung until then gets ConnectionLost


def sends(data: bytes, every: float) -> Callable[[Peer], None]:
    """Send the same again and again until the client closes, or the watchdog ends it."""

    def script(peer: Peer) -> None:
        peer.read_request()
        end = monotonic() + WATCHDOG
        while monotonic() < end:
            if every and peer.is_closed_within(every):
                return
            peer.sock.sendall(data)

    return script


def dribbles(peer: Peer) -> None:
    """Send a head that has no end, byte by byte."""
    peer.read_request()
    end = monotonic() + WATCHDOG
    for byte in b"HTTP/1.1 200 \r\nX-Long: " + b"m" * 100:
        if monotonic() > end or peer.is_closed_within(0.3):
            return
        peer.send(bytes([byte]))


HEADS = {
    "a flood of early heads": sends(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100, 0.001),
    "a slow flood of early heads": sends(b"HTTP/1.1 103 Early Hints\r\n\r\n", 0.3),
    "a head that dribbles": dribbles,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("adapter", ADAPTERS, ids=[adapter.name for adapter in ADAPTERS])
def test_the_total_time_ends_a_head_that_never_ends(adapter: Adapter, name: str) -> None:
    timeouts = Timeouts(connect=TOTAL, first_event=TOTAL, idle=TOTAL, total=TOTAL)

    async def main(server: FaultServer) -> BaseException | None:
        async with adapter.transport() as transport:
            try:
                await adapter.asks(transport, server.url, timeouts=timeouts).send(QUERY)
            except MoondreamError as error:
                return error
        return None

    with FaultServer(HEADS[name], timeout=2 * WATCHDOG) as server:
        error = adapter.run(main, server)
    assert isinstance(error, TimeoutError | RemoteProtocolError), error  # a flood may be refused
