"""The HTTP/1.1 client under UrllibTransport and AnyioTransport, on each of its backends.

What all transports share is tested in the modules beside this one.
"""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest

from moondream_transports.conformance._certificates import client_tls, server_tls
from moondream_transports.conformance._fault_server import (
    LAST_CHUNK,
    FaultServer,
    Peer,
    Script,
    chunk,
    head,
)
from moondream_transports.conformance._faults import DELTAS, LARGE, WORDS, answers, sized, wait
from moondream_transports.conformance._secrets import KEY
from sansio_moondream import (
    ConnectError,
    Endpoint,
    HTTPRequest,
    LocalProtocolError,
    MoondreamError,
    PayloadTooLargeError,
    TLSError,
)
from tests.helpers import END, QUERY
from tests.transports.adapters import LONGEST_WAIT, Adapter, assert_no_key

from .exchanges import (
    TEXT,
    TIMEOUTS,
    WHOLE,
    again_and_again,
    ask,
    each_adapter,
    request_to,
    run,
)


@each_adapter
def test_413_while_sending_with_tls(adapter: Adapter) -> None:
    async def main(transport: Any) -> None:
        client = adapter.client(transport, Endpoint(url=server.url))
        with pytest.raises(PayloadTooLargeError):
            await client.send(LARGE)
        answered.set()

    def script(peer: Peer) -> None:
        peer.sock.recv(1000)
        peer.send(sized(b"{}", status_code=413, kind="application/json"))
        if adapter.name == "anyio-asyncio":  # a write that fails first would hide the answer
            assert answered.wait(LONGEST_WAIT)

    answered = threading.Event()
    with FaultServer(script, ssl_context=server_tls("localhost")) as server:
        run(adapter, main, ssl_context=client_tls())


@each_adapter
def test_an_answer_that_begins_while_the_request_is_sent(adapter: Adapter) -> None:
    """The answer and the request are both whole. The rest of the answer waits in the socket."""
    words = chunk(DELTAS[0]) * 5000

    async def main(transport: Any) -> None:
        stream = adapter.client(transport, Endpoint(url=server.url)).stream(LARGE)
        async with stream:
            assert (await stream.result()).text == WORDS[0] * 5000

    def script(peer: Peer) -> None:
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        peer.send(head() + words)
        peer.answer(chunk(END), LAST_CHUNK)

    with FaultServer(script) as server:
        run(adapter, main)


@each_adapter
@pytest.mark.parametrize(
    ("script", "error"),
    [(lambda peer: None, TLSError), (Peer.reset, ConnectError)],
    ids=["closes", "resets"],
)
def test_tls_handshake_is_cut(
    adapter: Adapter, script: Script, error: type[MoondreamError]
) -> None:
    def break_off(peer: Peer) -> None:
        peer.sock.recv(65536)
        script(peer)

    async def main(transport: Any) -> None:
        with pytest.raises(error) as caught:
            await transport.send(
                QUERY.to_http(Endpoint(url=server.url.replace("http:", "https:"))), TIMEOUTS
            )
        assert caught.value.__cause__ is not None

    with FaultServer(break_off) as server:
        run(adapter, main)


@pytest.mark.usefixtures("patient_drain")
@each_adapter
def test_proxy_keeps_connections(adapter: Adapter) -> None:
    async def main(transport: Any) -> None:
        client = adapter.client(transport, Endpoint(url="http://moondream.test/v1"))
        assert [(await client.send(QUERY)).text for _ in range(3)] == [TEXT] * 3

    with FaultServer(again_and_again(*WHOLE)) as server:
        run(adapter, main, proxy=f"http://localhost:{server.port}")
    assert server.connections == 1


@each_adapter
def test_refused_tunnel_tells_no_password(adapter: Adapter) -> None:
    async def main(transport: Any) -> None:
        client = adapter.client(transport, Endpoint(url="https://moondream.test/v1"))
        with pytest.raises(ConnectError, match="407") as caught:
            await client.send(QUERY)
        assert_no_key(caught.value, repr(transport))

    with FaultServer(answers(f"HTTP/1.1 407 {KEY}\r\n\r\n".encode())) as server:
        run(adapter, main, proxy=f"http://user:{KEY}@localhost:{server.port}")


@each_adapter
def test_413_from_a_server_that_reads_no_more(adapter: Adapter) -> None:
    """It keeps the connection open, and the request does not fit into its buffers."""

    async def main(transport: Any) -> None:
        with pytest.raises(PayloadTooLargeError):
            await adapter.client(transport, Endpoint(url=server.url)).send(LARGE)
        answered.set()

    def script(peer: Peer) -> None:
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        peer.sock.recv(1000)
        peer.send(sized(b"{}", status_code=413, kind="application/json"))
        assert answered.wait(LONGEST_WAIT)

    answered = threading.Event()
    with FaultServer(script) as server:
        run(adapter, main)


@each_adapter
@pytest.mark.parametrize("is_tunnel", [False, True], ids=["direct", "tunnel"])
def test_tls_that_negotiates_http2(adapter: Adapter, is_tunnel: bool) -> None:
    """The context is shared with an HTTP/2 client, which made it offer h2."""
    context, tls = client_tls(), server_tls("localhost")
    context.set_alpn_protocols(["h2", "http/1.1"])
    tls.set_alpn_protocols(["h2", "http/1.1"])

    async def main(transport: Any) -> None:
        with pytest.raises(TLSError, match=r"negotiated h2 .* SSLContext of its own"):
            await adapter.send(transport, request_to(server), TIMEOUTS)

    def proxy(peer: Peer) -> None:
        peer.answer(b"HTTP/1.1 200 \r\n\r\n")
        with tls.wrap_socket(peer.sock, server_side=True) as sock:
            peer.inside(sock).wait_until_closed()

    if is_tunnel:
        with FaultServer(proxy) as tunnel, FaultServer(wait, ssl_context=tls) as server:
            run(adapter, main, f"http://localhost:{tunnel.port}", ssl_context=context)
    else:
        with FaultServer(wait, ssl_context=tls) as server:
            run(adapter, main, ssl_context=context)


@each_adapter
def test_tls_that_negotiates_http1(adapter: Adapter) -> None:
    context, tls = client_tls(), server_tls("localhost")
    context.set_alpn_protocols(["h2", "http/1.1"])
    tls.set_alpn_protocols(["http/1.1"])

    async def main(transport: Any) -> None:
        assert await ask(adapter, transport, server) == TEXT

    with FaultServer(answers(*WHOLE), ssl_context=tls) as server:
        run(adapter, main, ssl_context=context)


@each_adapter
def test_an_url_that_cannot_be_sent(adapter: Adapter) -> None:
    async def main(transport: Any) -> None:
        for url in ("ftp://localhost/", "http://[/", "http:///v1", "http://localhost:x/"):
            with pytest.raises(LocalProtocolError):
                await adapter.send(transport, HTTPRequest("POST", url, (), b""), TIMEOUTS)

    run(adapter, main)
