"""What the tests of the transport on aiohttp share."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Coroutine
from time import monotonic
from typing import Any

import pytest

from moondream_transports import AiohttpTransport, AsyncClient
from moondream_transports.conformance._fault_server import (
    LAST_CHUNK,
    FaultServer,
    Peer,
    Script,
    chunk,
)
from moondream_transports.conformance._faults import (
    F1,
    answers,
)
from moondream_transports.conformance._secrets import KEY
from sansio_moondream import (
    Endpoint,
    HTTPRequest,
)
from tests.helpers import END
from tests.transports.adapters import LONGEST_WAIT

aiohttp = pytest.importorskip("aiohttp")
WHOLE = answers(*F1, chunk(END), LAST_CHUNK)


def run(main: Coroutine[Any, Any, Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return asyncio.run(main, debug=True)


async def until(is_so: Callable[[], object]) -> None:
    """Wait until the server has done it, and the event loop has seen what came of it."""
    end = monotonic() + LONGEST_WAIT
    while not is_so():
        assert monotonic() < end
        await asyncio.sleep(0.001)
    for _ in range(5):
        await asyncio.sleep(0)


def times(count: int, script: Script) -> Script:
    """The same on one connection, again and again."""

    def repeated(peer: Peer) -> None:
        for _ in range(count):
            script(peer)

    return repeated


def request_to(url: str, body: bytes = b"{}", **headers: str) -> HTTPRequest:
    return HTTPRequest("POST", url, tuple(headers.items()), body)


def client(transport: AiohttpTransport, server: FaultServer, **options: Any) -> AsyncClient:
    return AsyncClient(transport, Endpoint(url=server.url, api_key=KEY), **options)
