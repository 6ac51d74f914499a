"""Row 33 of the table of faults: connections that are used again."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from sansio_moondream import ConnectionLost

from ._backend import Backend
from ._case import Case
from ._expect import describe, expect, shortened
from ._fault_cases import exchange
from ._fault_server import LAST_CHUNK, Peer, chunk
from ._faults import END, EVENTS, F1, QUERY, TEXT, sized

EXCHANGES = 50


def reuse_cases() -> Iterator[Case]:
    """Row 33."""
    yield Case(f"33: server answers {EXCHANGES} requests", _many_exchanges)
    yield Case("33: server closes a kept connection between two requests", _closed_in_between)
    yield Case("33: server closes a kept connection at the next request", _closed_at_the_request)
    yield Case("33: server sends a second answer behind the first", _second_answer)


async def _many_exchanges(backend: Backend) -> str:
    def script(peer: Peer) -> None:
        for _ in range(EXCHANGES):
            peer.answer(*F1, chunk(END))
            peer.send(LAST_CHUNK)  # in a segment of its own, as servers do

    async with backend.server(script) as server, backend.transport() as transport:
        client = backend.asks(transport, server.url)
        for turn in range(EXCHANGES):
            if turn % 2:
                text = (await client.send(QUERY)).text
                expect(text == TEXT, f"the answer {TEXT!r}", f"{text!r}, in exchange {turn + 1}")
                continue
            async with client.stream(QUERY) as stream:
                events = [event async for event in stream]
                expect(
                    events[:-1] == EVENTS,
                    "5 events",
                    f"{shortened(events)}, in exchange {turn + 1}",
                )
    return (
        f"{EXCHANGES} exchanges on {server.connections} connection{'s' * (server.connections > 1)}"
    )


async def _closed_in_between(backend: Backend) -> None:
    closed = threading.Event()

    def script(peer: Peer) -> None:
        peer.answer(*F1, chunk(END), LAST_CHUNK)
        peer.sock.close()
        closed.set()

    async with backend.server(script) as server, backend.transport() as transport:
        client = backend.asks(transport, server.url)
        for turn in range(3):
            text = (await client.send(QUERY)).text
            expect(text == TEXT, f"the answer {TEXT!r}", f"{text!r}, in exchange {turn + 1}")
            await backend.until(closed.is_set, "the server to close")
            closed.clear()
            await backend.sleep(0.02)  # until the FIN has arrived
    expect(server.connections == 3, "3 connections for 3 exchanges", str(server.connections))


async def _closed_at_the_request(backend: Backend) -> str | None:
    """Either ConnectionLost, or the HTTP library sends the request again on a new connection."""

    def script(peer: Peer) -> None:
        peer.answer(*F1, chunk(END), LAST_CHUNK)
        if peer.number == 1:
            peer.read_request()  # and close without an answer

    async with backend.server(script) as server, backend.transport() as transport:
        _, first = await exchange(backend, transport, server, QUERY)
        expect(getattr(first, "text", None) == TEXT, f"the answer {TEXT!r}", describe(first))
        _, second = await exchange(backend, transport, server, QUERY)
        if server.connections == 1:
            expect(
                type(second) is ConnectionLost,
                "ConnectionLost, or the answer on another connection",
                describe(second),
            )
            return "ConnectionLost"
        expect(getattr(second, "text", None) == TEXT, f"the answer {TEXT!r}", describe(second))
        return f"answered on {server.connections} connections"


async def _second_answer(backend: Backend) -> None:
    """It belongs to no request, and is not taken for the answer to the next one."""
    stray = sized(b'data: {"chunk": "stray"}\n\n' + END)

    def script(peer: Peer) -> None:
        first = b"".join((*F1, chunk(END), LAST_CHUNK))
        for _ in range(2):
            peer.answer(first + stray)

    async with backend.server(script) as server, backend.transport() as transport:
        client = backend.asks(transport, server.url)
        for turn in range(2):
            text = (await client.send(QUERY)).text
            expect(text == TEXT, f"the answer {TEXT!r}", f"{text!r}, in exchange {turn + 1}")
