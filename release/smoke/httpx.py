"""Both transports over httpx: a streamed answer, on a client of theirs and on one of ours."""

import asyncio

import httpx

from moondream_tools import FakeServer
from moondream_transports import AsyncClient, AsyncHttpxTransport, Client, HttpxTransport
from sansio_moondream import Endpoint


async def ask(endpoint: Endpoint) -> str:
    async with (
        AsyncHttpxTransport() as transport,
        AsyncClient(transport, endpoint).stream_query(question="?") as stream,
    ):
        return "".join([text async for text in stream.text()])


with FakeServer() as server:
    server.answer(text="A moon.", times=2)
    endpoint = Endpoint(server.url)
    with (
        httpx.Client(trust_env=False) as session,
        Client(HttpxTransport(session), endpoint).stream_query(question="?") as stream,
    ):
        assert "".join(stream.text()) == "A moon."
    assert asyncio.run(ask(endpoint)) == "A moon."
    server.check()
