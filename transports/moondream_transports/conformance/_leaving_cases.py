"""Every way to leave a stream closes its connection at once, and nothing hangs."""

from __future__ import annotations

import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from time import monotonic
from typing import Any

from sansio_moondream import ConnectionLost, Endpoint, IncompleteStream

from ._backend import Backend
from ._case import Case
from ._expect import Unexpected, describe, expect, shortened
from ._fault_cases import exchange
from ._fault_server import LAST_CHUNK, Peer, Script, chunk, nobody_accepts
from ._faults import END, EVENTS, F1, LARGE, QUERY, TEXT, answers, wait

SILENT = answers(*F1, then=wait)  # five events, then nothing until the client closes
_Main = Callable[[Backend, Any], Awaitable[None]]  # with a client


def leaving_cases(is_async: bool) -> Iterator[Case]:
    """The cases on leaving a stream early.

    Only a sync stream is closed by another thread. Only an async stream is cancelled.
    """
    whole_but_open = answers(*F1, chunk(END), then=wait)
    yield _case("after one event, twelve times", _early)
    for error in (ZeroDivisionError, KeyboardInterrupt, SystemExit):
        yield _case(f"by {error.__name__} inside the block", partial(_by_an_exception, error))
    yield _case("by closing it inside the block", _by_closing)
    yield _case("after the end of stream, while the body is open", _after_the_end, whole_but_open)
    yield Case("leaving: after one event, then another exchange", _and_going_on)
    if not is_async:
        yield Case("leaving: another thread closes the stream", _closed_by_another_thread)
        return
    yield Case("cancelled: while connecting", _cancelled_while_connecting)
    for what, script in {
        "the head": answers(then=wait),
        "the rest of the head": answers(b"HTTP/1.1 200 OK\r\nCont", then=wait),
    }.items():
        yield _case(f"while waiting for {what}", _cancelled_before_the_head, script, "cancelled")
    yield Case("cancelled: while sending the request", _cancelled_while_sending)
    yield _case("while reading", _cancelled_while_reading, SILENT, "cancelled")

    def early_then_whole(peer: Peer) -> None:
        (SILENT if peer.number == 1 else whole_but_open)(peer)

    yield _case("while closing", _cancelled_while_closing, early_then_whole, "cancelled")
    yield _case("another task closes the stream", _closed_by_another_task)


def _case(name: str, main: _Main, script: Script = SILENT, kind: str = "leaving") -> Case:
    """Return a case in which the connections must be closed before the transport is."""

    async def check(backend: Backend) -> None:
        async with backend.server(script) as server, backend.transport() as transport:
            await main(backend, backend.asks(transport, server.url))
            await backend.expect_closed(server)

    return Case(f"{kind}: {name}", check)


async def _take(stream: Any, count: int) -> None:
    for event in EVENTS[:count]:
        received = await anext(stream)
        expect(received == event, repr(event), shortened(received))


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
    """A stream that was left early does no harm to the next exchange of the transport."""
    scripts = iter([SILENT, SILENT, answers(*F1, chunk(END), LAST_CHUNK)])

    def script(peer: Peer) -> None:
        next(scripts)(peer)

    async with backend.server(script) as server, backend.transport() as transport:
        for _ in range(2):
            async with backend.asks(transport, server.url).stream(QUERY) as stream:
                await _take(stream, 1)
        _, outcome = await exchange(backend, transport, server, QUERY)
        expect(getattr(outcome, "text", None) == TEXT, f"the answer {TEXT!r}", describe(outcome))


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
                received = await anext(stream)
                expect(received == event, repr(event), shortened(received))
                server.saw_event()
            began = monotonic()
            await _expect_closed(stream)
            _expect_at_once(
                backend, began, "ConnectionLost, when another thread closes the stream,"
            )
            closing[0].join(backend.timeout)
        await backend.expect_closed(server)


async def _expect_closed(stream: Any, *errors: type[Exception]) -> None:
    expected = "ConnectionLost in the reader, when another thread or task closes the stream"
    try:
        event = await anext(stream)
    except Exception as error:
        if isinstance(error, (ConnectionLost, *errors)):
            return
        raise Unexpected(expected, describe(error)) from error
    raise Unexpected(expected, repr(event))


async def _cancelled_while_connecting(backend: Backend) -> None:
    with nobody_accepts(backend.timeout) as url:
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
        cancelled.wait(backend.timeout)
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
        await backend.expect_closed(server)
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
    """Cancel when the block is left: early, or in the wait for the end of the body."""
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
