"""No key and no password in an error."""

from __future__ import annotations

import asyncio

import pytest

from moondream_transports import AiohttpTransport, Timeouts
from moondream_transports.conformance._fault_server import (
    FaultServer,
)
from moondream_transports.conformance._faults import (
    answers,
    sized,
    wait,
)
from moondream_transports.conformance._secrets import KEY
from sansio_moondream import (
    ConnectError,
    ConnectionLost,
    RemoteProtocolError,
)
from tests.transports.adapters import assert_no_key
from tests.transports.aiohttp.exchanges import request_to, run


def test_cancelled_wait_for_the_head_shows_no_key() -> None:
    """The frames of aiohttp, which have the key in their locals, are no part of the traceback."""

    async def main() -> None:
        async with AiohttpTransport() as transport:
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(1):
                    await transport.send(request_to(server.url, Authorization=KEY), Timeouts())
            assert isinstance(caught.value.__cause__, asyncio.CancelledError)
            assert_no_key(caught.value)

    with FaultServer(answers(then=wait)) as server:
        run(main())


@pytest.mark.parametrize("tls", [False, True])
def test_password_of_a_proxy_shows_nowhere(tls: bool) -> None:
    async def main() -> None:
        proxy = f"http://user:{KEY}@localhost:{server.port}"
        async with AiohttpTransport(proxy=proxy) as transport:
            with pytest.raises(ConnectError if tls else ConnectionLost) as caught:
                await transport.send(
                    request_to(f"http{'s' if tls else ''}://moondream.test/v1"), Timeouts()
                )
            assert_no_key(caught.value)
            if tls:
                assert "407" in str(caught.value)

    with FaultServer(
        lambda peer: peer.answer(*([sized(b"", status_code=407)] if tls else []))
    ) as server:
        run(main())


def test_garbage_shows_no_key() -> None:
    async def main() -> None:
        async with AiohttpTransport() as transport:
            with pytest.raises(RemoteProtocolError) as caught:
                await transport.send(request_to(server.url, Authorization=KEY), Timeouts())
            assert caught.value.__cause__ is not None
            assert_no_key(caught.value)

    with FaultServer(answers(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")) as server:
        run(main())
