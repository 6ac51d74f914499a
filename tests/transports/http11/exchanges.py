"""What the tests of the HTTP/1.1 client share: its transports, and servers for them."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from time import monotonic
from typing import Any

import pytest

from moondream_transports import AnyioTransport, Timeouts, UrllibTransport
from moondream_transports.conformance._fault_server import (
    LAST_CHUNK,
    FaultServer,
    Peer,
    Script,
    chunk,
)
from moondream_transports.conformance._faults import F1, WORDS
from sansio_moondream import (
    Endpoint,
    HTTPRequest,
)
from tests.helpers import END, QUERY
from tests.transports.adapters import ADAPTERS, Adapter

each_adapter = pytest.mark.parametrize(
    "adapter",
    [adapter for adapter in ADAPTERS if adapter.name.startswith(("urllib", "anyio-"))],
    ids=lambda adapter: adapter.name,
)
TEXT = "".join(WORDS)
WHOLE = (*F1, chunk(END), LAST_CHUNK)
TIMEOUTS = Timeouts()


def again_and_again(*segments: bytes) -> Script:
    """One answer after the other on each connection, until the client closes it."""

    def script(peer: Peer) -> None:
        while peer.sock.recv(1, socket.MSG_PEEK):
            peer.answer(*segments)

    return script


@contextmanager
def served(*scripts: Script) -> Iterator[FaultServer]:
    """A server with a script for each connection; the last one is for all that follow."""
    left = list(scripts)

    def script(peer: Peer) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(peer)

    with FaultServer(script) as server:
        yield server


def run(
    adapter: Adapter,
    main: Callable[[Any], Awaitable[None]],
    proxy: str | None = None,
    **options: Any,
) -> None:
    """Run `main(transport)`, and close the transport."""

    async def opened() -> None:
        async with AsyncExitStack() as stack:
            if adapter.is_async:
                made = AnyioTransport(proxy=proxy, **options)
                await main(await stack.enter_async_context(made))
            else:
                proxies = {} if proxy is None else {"http": proxy, "https": proxy}
                await main(stack.enter_context(UrllibTransport(proxies=proxies, **options)))

    adapter.run(opened)


async def until(adapter: Adapter, is_so: Callable[[], object]) -> None:
    end = monotonic() + 10
    while not is_so():
        assert monotonic() < end
        await adapter.sleep(0.001)


async def close(transport: Any) -> None:
    if isinstance(transport, UrllibTransport):
        transport.close()
    else:
        await transport.aclose()


async def ask(adapter: Adapter, transport: Any, server: FaultServer) -> str:
    result = await adapter.client(transport, Endpoint(url=server.url)).send(QUERY)
    return result.text


def request_to(server: FaultServer) -> HTTPRequest:
    return QUERY.to_http(Endpoint(url=server.url))
