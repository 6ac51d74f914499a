"""However a stream is left, its connection is closed at once, and nothing hangs."""

from __future__ import annotations

import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from time import monotonic
from typing import Any

from sansio_moondream import ConnectionLost, Endpoint, IncompleteStream

from ._backend import Backend
from ._case import Case, Unexpected, expect, in_words, shortened
from ._fault_cases import exchange
from ._fault_server import LAST_CHUNK, Peer, Script, chunk, nobody_accepts
from ._faults import END, EVENTS, F1, LARGE, QUERY, TEXT, answers, wait

SILENT = answers(*F1, then=wait)  # five events, then nothing until the client closes
_Main = Callable[[Backend, Any], Awaitable[None]]  # with a client


def leaving_cases(is_async: bool) -> Iterator[Case]:
    """The cases on leaving a stream early.

    Only a sync one is closed by another thread; only an async one is cancelled.
    """
    whole_but_open = answers(*F1, chunk(END), then=wait)
    yield _case("early, many times", _early)
    for error in (ZeroDivisionError, KeyboardInterrupt, SystemExit):
        yield _case(f"by {error.__name__}", partial(_by_an_exception, error))
    yield _case("by closing it inside", _by_closing)
    yield _case("after the end of stream, which nobody waits for", _after_the_end, whole_but_open)
    yield Case("leaving: early, and going on", _and_going_on)
    if not is_async:
        yield Case("leaving: closed by another thread", _closed_by_another_thread)
        return
    yield Case("cancelled: while connecting", _cancelled_while_connecting)
    for what, script in {
        "the head": answers(then=wait),
        "the rest of the head": answers(b"HTTP/1.1 200 OK\r\nCont", then=wait),
    }.items():
        yield _case(f"while waiting for {what}", _cancelled_before_the_head, script, "cancelled")
    yield Case("cancelled: while sending the request", _cancelled_while_sending)
    yield _case("while reading", _cancelled_while_reading, SILENT, "cancelled")
    early_then_whole: Script = lambda peer: (SILENT if peer.number == 1 else whole_but_open)(peer)  # noqa: E731
    yield _case("while closing", _cancelled_while_closing, early_then_whole, "cancelled")
    yield _case("closed by another task", _closed_by_another_task)


def _case(name: str, main: _Main, script: Script = SILENT, kind: str = "leaving") -> Case:
    """One whose connections the server must have seen closed before the transport is."""

    async def check(backend: Backend) -> None:
        async with backend.server(script) as server, backend.transport() as transport:
            await main(backend, backend.asks(transport, server.url))
            await backend.over(server)

    return Case(f"{kind}: {name}", check)


async def _take(stream: Any, count: int) -> None:
    for event in EVENTS[:count]:
        came = await anext(stream)
        expect(came == event, repr(event), shortened(came))


async def _early(backend: Backend, client: Any) -> None:
    for _ in range(12):  # more than pools keep
        async with client.stream(QUERY) as stream:
            await _take(stream, 1)
        expect(stream.snapshot is not None, "a snapshot after leaving", "None")


async def _by_an_exception(error: type[BaseException], backend: Backend, client: Any) -> None:
    try:
        async with client.stream(QUERY) as stream:
            await _take(stream, 2)
            raise error
    except error:
        return
    raise Unexpected(f"{error.__name__}, which the block raised, to come out of it", "nothing")


async def _by_closing(backend: Backend, client: Any) -> None:
    async with client.stream(QUERY) as stream:
        await _take(stream, 2)
        await stream.aclose()
        await stream.aclose()


async def _after_the_end(backend: Backend, client: Any) -> None:
    began = monotonic()
    async with client.stream(QUERY) as stream:
        text = (await stream.result()).text
        expect(text == TEXT, f"the answer {TEXT!r}", repr(text))
        _expect_at_once(backend, began, "the answer")
    _expect_at_once(backend, began, "the end of the block")


def _expect_at_once(backend: Backend, began: float, what: str) -> None:
    took = monotonic() - began
    expect(took < backend.at_once, f"{what} at once", f"it, after {took:.1f} seconds")


