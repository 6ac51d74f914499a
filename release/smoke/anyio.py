"""The default transport of the async client, over anyio: a streamed answer."""

import asyncio

from moondream_tools import FakeServer
from moondream_transports import AsyncClient
from sansio_moondream import Endpoint


async def main(endpoint: Endpoint) -> str:
    async with (
        AsyncClient(endpoint=endpoint) as client,
        client.stream_query(question="What is this?") as stream,
    ):
        return "".join([text async for text in stream.text()])


with FakeServer() as server:
    server.answer(text="A moon.")
    assert asyncio.run(main(Endpoint(server.url))) == "A moon."
    server.check()
