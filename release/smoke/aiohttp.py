"""The transport over aiohttp: a streamed answer, on a session of the user and on one of ours."""

import asyncio

import aiohttp

from moondream_tools import FakeServer
from moondream_transports import AiohttpTransport, AsyncClient
from sansio_moondream import Endpoint


async def ask(transport: AiohttpTransport, endpoint: Endpoint) -> str:
    async with transport, AsyncClient(transport, endpoint).stream_query(question="?") as stream:
        return "".join([text async for text in stream.text()])


async def main(endpoint: Endpoint) -> None:
    async with aiohttp.ClientSession() as session:
        assert await ask(AiohttpTransport(session), endpoint) == "A moon."
    assert await ask(AiohttpTransport(), endpoint) == "A moon."


with FakeServer() as server:
    server.answer(text="A moon.", times=2)
    asyncio.run(main(Endpoint(server.url)))
    server.check()