async def _and_going_on(backend: Backend) -> None:
    """What was left early does no harm to the next exchange of the same transport."""
    scripts = iter([SILENT, SILENT, answers(*F1, chunk(END), LAST_CHUNK)])

    def script(peer: Peer) -> None:
        next(scripts)(peer)

    async with backend.server(script) as server, backend.transport() as transport:
        for _ in range(2):
            async with backend.asks(transport, server.url).stream(QUERY) as stream:
                await _take(stream, 1)
        _, outcome = await exchange(backend, transport, server, QUERY)
        expect(getattr(outcome, "text", None) == TEXT, f"the answer {TEXT!r}", in_words(outcome))


async def _closed_by_another_thread(backend: Backend) -> None:
    closing: list[threading.Thread] = []
    streams: list[Any] = []

    def script(peer: Peer) -> None:
        peer.answer(*F1)
        for _ in EVENTS:
            peer.wait_for_event()
        closing.append(threading.Thread(target=streams[0].sync.close, daemon=True))
        closing[0].start()
        peer.wait_until_closed()

    async with backend.server(script) as server, backend.transport() as transport:
        async with backend.asks(transport, server.url).stream(QUERY) as stream:
            streams.append(stream)
            for event in EVENTS:
                came = await anext(stream)
                expect(came == event, repr(event), shortened(came))
                server.saw_event()
            began = monotonic()
            await _expect_closed(stream)
            _expect_at_once(
                backend, began, "ConnectionLost, when another thread closes the stream,"
            )
            closing[0].join(backend.patience)
        await backend.over(server)


async def _expect_closed(stream: Any, *errors: type[Exception]) -> None:
    try:
        came = repr(await anext(stream))
    except Exception as error:  # noqa: BLE001 - whatever a transport lets out, it is told
        if isinstance(error, (ConnectionLost, *errors)):
            return
        came = in_words(error)
    raise Unexpected(
        "ConnectionLost in who was reading, when somebody else closes the stream", came
    )


async def _cancelled_while_connecting(backend: Backend) -> None:
    with nobody_accepts(backend.patience) as url:
        async with backend.transport() as transport:
            began = monotonic()
            await backend.cancelled_after(
                0.1, backend.client(transport, Endpoint(url=url)).stream(QUERY).__aenter__
            )
            _expect_at_once(backend, began, "the cancellation")


async def _cancelled_before_the_head(backend: Backend, client: Any) -> None:
    await backend.cancelled_after(0.1, client.stream(QUERY).__aenter__)


async def _cancelled_while_sending(backend: Backend) -> None:
    begun, cancelled = threading.Event(), threading.Event()
    rest: list[int] = []

    def script(peer: Peer) -> None:
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        peer.sock.recv(1)
        begun.set()
        cancelled.wait(backend.patience)
        rest.append(peer.read_until_closed())

    async with backend.server(script) as server, backend.transport() as transport:

        async def send(cancel: Callable[[], object]) -> None:
            async def cancel_it() -> None:
                await backend.until(begun.is_set, "the request to be sent")
                cancel()

            await backend.all_of(
                [backend.asks(transport, server.url).stream(LARGE).__aenter__, cancel_it]
            )

        await backend.cancelled(send)
        cancelled.set()
        await backend.over(server)
        size = len(LARGE.to_http(Endpoint()).body)
        expect(
            rest[0] < size,
            f"less than the {size:,} bytes of the body, as sending them was cancelled",
            f"{rest[0]:,} bytes",
        )


async def _cancelled_while_reading(backend: Backend, client: Any) -> None:
    async def read() -> None:
        async with client.stream(QUERY) as stream:
            await _take(stream, 5)
            await anext(stream)

    for _ in range(3):
        await backend.cancelled_after(0.1, read)


async def _cancelled_while_closing(backend: Backend, client: Any) -> None:
    """The cancellation is there when the block is left: early, or whole, where it meets the wait
    for the end of the body.
    """
    for request_whole in (False, True):

        async def leave(cancel: Callable[[], object], whole: bool = request_whole) -> None:
            async with client.stream(QUERY) as stream:
                if whole:
                    await stream.result()
                else:
                    await _take(stream, 1)
                cancel()
            await backend.forever()

        await backend.cancelled(leave)


async def _closed_by_another_task(backend: Backend, client: Any) -> None:
    async with client.stream(QUERY) as stream:
        await _take(stream, 5)

        async def read() -> None:
            await _expect_closed(stream, IncompleteStream)

        await backend.together(read, stream.aclose)
