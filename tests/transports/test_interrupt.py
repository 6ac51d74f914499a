"""A sync stream that is closed by another thread before it has a head."""

from __future__ import annotations

import socket
import ssl
import threading
from typing import Any

import pytest

from moondream_transports import Client, UrllibTransport
from moondream_transports.conformance._certificates import client_tls, server_tls
from sansio_moondream import Endpoint, MoondreamError, QueryRequest
from tests.transports.adapters import ADAPTERS, LONGEST_WAIT, Adapter
from tests.transports.fakes import FakeStream
from tests.transports.fakes import client as fake_client
from tests.transports.map.answers import AnswerServer

each_sync = pytest.mark.parametrize(
    "adapter", [a for a in ADAPTERS if not a.is_async], ids=lambda adapter: adapter.name
)


def opening(stream: Any, caught: list[BaseException]) -> threading.Thread:
    """Enter the stream in a thread of its own."""

    def enter() -> None:
        try:
            with stream:
                pass
        except MoondreamError as error:
            caught.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    return thread


@each_sync
@pytest.mark.parametrize("is_kept", [False, True])
def test_closing_ends_the_wait_for_the_head(adapter: Adapter, is_kept: bool) -> None:
    """On a new connection, or on one that was kept."""

    async def main() -> None:
        async with adapter.transport() as transport:
            client = Client(transport, Endpoint(server.url))
            if is_kept:
                client.send(QueryRequest(question="ok 1"))
            stream = client.stream(QueryRequest(question="wait 2"))
            caught: list[BaseException] = []
            thread = opening(stream, caught)
            await adapter.until(lambda: ("wait 2", "wait") in server.log, "the request")
            stream.close()
            thread.join(LONGEST_WAIT)
            assert not thread.is_alive()
            assert len(caught) == 1
            await adapter.until(lambda: ("wait 2", "left") in server.log, "the close")
            assert client.send(QueryRequest(question="ok 3")).text == "about ok 3"

    with AnswerServer() as server:
        adapter.run(main)


def test_a_connection_that_is_still_being_made_sends_nothing() -> None:
    """A handshake cannot be interrupted, so the connection is closed after it."""
    received: list[bytes] = []
    hand_shakes, closed = threading.Event(), threading.Event()

    def serve() -> None:
        sock, _ = listener.accept()
        hand_shakes.set()
        assert closed.wait(LONGEST_WAIT)
        with server_tls("127.0.0.1").wrap_socket(sock, server_side=True) as tls:
            try:
                received.append(tls.recv(1))
            except (ssl.SSLError, ConnectionError):
                received.append(b"")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve)
        server.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/v1"
        with UrllibTransport(ssl_context=client_tls()) as transport:
            stream = Client(transport, Endpoint(url)).stream(QueryRequest(question="?"))
            caught: list[BaseException] = []
            thread = opening(stream, caught)
            assert hand_shakes.wait(LONGEST_WAIT)
            stream.close()
            closed.set()
            thread.join(LONGEST_WAIT)
            server.join(LONGEST_WAIT)
    assert received == [b""]
    assert len(caught) == 1


def test_a_stream_that_was_closed_before_sends_nothing() -> None:
    transport = FakeStream()
    stream = fake_client(transport).stream(QueryRequest(question="?"))
    stream.close()
    caught: list[BaseException] = []
    opening(stream, caught).join(LONGEST_WAIT)
    assert "the stream is not open" in str(caught[0])
    assert transport.requests == []


def test_a_transport_that_cannot_interrupt_ends_with_the_head() -> None:
    answers, asked = threading.Event(), threading.Event()

    class Slow(FakeStream):
        def send(self, request: Any, timeouts: Any) -> FakeStream:
            asked.set()
            assert answers.wait(LONGEST_WAIT)
            return super().send(request, timeouts)

    transport = Slow()
    stream = fake_client(transport).stream(QueryRequest(question="?"))
    caught: list[BaseException] = []
    thread = opening(stream, caught)
    assert asked.wait(LONGEST_WAIT)
    stream.close()
    assert thread.is_alive()
    answers.set()
    thread.join(LONGEST_WAIT)
    assert "the stream is not open" in str(caught[0])
    assert transport.closed == 1


def test_a_request_that_nobody_sends_is_no_error() -> None:
    request = QueryRequest(question="?").to_http(Endpoint("http://localhost:1/v1"), True)
    with UrllibTransport() as transport:
        transport.interrupt(request)
