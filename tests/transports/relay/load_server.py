"""The relay of the load tests: an ASGI application under uvicorn.

Arguments are the address of the upstream, and options of the listening socket: `NAME=VALUE`. The
query of an address is the question. `/relay` asks the upstream for each reader. The readers of
`/broadcast` with the same question share one exchange.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import resource
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import aiohttp
import uvicorn

from moondream_transports import AiohttpTransport, AsyncClient, Timeouts
from moondream_transports.relay import AsyncBroadcast, relay
from sansio_moondream import Endpoint, QueryRequest
from sansio_moondream.relay import ReplayLimits

from .load_process import Answers, obey

PATIENT = Timeouts(connect=60, first_event=120, idle=120, total=600)
MAX_WAITING = 256 * 1024  # bytes, for one reader of a broadcast
LEVELS = {"SO": socket.SOL_SOCKET, "TCP": socket.IPPROTO_TCP}


class Application:
    """Choose the answer by the path."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._broadcasts: dict[str, AsyncBroadcast] = {}

    async def __call__(
        self,
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
    ) -> None:
        question = unquote(scope["query_string"].decode())
        stream = self._client.stream(QueryRequest(question=question))
        if scope["path"] == "/relay":
            await relay(stream)(scope, receive, send)
        else:
            if question not in self._broadcasts:
                limits = ReplayLimits(max_waiting=MAX_WAITING)
                self._broadcasts[question] = AsyncBroadcast(stream, limits=limits)
                self._broadcasts[question].start()
            await self._broadcasts[question].subscribe()(scope, receive, send)

    def readers(self) -> int:
        """Return how many readers the broadcasts have."""
        return sum(broadcast.readers for broadcast in self._broadcasts.values())

    def forget(self) -> None:
        """Drop all that is kept for readers who come late."""
        self._broadcasts.clear()


def state() -> dict[str, int]:
    """Return what a load may leave behind, in this process."""
    gc.collect()
    with suppress(AttributeError):  # of glibc: free memory counts as resident until then
        ctypes.CDLL(None).malloc_trim(0)
    return {
        "tasks": len(asyncio.all_tasks()),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "objects": len(gc.get_objects()),
        "blocks": sys.getallocatedblocks(),
        "resident": int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize(),
    }


async def main(upstream: str, *options: str) -> None:
    listener = socket.socket()
    for option in options:  # the connections of a listener inherit them
        name, _, value = option.partition("=")
        listener.setsockopt(LEVELS[name.partition("_")[0]], getattr(socket, name), int(value))
    listener.bind(("127.0.0.1", 0))
    listener.listen(4096)
    # Idle connections to the upstream go soon, so that those that are left can be counted.
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=1)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        AiohttpTransport(session) as transport,
    ):
        application = Application(AsyncClient(transport, Endpoint(upstream), timeouts=PATIENT))
        config = uvicorn.Config(
            application,
            log_level="critical",  # it reports each reader that is cut off
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(config)
        serving = asyncio.ensure_future(server.serve(sockets=[listener]))
        answers: Answers = {
            "state": state,
            "readers": application.readers,
            "forget": application.forget,
        }
        await obey(listener.getsockname()[1], answers)
        server.should_exit = True
        await serving


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
