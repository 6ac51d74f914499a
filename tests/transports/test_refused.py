"""A connection that was not made: the error names the request, and the proxy that was dialled."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from moondream_transports import Timeouts
from moondream_transports.conformance._fault_server import FaultServer, head, nobody_accepts
from moondream_transports.conformance._faults import answers
from sansio_moondream import ConnectError, ConnectTimeout, Endpoint, MoondreamError
from tests.helpers import QUERY

from .adapters import SYNC_AND_ASYNC, Adapter, each_adapter


def refused(
    adapter: Adapter, url: str, proxy: str | None, timeouts: Timeouts | None = None
) -> MoondreamError:
    async def main() -> Any:
        async with adapter.transport(proxy=proxy) as transport:
            client = adapter.client(transport, Endpoint(url), timeouts=timeouts or Timeouts())
            with pytest.raises(MoondreamError) as caught:
                await client.send(QUERY)
            return caught.value

    error = adapter.run(main)
    assert isinstance(error, MoondreamError)
    assert (error.method, error.url, error.partial) == ("POST", f"{url}/query", None)
    assert str(error) == f"{error.message} [POST {url}/query]"
    assert error.retryable
    return error


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@each_adapter
def test_by_the_server(adapter: Adapter) -> None:
    error = refused(adapter, f"http://127.0.0.1:{free_port()}/v1", None)
    assert type(error) is ConnectError
    assert error.message.startswith("the connection could not be made: ConnectionRefusedError: ")


@each_adapter
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_by_the_proxy(adapter: Adapter, scheme: str) -> None:
    proxy = f"127.0.0.1:{free_port()}"
    error = refused(adapter, f"{scheme}://moondream.test/v1", f"http://user:hunter2@{proxy}")
    assert type(error) is ConnectError
    assert error.message.startswith(
        f"the connection by way of the proxy {proxy} could not be made: ConnectionRefusedError: "
    )
    assert "hunter2" not in f"{error!r} {error.__cause__!r}"


@each_adapter
def test_a_tunnel(adapter: Adapter) -> None:
    with FaultServer(answers(head(407, ()))) as server:
        proxy = f"localhost:{server.port}"
        error = refused(adapter, "https://moondream.test/v1", f"http://user:hunter2@{proxy}")
    assert type(error) is ConnectError
    assert f"proxy {proxy} " in error.message
    assert "407" in error.message


@pytest.mark.parametrize("adapter", SYNC_AND_ASYNC, ids=lambda adapter: adapter.name)
def test_in_no_time(adapter: Adapter) -> None:
    with nobody_accepts() as url:
        proxy = url.removesuffix("/v1")
        error = refused(adapter, "http://moondream.test/v1", proxy, Timeouts(connect=0.1))
    assert type(error) is ConnectTimeout
    assert error.message == (
        f"no connection by way of the proxy {proxy.removeprefix('http://')}"
        " within 0.1 seconds (Timeouts.connect)"
    )
