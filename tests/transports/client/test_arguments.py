"""What a client is made of: wrong arguments are refused at once, in words; its own transport."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from moondream_transports import (
    AnyioTransport,
    AsyncClient,
    AsyncRecordingTransport,
    AsyncReplayTransport,
    AsyncVirtualClock,
    Client,
    RecordingTransport,
    ReplayTransport,
    UrllibTransport,
    VirtualClock,
)
from moondream_transports._transport import require_async_transport, require_transport
from sansio_moondream import Endpoint, QueryRequest
from tests.helpers import QUERY
from tests.transports.fakes import ENDPOINT, WHOLE, AsyncFakeStream, FakeStream, client

AnyClient: Any = Client
AnyAsyncClient: Any = AsyncClient
AnyRecordingTransport: Any = RecordingTransport
AnyAsyncRecordingTransport: Any = AsyncRecordingTransport


def refused(make: Callable[[], object]) -> str:
    """The words of the TypeError."""
    with pytest.raises(TypeError) as caught:
        make()
    return str(caught.value)


class TestTransports:
    @pytest.mark.parametrize("transport", [FakeStream(), UrllibTransport(), ReplayTransport([])])
    def test_sync(self, transport: Any) -> None:
        name = type(transport).__name__
        same: object = require_transport(transport)
        assert same is transport
        words = f"{name} is a sync transport, for Client"
        assert refused(lambda: AnyAsyncClient(transport)) == words
        assert refused(lambda: AnyAsyncRecordingTransport(transport, list)) == words

    @pytest.mark.parametrize(
        "transport", [AsyncFakeStream(FakeStream()), AnyioTransport(), AsyncReplayTransport([])]
    )
    def test_async(self, transport: Any) -> None:
        name = type(transport).__name__
        same: object = require_async_transport(transport)
        assert same is transport
        words = f"{name} is an async transport, for AsyncClient"
        assert refused(lambda: AnyClient(transport)) == words
        assert refused(lambda: AnyRecordingTransport(transport, list)) == words

    @pytest.mark.parametrize("make", [AnyClient, AnyAsyncClient])
    @pytest.mark.parametrize("wrong", [ENDPOINT, "http://localhost:2020/v1", 1, b""])
    def test_what_is_none(self, make: Any, wrong: object) -> None:
        words = refused(lambda: make(wrong))
        assert words.startswith("transport should have a method send(), which ")
        assert ENDPOINT.api_key is not None
        assert ENDPOINT.api_key not in words

    @pytest.mark.parametrize("kind", [UrllibTransport, AnyioTransport])
    @pytest.mark.parametrize("make", [AnyClient, AnyAsyncClient])
    def test_class(self, make: Any, kind: type) -> None:
        assert refused(lambda: make(kind)) == (
            f"transport should be an instance, not the class {kind.__name__}"
        )

    @pytest.mark.parametrize("name", ["httpx", "httpx2"])
    def test_client_of_httpx(self, name: str) -> None:
        library: Any = pytest.importorskip(name)

        special: Any = type("Special", (library.Client,), {})
        with special(trust_env=False, verify=False) as session:
            assert refused(lambda: AnyClient(session)) == (
                f"transport should be HttpxTransport(...), not Special of {name} itself"
            )
        words = refused(lambda: AnyAsyncClient(library.AsyncClient(trust_env=False, verify=False)))
        assert words.startswith("transport should be AsyncHttpxTransport(...), not AsyncClient of")

    def test_session_of_aiohttp(self) -> None:
        aiohttp: Any = pytest.importorskip("aiohttp")
        session = aiohttp.ClientSession.__new__(aiohttp.ClientSession)
        assert refused(lambda: AnyAsyncClient(session)).startswith("transport should be Aioh")
        assert "method send()" in refused(lambda: AnyClient(session))


@pytest.mark.parametrize("make", [AnyClient, AnyAsyncClient])
@pytest.mark.parametrize(
    ("name", "wrong", "kind"),
    [
        ("endpoint", "http://localhost:2020/v1", "Endpoint"),
        ("timeouts", 5.0, "Timeouts"),
        ("limits", {}, "Limits"),
        ("retries", 3, "RetryPolicy"),
    ],
)
def test_arguments_of_another_type(make: Any, name: str, wrong: object, kind: str) -> None:
    words = f"{name} should be {kind}(...), not {type(wrong).__name__}"
    assert refused(lambda: make(**{name: wrong})) == words


@pytest.mark.parametrize("make", [AnyClient, AnyAsyncClient])
@pytest.mark.parametrize(
    ("wrong", "shown"),
    [("x", "str"), (None, "NoneType"), (QueryRequest, "the class QueryRequest"), ({}, "dict")],
)
def test_what_is_no_request(make: Any, wrong: object, shown: str) -> None:
    words = f"request should be a request, such as QueryRequest(...), not {shown}"
    assert refused(lambda: make().stream(wrong)) == words
    sent = make().send(wrong) if make is AnyAsyncClient else None
    assert refused(lambda: sent.send(None) if sent else make().send(wrong)) == words


class TestSleeping:
    @pytest.mark.parametrize("sleep", [asyncio.sleep, partial(asyncio.sleep, 1), 5])
    def test_what_would_not_wait(self, sleep: Any) -> None:
        words = f"sleep should be a function that waits, not {sleep!r}"
        assert refused(lambda: Client(sleep=sleep)) == words

    @pytest.mark.parametrize("sleep", [time.sleep, VirtualClock().sleep, 5])
    def test_what_would_stop_the_event_loop(self, sleep: Any) -> None:
        words = f"sleep should be an async function that waits, not {sleep!r}"
        assert refused(lambda: AsyncClient(sleep=sleep)) == words

    def test_what_waits(self) -> None:
        Client(sleep=time.sleep)
        Client(sleep=lambda _: None)
        AsyncClient(sleep=asyncio.sleep)
        AsyncClient(sleep=AsyncVirtualClock().sleep)
        AsyncClient(sleep=lambda seconds: asyncio.sleep(seconds / 1000))

    def test_clock_of_the_wrong_kind(self) -> None:
        sync_clock: Any = VirtualClock()
        async_clock: Any = AsyncVirtualClock()
        words = "clock.sleep should be a function that waits, not "
        assert refused(lambda: ReplayTransport([], clock=async_clock)).startswith(words)
        words = "clock.sleep should be an async function that waits, not "
        assert refused(lambda: AsyncReplayTransport([], clock=sync_clock)).startswith(words)


class TestClosing:
    def test_transport_that_was_passed_stays_open(self) -> None:
        class Closable(FakeStream):
            closed_transports = 0

            def shut(self) -> None:
                self.closed_transports += 1

            __exit__ = shut

        transport = Closable(*WHOLE)
        with client(transport) as one:
            assert one.send(QUERY).text == "A moon"
            assert transport.closed == 1  # the stream
        one.close()
        assert (transport.closed, transport.closed_transports) == (1, 0)

    def test_default_endpoint_is_the_cloud(self) -> None:
        assert repr(Client()) == f"<Client {Endpoint()!r} by UrllibTransport>"
        assert repr(AsyncClient()) == f"<AsyncClient {Endpoint()!r} by AnyioTransport>"

    def test_closed_twice(self) -> None:
        with Client() as one:
            one.close()


def test_default_of_an_async_client_where_anyio_is_missing() -> None:
    program = """
import sys
sys.modules["anyio"] = None
from moondream_transports import AsyncClient
try:
    AsyncClient()
except ModuleNotFoundError as error:
    print(error.name, error, sep=": ")
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout == (
        "anyio: the default async transport needs anyio, which is not installed:"
        " pip install 'sansio-moondream[anyio]', or pass another transport\n"
    ), ran.stderr
