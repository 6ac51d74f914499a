"""The readers of the streams of end_to_end.py: our transports through a client, and the peers.

Each gives, for a server's address, a function that reads one whole stream and asserts its content.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from bare_readers import (
    QUESTION,
    Ask,
    Opened,
    async_httpx_client,
    bare_aiohttp,
    bare_anyio,
    bare_async_httpx,
    bare_asyncio,
    bare_httpx,
    bare_trio,
    bare_urllib,
)
from stream_server import EVENTS, WORK, texts


def ours_sync(transport: Callable[[], Any]) -> Opened:
    @asynccontextmanager
    async def opened(url: str) -> AsyncIterator[Ask]:
        from moondream_transports import Client
        from sansio_moondream import Endpoint, QueryRequest

        with transport() as made:
            client, request = Client(made, Endpoint(f"{url}/v1")), QueryRequest(question=QUESTION)

            async def ask() -> None:
                events = 0
                with client.stream(request) as stream:
                    for _ in stream:
                        events += 1
                    assert events == WORK.events
                    assert stream.result().text == WORK.text

            yield ask

    return opened


def ours_async(transport: Callable[[], Any]) -> Opened:
    @asynccontextmanager
    async def opened(url: str) -> AsyncIterator[Ask]:
        from moondream_transports import AsyncClient
        from sansio_moondream import Endpoint, QueryRequest

        async with transport() as made:
            client, request = (
                AsyncClient(made, Endpoint(f"{url}/v1")),
                QueryRequest(question=QUESTION),
            )

            async def ask() -> None:
                events = 0
                async with client.stream(request) as stream:
                    async for _ in stream:
                        events += 1
                    assert events == WORK.events
                    assert (await stream.result()).text == WORK.text

            yield ask

    return opened


def our_urllib() -> Any:
    from moondream_transports import UrllibTransport

    return nullcontext(UrllibTransport(proxies={}))


def our_httpx(library: str) -> Callable[[], Any]:
    @contextmanager
    def transport() -> Iterator[Any]:
        from moondream_transports import HttpxTransport

        with import_module(library).Client(trust_env=False) as client:
            yield HttpxTransport(client)

    return transport


def our_async_httpx(library: str) -> Callable[[], Any]:
    @asynccontextmanager
    async def transport() -> AsyncIterator[Any]:
        from moondream_transports import AsyncHttpxTransport

        async with async_httpx_client(library) as client:
            yield AsyncHttpxTransport(client)

    return transport


def our_aiohttp() -> Any:
    from moondream_transports import AiohttpTransport

    return AiohttpTransport()


def our_anyio() -> Any:
    from moondream_transports import AnyioTransport

    return AnyioTransport()


@asynccontextmanager
async def moondream(url: str) -> AsyncIterator[Ask]:
    client = import_module("moondream").vl(endpoint=f"{url}/v1")

    async def ask() -> None:
        assert "".join(client.query(question=QUESTION, stream=True)["answer"]) == WORK.text

    yield ask


@asynccontextmanager
async def openai(url: str) -> AsyncIterator[Ask]:
    package, text = import_module("openai"), "".join(texts(EVENTS - 2))
    with (
        import_module("httpx2").Client(trust_env=False) as http,
        package.OpenAI(
            api_key="none", base_url=f"{url}/v1", http_client=http, max_retries=0
        ) as client,
    ):

        async def ask() -> None:
            messages = [{"role": "user", "content": QUESTION}]
            with client.chat.completions.create(
                model="m", messages=messages, stream=True
            ) as chunks:
                assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == text

        yield ask


@asynccontextmanager
async def anthropic(url: str) -> AsyncIterator[Ask]:
    package, text = import_module("anthropic"), "".join(texts(EVENTS - 5))
    with (
        import_module("httpx2").Client(trust_env=False) as http,
        package.Anthropic(api_key="none", base_url=url, http_client=http, max_retries=0) as client,
    ):

        async def ask() -> None:
            messages = [{"role": "user", "content": QUESTION}]
            with client.messages.create(
                model="m", max_tokens=1000, messages=messages, stream=True
            ) as events:
                assert (
                    "".join(
                        event.delta.text for event in events if event.type == "content_block_delta"
                    )
                    == text
                )

        yield ask


@dataclass(frozen=True)
class Candidate:
    open: Opened
    backend: str = "sync"  # or asyncio or trio
    bare: str | None = None  # of one of ours: the bare library that it is measured against
    bare_idle: str | None = None  # the same for memory, where it is another

    @property
    def bares(self) -> tuple[str | None, str | None]:
        """The candidates that it is compared with in speed and in memory."""
        return self.bare, self.bare_idle or self.bare


OFFICIAL = "moondream"


# In the order in which they run: what is compared stands side by side.
CANDIDATES = {
    "urllib": Candidate(ours_sync(our_urllib), bare="bare-urllib"),
    "bare-urllib": Candidate(bare_urllib),
    OFFICIAL: Candidate(moondream),
    "aiohttp": Candidate(ours_async(our_aiohttp), "asyncio", "bare-aiohttp"),
    "bare-aiohttp": Candidate(bare_aiohttp, "asyncio"),
    "httpx2": Candidate(ours_sync(our_httpx("httpx2")), bare="bare-httpx2"),
    "bare-httpx2": Candidate(bare_httpx("httpx2")),
    "httpx": Candidate(ours_sync(our_httpx("httpx")), bare="bare-httpx"),
    "bare-httpx": Candidate(bare_httpx("httpx")),
    "httpx2-async": Candidate(
        ours_async(our_async_httpx("httpx2")), "asyncio", "bare-httpx2-async"
    ),
    "bare-httpx2-async": Candidate(bare_async_httpx("httpx2"), "asyncio"),
    "httpx-async": Candidate(ours_async(our_async_httpx("httpx")), "asyncio", "bare-httpx-async"),
    "bare-httpx-async": Candidate(bare_async_httpx("httpx"), "asyncio"),
    "anyio-asyncio": Candidate(
        ours_async(our_anyio), "asyncio", "bare-asyncio", "bare-anyio-asyncio"
    ),
    "bare-asyncio": Candidate(bare_asyncio, "asyncio"),
    "bare-anyio-asyncio": Candidate(bare_anyio, "asyncio"),
    "anyio-trio": Candidate(ours_async(our_anyio), "trio", "bare-trio", "bare-anyio-trio"),
    "bare-trio": Candidate(bare_trio, "trio"),
    "bare-anyio-trio": Candidate(bare_anyio, "trio"),
    "openai": Candidate(openai),
    "anthropic": Candidate(anthropic),
}
