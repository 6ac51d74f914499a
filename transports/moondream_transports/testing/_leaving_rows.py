"""However a stream is left, its connection is closed at once, and nothing hangs."""

from __future__ import annotations

import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from time import monotonic
from typing import Any

from sansio_moondream import ConnectionLost, Endpoint, IncompleteStream

from ._fault_rows import exchange
from ._fault_server import LAST_CHUNK, Peer, Script, chunk, nobody_accepts
from ._faults import END, EVENTS, F1, LARGE, QUERY, TEXT, answers, wait
from ._row import Row, Unexpected, expect, in_words, shortened
from ._side import Side

SILENT = answers(*F1, then=wait)  # five events, then nothing until the client closes
_Main = Callable[[Side, Any], Awaitable[None]]  # with a client


def leaving_rows(is_async: bool) -> Iterator[Row]:
    """The rows on leaving a stream early. Only a sync one is closed by another thread; only an async one is cancelled."""
    whole_but_open = answers(*F1, chunk(END), then=wait)
    yield _row("early, many times", _early)
    for error in (ZeroDivisionError, KeyboardInterrupt, SystemExit):
        yield _row(f"by {error.__name__}", partial(_by_an_exception, error))
    yield _row("by closing it inside", _by_closing)
    yield _row("after the end of stream, which nobody waits for", _after_the_end, whole_but_open)
    yield Row("leaving: early, and going on", _and_going_on)
    if not is_async:
        yield Row("leaving: closed by another thread", _closed_by_another_thread)
        return
    yield Row("cancelled: while connecting", _cancelled_while_connecting)
    for what, script in {"the head": answers(then=wait), "the rest of the head": answers(b"HTTP/1.1 200 OK\r\nCont", then=wait)}.items():
        yield _row(f"while waiting for {what}", _cancelled_before_the_head, script, "cancelled")
    yield Row("cancelled: while sending the request", _cancelled_while_sending)
    yield _row("while reading", _cancelled_while_reading, SILENT, "cancelled")
    early_then_whole: Script = lambda peer: (SILENT if peer.number == 1 else whole_but_open)(peer)  # noqa: E731
    yield _row("while closing", _cancelled_while_closing, early_then_whole, "cancelled")
    yield _row("closed by another task", _closed_by_another_task)


def _row(name: str, main: _Main, script: Script = SILENT, kind: str = "leaving") -> Row:
    """One whose connections the server must have seen closed before the transport is."""

    async def check(side: Side) -> None:
        async with side.server(script) as server, side.transport() as transport:
            await main(side, side.asks(transport, server.url))
            await side.over(server)

    return Row(f"{kind}: {name}", check)


async def _take(stream: Any, count: int) -> None:
    for event in EVENTS[:count]:
        came = await anext(stream)
        expect(came == event, repr(event), shortened(came))


async def _early(side: Side, client: Any) -> None:
    for _ in range(12):  # more than pools keep
        async with client.stream(QUERY) as stream:
            await _take(stream, 1)
        expect(stream.snapshot is not None, "a snapshot after leaving", "None")


async def _by_an_exception(error: type[BaseException], side: Side, client: Any) -> None:
    try:
        async with client.stream(QUERY) as stream:
            await _take(stream, 2)
            raise error
    except error:
        return
    raise Unexpected(f"{error.__name__}, which the block raised, to come out of it", "nothing")


async def _by_closing(side: Side, client: Any) -> None:
    async with client.stream(QUERY) as stream:
        await _take(stream, 2)
        await stream.aclose()
        await stream.aclose()


async def _after_the_end(side: Side, client: Any) -> None:
    began = monotonic()
    async with client.stream(QUERY) as stream:
        text = (await stream.result()).text
        expect(text == TEXT, f"the answer {TEXT!r}", repr(text))
        _expect_at_once(side, began, "the answer")
    _expect_at_once(side, began, "the end of the block")


def _expect_at_once(side: Side, began: float, what: str) -> None:
    took = monotonic() - began
    expect(took < side.at_once, f"{what} at once", f"it, after {took:.1f} seconds")


