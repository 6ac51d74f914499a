"""The web server of relay.py: one candidate under uvicorn, in a process of its own.

It is an ASGI application without a framework, so that only the candidate is measured. A path names
the mode of the upstream, as in stream_server.py. `/spent` says what the process has spent so far.
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any, TypeAlias

from bare_readers import BODY, HEADERS, QUESTION, async_httpx_client
from stream_server import MODES

Receive: TypeAlias = Callable[[], Awaitable[dict[str, Any]]]
Send: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]
# Streams the answer of the upstream at this address.
Application: TypeAlias = Callable[[str, dict[str, Any], Receive, Send], Awaitable[None]]

SSE = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]


async def start(send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": SSE})


async def write(send: Send, data: bytes, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": more})


def ours(format: str, transport: str) -> Callable[[], Any]:
    """The relay of this library, through one of its transports."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Application]:
        from moondream_transports import AsyncClient
        from moondream_transports.relay import relay
        from sansio_moondream import Endpoint, QueryRequest

        async with getattr(import_module("moondream_transports"), transport)() as made:
            clients: dict[str, AsyncClient] = {}

            async def answer(url: str, scope: Any, receive: Receive, send: Send) -> None:
                if url not in clients:
                    clients[url] = AsyncClient(made, Endpoint(f"{url}/v1"))
                stream = clients[url].stream(QueryRequest(question=QUESTION))
                await relay(stream, format)(scope, receive, send)

            yield answer

    return opened


@asynccontextmanager
async def pass_through() -> AsyncIterator[Application]:
    """The bytes as they are: no decoder, no watch for the client's leaving, no heartbeat."""
    async with async_httpx_client("httpx2") as client:

        async def answer(url: str, _scope: Any, _receive: Receive, send: Send) -> None:
            async with client.stream(
                "POST", f"{url}/v1/query", content=BODY, headers=HEADERS
            ) as response:
                await start(send)
                async for data in response.aiter_raw():
                    await write(send, data)
            await write(send, b"", more=False)

        yield answer


@asynccontextmanager
async def openai() -> AsyncIterator[Application]:
    """Decoded by the package `openai`, and each chunk encoded again."""
    package = import_module("openai")
    async with async_httpx_client("httpx2") as http:

        async def answer(url: str, _scope: Any, _receive: Receive, send: Send) -> None:
            client = package.AsyncOpenAI(
                api_key="none", base_url=f"{url}/v1", http_client=http, max_retries=0
            )
            messages = [{"role": "user", "content": QUESTION}]
            async with await client.chat.completions.create(
                model="m", messages=messages, stream=True
            ) as chunks:
                await start(send)
                async for chunk in chunks:
                    await write(send, f"data: {chunk.model_dump_json()}\n\n".encode())
            await write(send, b"data: [DONE]\n\n", more=False)

        yield answer


CANDIDATES: dict[str, Callable[[], Any]] = {
    "events": ours("events", "AiohttpTransport"),
    "engine": ours("engine", "AiohttpTransport"),
    "openai-chunks": ours("openai", "AiohttpTransport"),
    "events-anyio": ours("events", "AnyioTransport"),
    "events-httpx2": ours("events", "AsyncHttpxTransport"),
    "pass-through": pass_through,
    "openai": openai,
}


def spent() -> dict[str, float]:
    """Seconds on the processor, those of them outside the system, and how often this process had
    nothing to do.
    """
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {"cpu": time.process_time(), "user": usage.ru_utime, "waits": usage.ru_nvcsw}


async def serve(name: str, upstream: str) -> None:
    """Print the port, and serve until the parent closes the pipe."""
    import uvicorn

    async with CANDIDATES[name]() as answer:

        async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
            mode = scope["path"].strip("/")
            if mode in MODES:
                await answer(f"{upstream}/{mode}", scope, receive, send)
            else:
                found = json.dumps(spent()).encode()
                gc.collect()
                gc.freeze()  # what a package loads must not make garbage collection dearer for it
                await start(send)
                await write(send, found, more=False)

        listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        config = uvicorn.Config(application, log_level="warning", access_log=False, lifespan="off")
        server = uvicorn.Server(config)
        serving = asyncio.ensure_future(server.serve(sockets=[listener]))
        print(listener.getsockname()[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        server.should_exit = True
        await serving


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
