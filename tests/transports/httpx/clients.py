"""What the tests of the transports on httpx2 and httpx share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from moondream_transports.conformance._certificates import client_tls
from moondream_transports.conformance._fault_server import (
    LAST_CHUNK,
    chunk,
)
from moondream_transports.conformance._faults import (
    F1,
    WORDS,
)
from tests.helpers import END

httpx, httpx2 = pytest.importorskip("httpx"), pytest.importorskip("httpx2")
trio = pytest.importorskip("trio")
TLS = client_tls()
KEY = "key-that-must-not-leak"
TEXT = "".join(WORDS)
WHOLE = (*F1, chunk(END), LAST_CHUNK)
each_library = pytest.mark.parametrize("library", [httpx2, httpx], ids=["httpx2", "httpx"])
each_loop = pytest.mark.parametrize(
    "run", [lambda main: asyncio.run(main(), debug=True), trio.run], ids=["asyncio", "trio"]
)
Run = Callable[[Callable[[], Awaitable[None]]], object]


def connections(client: Any) -> list[Any]:
    return list(client._transport._pool.connections)


each_way = pytest.mark.parametrize(
    "run", [None, lambda main: asyncio.run(main()), trio.run], ids=["sync", "asyncio", "trio"]
)