async def _and_going_on(side: Side) -> None:
    """What was left early does no harm to the next exchange of the same transport."""
    scripts = iter([SILENT, SILENT, answers(*F1, chunk(END), LAST_CHUNK)])

    def script(peer: Peer) -> None:
        next(scripts)(peer)

    async with side.server(script) as server, side.transport() as transport:
        for _ in range(2):
            async with side.asks(transport, server.url).stream(QUERY) as stream:
                await _take(stream, 1)
        _, outcome = await exchange(side, transport, server, QUERY)
        expect(getattr(outcome, "text", None) == TEXT, f"the answer {TEXT!r}", in_words(outcome))


async def _closed_by_another_thread(side: Side) -> None:
    closing: list[threading.Thread] = []
    streams: list[Any] = []

    def script(peer: Peer) -> None:
        peer.answer(*F1)
        for _ in EVENTS:
            peer.wait_for_event()
        closing.append(threading.Thread(target=streams[0].sync.close, daemon=True))
        closing[0].start()
        peer.wait_until_closed()

    async with side.server(script) as server, side.transport() as transport:
        async with side.asks(transport, server.url).stream(QUERY) as stream:
            streams.append(stream)
            for event in EVENTS:
                came = await anext(stream)
                expect(came == event, repr(event), shortened(came))
                server.saw_event()
            began = monotonic()
            await _expect_closed(stream)
            _expect_at_once(side, began, "ConnectionLost, when another thread closes the stream,")
            closing[0].join(side.patience)
        await side.over(server)


async def _expect_closed(stream: Any, *errors: type[Exception]) -> None:
    try:
        came = repr(await anext(stream))
    except Exception as error:  # noqa: BLE001 - whatever a transport lets out, it is told
        if isinstance(error, (ConnectionLost, *errors)):
            return
        came = in_words(error)
    raise Unexpected("ConnectionLost in who was reading, when somebody else closes the stream", came)


async def _cancelled_while_connecting(side: Side) -> None:
    with nobody_accepts(side.patience) as url:
        async with side.transport() as transport:
            began = monotonic()
            await side.cancelled_after(0.1, side.client(transport, Endpoint(url=url)).stream(QUERY).__aenter__)
            _expect_at_once(side, began, "the cancellation")


async def _cancelled_before_the_head(side: Side, client: Any) -> None:
    await side.cancelled_after(0.1, client.stream(QUERY).__aenter__)


async def _cancelled_while_sending(side: Side) -> None:
    cancelled = threading.Event()
    rest: list[int] = []

    def script(peer: Peer) -> None:
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        cancelled.wait(side.patience)
        rest.append(peer.read_until_closed())

    async with side.server(script) as server, side.transport() as transport:
        await side.cancelled_after(0.2, side.asks(transport, server.url).stream(LARGE).__aenter__)
        cancelled.set()
        await side.over(server)
        size = len(LARGE.to_http(Endpoint()).body)
        expect(rest[0] < size, f"less than the {size:,} bytes of the body, as sending them was cancelled", f"{rest[0]:,} bytes")


async def _cancelled_while_reading(side: Side, client: Any) -> None:
    async def read() -> None:
        async with client.stream(QUERY) as stream:
            await _take(stream, 5)
            await anext(stream)

    for _ in range(3):
        await side.cancelled_after(0.1, read)


async def _cancelled_while_closing(side: Side, client: Any) -> None:
    """The cancellation is there when the block is left: early, or whole, where it meets the wait for the end of the body."""
    for request_whole in (False, True):

        async def leave(cancel: Callable[[], object], whole: bool = request_whole) -> None:
            async with client.stream(QUERY) as stream:
                if whole:
                    await stream.result()
                else:
                    await _take(stream, 1)
                cancel()
            await side.forever()

        await side.cancelled(leave)


async def _closed_by_another_task(side: Side, client: Any) -> None:
    async with client.stream(QUERY) as stream:
        await _take(stream, 5)

        async def read() -> None:
            await _expect_closed(stream, IncompleteStream)

        await side.together(read, stream.aclose)
