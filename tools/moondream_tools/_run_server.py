"""A server as a program: its address on standard output, a line for each exchange on standard
error, an orderly end on signals.

1. The first line of standard output is the address to send requests to; nothing else is written
   there.
2. Lines of the log hold the path, without what stands behind a `?`, and no header: no key is in
   them.
3. The first signal lets the exchanges under way end, for so many seconds; the second, or the end of
that time, cuts them."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from contextlib import suppress

from ._guard import Guard
from ._http_server import Exchange, Handler, HTTPServer
from ._terminal import safe

GRACE_SECONDS = 10.0


async def run_server(
    handler: Handler, guard: Guard, host: str, port: int, path: str, about: str
) -> bool:
    """Serve until a signal comes.

    True if all exchanges could end. Raises OSError where the address cannot be had.
    """
    server = HTTPServer(handler, guard, _log)
    port = await server.start(host, port)
    signals: asyncio.Queue[int] = asyncio.Queue()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # Windows: Ctrl+C raises KeyboardInterrupt there
            asyncio.get_running_loop().add_signal_handler(number, signals.put_nowait, number)
    print(
        f"http://{f'[{host}]' if ':' in host else host}:{port}{path}", flush=True
    )  # from now on it may be stopped, too
    _say(about)
    await signals.get()
    stopping = asyncio.create_task(server.stop())
    await asyncio.sleep(0)  # so that it has begun when this is said
    if count := server.under_way:
        _say(
            f"{count} under way may end within {GRACE_SECONDS:g} seconds; once more to cut them off"
        )
    insisting = asyncio.create_task(signals.get())
    await asyncio.wait(
        [stopping, insisting], timeout=GRACE_SECONDS, return_when=asyncio.FIRST_COMPLETED
    )
    insisting.cancel()
    ended = stopping.done()
    server.cut_off()
    await stopping
    return ended


def _log(exchange: Exchange) -> None:
    seconds = time.monotonic() - exchange.began_at
    status = exchange.status_code or "no answer"
    ending = ", the client left" if exchange.client_left else ", cut" if exchange.is_cut else ""
    note = f" ({exchange.note})" if exchange.note else ""
    _say(
        f"{exchange.request.method} {exchange.path} {status}, {exchange.bytes_sent:,} bytes in {seconds:.3f} s{ending}{note}"
    )


def _say(text: str) -> None:
    with suppress(BrokenPipeError):  # nobody reads the log
        print(safe(text).replace("\n", " "), file=sys.stderr, flush=True)
