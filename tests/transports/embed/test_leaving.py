"""Leaving an answer early, cancelling, and slow readers."""

from __future__ import annotations

import asyncio
import select
import threading
from importlib import import_module
from typing import Any

import pytest

from moondream_transports.conformance._certificates import client_tls, server_tls
from moondream_transports.conformance._fault_server import (
    LAST_CHUNK,
    FaultServer,
    Peer,
    chunk,
    head,
)
from moondream_transports.conformance._faults import (
    EVENTS,
    F1,
    answers,
    wait,
)
from sansio_moondream import (
    Endpoint,
    Event,
    QueryResult,
)
from tests.helpers import END, QUERY, delta
from tests.transports.adapters import LONGEST_WAIT
from tests.transports.embed.sdks import each_sdk


@each_sdk
@pytest.mark.parametrize("taken", [0, 3])
def test_leaving_early_closes_and_loses_nothing(sdk: str, taken: int) -> None:
    def synchronously(ask: Any, endpoint: Endpoint) -> list[Event]:
        with ask(QUERY, endpoint) as answer:
            return [next(iter(answer)) for _ in range(taken)]  # each time with another iterator

    async def asynchronously(ask: Any, endpoint: Endpoint) -> list[Event]:
        async with ask(QUERY, endpoint) as answer:
            return [await anext(aiter(answer)) for _ in range(taken)]

    ask = import_module(sdk).ask
    with FaultServer(answers(*F1, then=wait)) as server:
        endpoint = Endpoint(server.url)
        events = (
            asyncio.run(asynchronously(ask, endpoint))
            if sdk == "moon_asyncio"
            else synchronously(ask, endpoint)
        )
        assert events == EVENTS[:taken]


class TestAsyncio:
    def test_cancellation_closes(self) -> None:
        ask = import_module("moon_asyncio").ask
        seen: list[Event] = []

        async def read(url: str, is_waiting: asyncio.Event) -> None:
            async with ask(QUERY, Endpoint(url)) as answer:
                async for event in answer:
                    seen.append(event)
                    if event == EVENTS[-1]:
                        is_waiting.set()

        async def main(url: str) -> None:
            is_waiting = asyncio.Event()
            task = asyncio.create_task(read(url, is_waiting))
            await is_waiting.wait()
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.to_thread(closed.wait, LONGEST_WAIT)
            assert closed.is_set()

        def script(peer: Peer) -> None:
            peer.answer(*F1)
            peer.wait_until_closed()
            closed.set()

        closed = threading.Event()
        with FaultServer(script) as server:
            asyncio.run(main(server.url))
        assert seen == EVENTS

    @pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "TLS"])
    def test_a_slow_reader_makes_the_server_wait(self, is_tls: bool) -> None:
        """A server that sends 16 MB cannot get rid of them while the reader has taken one event."""
        ask = import_module("moon_asyncio").ask
        part = chunk(delta("x" * 1000) * 64)
        count = 16 * 1024 * 1024 // len(part)
        has_to_wait = threading.Event()

        def script(peer: Peer) -> None:
            peer.answer(head())
            for _ in range(count):
                if not has_to_wait.is_set() and not select.select([], [peer.sock], [], 1)[1]:
                    has_to_wait.set()
                peer.send(part)
            assert has_to_wait.is_set(), "all was read, though nobody took it"
            peer.send(chunk(END) + LAST_CHUNK)

        async def main(url: str) -> QueryResult:
            async with ask(
                QUERY, Endpoint(url), ssl_context=client_tls() if is_tls else None
            ) as answer:
                await anext(answer)
                await asyncio.to_thread(has_to_wait.wait, LONGEST_WAIT)
                result: QueryResult = await answer.result()
                return result

        with FaultServer(script, ssl_context=server_tls("localhost") if is_tls else None) as server:
            assert len(asyncio.run(main(server.url)).text) == count * 64 * 1000
