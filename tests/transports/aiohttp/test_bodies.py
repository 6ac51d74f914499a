"""Bodies and heads as aiohttp gives them, and what it makes of a fault."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress
from time import monotonic
from typing import Any

import pytest

from moondream_transports import AiohttpTransport, Timeouts
from moondream_transports.conformance._fault_server import (
    EVENT_STREAM,
    FaultServer,
    Peer,
    chunk,
    head,
)
from moondream_transports.conformance._faults import (
    CLOSE_DELIMITED,
    DELTAS,
    EVENTS,
    F1,
    F1_AT_ONCE,
    WHOLE_BODY,
    answers,
    sized,
    wait,
)
from sansio_moondream import (
    ConnectionLost,
    MoondreamError,
    RemoteProtocolError,
)
from tests.helpers import QUERY
from tests.transports.aiohttp.exchanges import client, request_to, run, until


class TestSlowConsumer:
    """What was read before a fault is given out before it. What was not read yet, aiohttp drops."""

    @pytest.mark.parametrize(
        ("segments", "then", "error"),
        [
            ((F1_AT_ONCE,), Peer.reset, ConnectionLost),
            ((F1_AT_ONCE,), lambda peer: None, ConnectionLost),
            ((F1_AT_ONCE + b"50\r\ndata: {",), lambda peer: None, ConnectionLost),
            ((sized(b"".join(DELTAS), length=1000),), lambda peer: None, ConnectionLost),
        ],
        ids=["RST", "FIN", "FIN in a chunk", "short"],
    )
    def test_five_events(self, segments: Any, then: Any, error: type[MoondreamError]) -> None:
        async def main() -> None:
            async with (
                AiohttpTransport() as transport,
                client(transport, server).stream(QUERY) as stream,
            ):
                events = [await anext(stream)]
                server.saw_event()
                await until(lambda: not server.is_busy())  # nobody reads meanwhile
                for _ in EVENTS[1:]:
                    events.append(await anext(stream))
                assert events == EVENTS
                with pytest.raises(error):
                    await anext(stream)

        def script(peer: Peer) -> None:
            peer.answer(*segments)
            peer.wait_for_event()
            then(peer)

        with FaultServer(script) as server:
            run(main())

    def test_broken_framing_wakes_a_reader_that_waits(self) -> None:
        """aiohttp only closes the connection. We look once a second whether it has."""

        async def main() -> None:
            async with (
                AiohttpTransport() as transport,
                client(transport, server).stream(QUERY) as stream,
            ):
                for event in EVENTS:
                    assert await anext(stream) == event
                    server.saw_event()
                began = monotonic()
                with pytest.raises(ConnectionLost, match="framing"):
                    await anext(stream)
                assert monotonic() - began < 10  # not the 30 seconds of Timeouts.idle

        def script(peer: Peer) -> None:
            peer.answer(*F1)
            for _ in EVENTS:
                peer.wait_for_event()
            peer.send(b"zz\r\n")
            peer.wait_until_closed()

        with FaultServer(script) as server:
            run(main())

    def test_a_fault_hides_what_was_not_read(self) -> None:
        """As it is: a declared limit of aiohttp."""

        async def main() -> None:
            async with AiohttpTransport() as transport:
                stream = await transport.send(request_to(server.url), Timeouts())
                assert await stream.read(5) == DELTAS[0]
                server.saw_event()
                assert await asyncio.to_thread(ended.wait, 10)
                for _ in range(5):  # aiohttp sees the chunk, then the end; nobody reads
                    await asyncio.sleep(0)
                with pytest.raises(ConnectionLost):
                    await stream.read(5)
                await stream.aclose()

        def script(peer: Peer) -> None:
            peer.answer(head(), chunk(DELTAS[0]))
            peer.wait_for_event()
            peer.send(chunk(DELTAS[1]))
            peer.sock.shutdown(socket.SHUT_WR)
            ended.set()
            peer.wait_until_closed()

        ended = threading.Event()
        with FaultServer(script) as server:
            run(main())

    @pytest.mark.parametrize("behind", [b"zz\r\n", b"-5\r\n"])
    def test_a_fault_in_the_segment_of_the_head_hides_both(self, behind: bytes) -> None:
        """As it is: a declared limit of aiohttp."""

        async def main() -> None:
            async with AiohttpTransport() as transport:
                with pytest.raises(RemoteProtocolError, match="chunk size"):
                    await transport.send(request_to(server.url), Timeouts())

        with FaultServer(answers(b"".join(F1) + behind, then=wait)) as server:
            run(main())

    def test_a_fault_stays(self) -> None:
        async def main() -> None:
            async with AiohttpTransport() as transport:
                stream = await transport.send(request_to(server.url), Timeouts())
                assert await stream.read(5) == b"abc"
                for _ in range(2):
                    with pytest.raises(ConnectionLost, match="not completed|7 bytes|Not enough"):
                        await stream.read(5)
                await stream.aclose()

        with FaultServer(answers(sized(b"abc", length=10))) as server:
            run(main())


@pytest.mark.parametrize(
    ("count", "size", "fine"),
    [(200, 100, True), (6, 10_000, True), (7, 10_000, False), (1, 70_000, False)],
)
def test_size_of_the_head(count: int, size: int, fine: bool) -> None:
    async def main() -> None:
        async with AiohttpTransport() as transport:
            stream = await transport.send(request_to(server.url), Timeouts())
            assert len(list(stream.headers)) == count + 2
            await stream.aclose()

    fields = [
        *EVENT_STREAM,
        ("Content-Length", "0"),
        *((f"X-{number}", "x" * size) for number in range(count)),
    ]
    with FaultServer(answers(head(headers=fields))) as server:
        if fine:
            run(main())
        else:
            with pytest.raises(RemoteProtocolError) as caught:
                run(main())
            assert len(str(caught.value)) < 300


def test_back_pressure() -> None:
    """A reader that stops reading stops the sender, and little is kept meanwhile."""

    async def main() -> None:
        async with AiohttpTransport() as transport:
            stream = await transport.send(request_to(server.url), Timeouts())
            await until(stuck.is_set)
            data = await stream.read(5)
            assert 0 < len(data) <= 512 * 1024
            await stream.aclose()

    def script(peer: Peer) -> None:
        peer.answer(CLOSE_DELIMITED)
        peer.sock.settimeout(1)
        with suppress(TimeoutError):
            while True:
                peer.send(b"x" * 100_000)
        stuck.set()
        peer.wait_until_closed()

    stuck = threading.Event()
    with FaultServer(script) as server:
        run(main())


def test_whole_body_at_once() -> None:
    async def main() -> None:
        async with (
            AiohttpTransport() as transport,
            client(transport, server).stream(QUERY) as stream,
        ):
            assert [event.text async for event in stream if hasattr(event, "text")] == [
                event.text for event in EVENTS
            ]

    with FaultServer(answers(sized(WHOLE_BODY))) as server:
        run(main())
