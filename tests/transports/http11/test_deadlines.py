"""Every wait of UrllibTransport and AnyioTransport ends in time, whatever the server does."""

from __future__ import annotations

import errno
from time import monotonic
from typing import Any

import pytest

from moondream_transports import Timeouts
from moondream_transports._http11.errors import map_error
from moondream_transports.conformance._fault_server import (
    FaultServer,
    Peer,
    chunk,
    head,
)
from moondream_transports.conformance._faults import DELTAS, F1, answers, wait
from sansio_moondream import (
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    Endpoint,
    MoondreamError,
)
from tests.helpers import QUERY
from tests.transports.adapters import Adapter

from .exchanges import (
    TIMEOUTS,
    each_adapter,
    request_to,
    run,
)


@each_adapter
class TestDeadlines:
    def test_of_one_read(self, adapter: Adapter) -> None:
        """The next deadline may be earlier or later. Bytes of the framing do not postpone it."""

        async def main(transport: Any) -> None:
            stream = await adapter.send(transport, request_to(server), TIMEOUTS)
            for timeout in (30, None, 5):
                server.saw_event()
                assert await stream.read(timeout)
            began = monotonic()
            with pytest.raises(TimeoutError) as caught:
                await stream.read(0.3)
            assert not isinstance(caught.value, MoondreamError)
            assert 0.29 < monotonic() - began < 5
            await stream.aclose()

        def script(peer: Peer) -> None:
            peer.answer(head())
            for data in DELTAS[:3]:
                peer.wait_for_event()
                peer.send(chunk(data))
            peer.send(b"5;")
            peer.send_for_ever(b"x", 0.05)

        with FaultServer(script) as server:
            run(adapter, main)

    def test_of_a_late_read(self, adapter: Adapter) -> None:
        """The timer of an earlier read rings while nothing waits. The next deadline is exact."""

        async def main(transport: Any) -> None:
            stream = await adapter.send(transport, request_to(server), TIMEOUTS)
            left = sum(map(len, DELTAS))
            while left:
                left -= len(await stream.read(1))
            await adapter.sleep(1.1)
            began = monotonic()
            with pytest.raises(TimeoutError):
                await stream.read(0.2)
            assert 0.19 < monotonic() - began < 5
            await stream.aclose()

        with FaultServer(answers(*F1, then=wait)) as server:
            run(adapter, main)

    def test_of_the_head_counts_from_the_connection(self, adapter: Adapter) -> None:
        async def main(transport: Any) -> None:
            for timeouts in (Timeouts(first_event=0.2), Timeouts(total=0.2)):
                began = monotonic()
                with pytest.raises(TimeoutError):
                    await adapter.send(transport, request_to(server), timeouts)
                assert 0.19 < monotonic() - began < 5

        with FaultServer(answers(then=wait)) as server:
            run(adapter, main)


_FLOOD = b"HTTP/1.1 103 Early Hints\r\n\r\n"


@each_adapter
@pytest.mark.parametrize("limit", ["first_event", "total"])
@pytest.mark.parametrize(
    ("data", "every"), [(_FLOOD, 0.3), (b"H", 0.3)], ids=["early heads", "a head that dribbles"]
)
def test_heads_that_never_end(adapter: Adapter, limit: str, data: bytes, every: float) -> None:
    async def main(transport: Any) -> None:
        began = monotonic()
        with pytest.raises(TimeoutError):
            await adapter.send(transport, request_to(server), Timeouts(**{limit: 1.0}))
        assert 0.99 < monotonic() - began < 6

    def script(peer: Peer) -> None:
        peer.answer(*[] if data == _FLOOD else [b"HTTP/1.1 200 \r\nX-Long: "])
        peer.send_for_ever(data, every)

    with FaultServer(script) as server:
        run(adapter, main)


@each_adapter
def test_deadline_of_the_connection_names_its_timeout(adapter: Adapter) -> None:
    async def main(transport: Any) -> None:
        https = QUERY.to_http(Endpoint(url=server.url.replace("http:", "https:")))
        for timeouts, words in [
            (Timeouts(connect=0.2), r"within 0\.2 seconds \(Timeouts\.connect\)"),
            (Timeouts(total=0.3), r"within 0\.3 seconds \(Timeouts\.total\)"),
        ]:
            with pytest.raises(ConnectTimeout, match=words):
                await adapter.send(transport, https, timeouts)

    with FaultServer(wait) as server:
        run(adapter, main)


def test_timeouts_of_the_system_are_errors_of_the_connection() -> None:
    """ETIMEDOUT is a TimeoutError, too, but no deadline of ours passed."""
    of_the_system = OSError(errno.ETIMEDOUT, "Connection timed out")
    assert isinstance(of_the_system, TimeoutError)
    assert type(map_error(of_the_system, TIMEOUTS)) is ConnectError
    assert type(map_error(of_the_system)) is ConnectionLost
