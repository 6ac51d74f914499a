"""Deadlines of connecting, of the head and of each read."""

from __future__ import annotations

import asyncio
import threading
import time
from time import monotonic

import pytest

from moondream_transports import AiohttpTransport, Timeouts
from moondream_transports.conformance._fault_server import (
    FaultServer,
    Peer,
    head,
)
from moondream_transports.conformance._faults import (
    CLOSE_DELIMITED,
    DELTAS,
    answers,
    wait,
)
from sansio_moondream import (
    ConnectTimeout,
    MoondreamError,
)
from tests.transports.adapters import LONGEST_WAIT, assert_no_key
from tests.transports.aiohttp.exchanges import aiohttp, request_to, run


class TestDeadlines:
    def test_of_reads_are_kept_each(self) -> None:
        """A long one, then short ones, then one while the timer is set to an earlier moment."""

        async def main() -> None:
            async with AiohttpTransport() as transport:
                stream = await transport.send(request_to(server.url), Timeouts())
                assert await stream.read(50) == DELTAS[0]
                server.saw_event()
                assert await stream.read(1) == DELTAS[1]
                server.saw_event()
                assert await stream.read(None) == DELTAS[2]
                await asyncio.sleep(1.1)  # the timer of the second read rings, nobody waits
                began = monotonic()
                with pytest.raises(TimeoutError) as caught:
                    await stream.read(0.1)
                assert 0.09 < monotonic() - began < LONGEST_WAIT / 2
                assert not isinstance(caught.value, MoondreamError)
                await stream.aclose()

        def script(peer: Peer) -> None:
            peer.answer(CLOSE_DELIMITED)
            peer.send(DELTAS[0])
            for data in DELTAS[1:3]:
                peer.wait_for_event()
                peer.send(data)
            peer.wait_until_closed()

        with FaultServer(script) as server:
            run(main())

    def test_what_came_while_the_loop_was_busy_is_in_time(self) -> None:
        async def main() -> None:
            async with AiohttpTransport() as transport:
                stream = await transport.send(request_to(server.url), Timeouts())

                async def block() -> None:
                    server.saw_event()
                    assert sent.wait(LONGEST_WAIT)
                    time.sleep(1.1)  # noqa: ASYNC251 - it is what is tested

                blocking = asyncio.create_task(block())  # runs as soon as the read waits
                assert await stream.read(1) == DELTAS[0]
                await blocking
                assert await stream.read(5) == b""
                await stream.aclose()

        def script(peer: Peer) -> None:
            peer.answer(CLOSE_DELIMITED)
            peer.wait_for_event()
            peer.send(DELTAS[0])
            sent.set()

        sent = threading.Event()
        with FaultServer(script) as server:
            asyncio.run(main())

    def test_limit_of_a_user_s_session(self) -> None:
        async def main() -> None:
            connector = aiohttp.TCPConnector(limit=1)
            async with aiohttp.ClientSession(connector=connector) as session:
                transport = AiohttpTransport(session)
                first = await transport.send(request_to(server.url), Timeouts())
                began = monotonic()
                with pytest.raises(ConnectTimeout):
                    await transport.send(request_to(server.url), Timeouts(connect=0.1))
                assert 0.09 < monotonic() - began < LONGEST_WAIT / 2
                second = asyncio.create_task(transport.send(request_to(server.url), Timeouts()))
                for _ in range(5):
                    await asyncio.sleep(0)
                assert not second.done()
                await first.aclose()
                await (await second).aclose()

        with FaultServer(answers(head(), then=wait)) as server:
            run(main())
        assert server.connections == 2

    def test_first_event_counts_from_the_connection(self) -> None:
        async def main() -> None:
            async with AiohttpTransport() as transport:
                began = monotonic()
                with pytest.raises(TimeoutError) as caught:
                    await transport.send(
                        request_to(server.url), Timeouts(connect=5, first_event=0.2)
                    )
                assert 0.19 < monotonic() - began < LONGEST_WAIT / 2
                assert type(caught.value) is TimeoutError
                assert_no_key(caught.value)

        with FaultServer(answers(then=wait)) as server:
            run(main())

    def test_connected_at(self) -> None:
        async def main() -> None:
            async with AiohttpTransport() as transport:
                began = monotonic()
                stream = await transport.send(request_to(server.url), Timeouts())
                assert stream.connected_at is not None
                assert began < stream.connected_at <= asked_at[0]
                await stream.aclose()

        def script(peer: Peer) -> None:
            peer.read_request()
            asked_at.append(monotonic())
            peer.send(head())
            peer.wait_until_closed()

        asked_at: list[float] = []
        with FaultServer(script) as server:
            run(main())
