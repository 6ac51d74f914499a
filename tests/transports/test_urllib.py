"""What only UrllibTransport has: its addresses, threads, and that it may be forgotten.

Its proxies are in `test_urllib_proxies.py`, the rest in `test_http11.py` and the tests of all.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import pytest

from moondream_transports import Client, Timeouts, UrllibTransport
from moondream_transports.conformance._certificates import client_tls, server_tls
from moondream_transports.conformance._descriptors import open_sockets
from moondream_transports.conformance._fault_server import FaultServer, Peer, nobody_accepts
from moondream_transports.conformance._faults import LARGE, WHOLE_BODY, WORDS, answers, sized, wait
from moondream_transports.conformance._secrets import KEY, leaks
from sansio_moondream import (
    ConnectError,
    ConnectionLost,
    Endpoint,
    HTTPRequest,
    QueryResult,
)
from tests.helpers import QUERY

TEXT = "".join(WORDS)


def send(
    endpoint: Endpoint, transport: UrllibTransport | None = None, timeouts: Timeouts | None = None
) -> QueryResult:
    with transport or UrllibTransport() as opened:
        return Client(opened, endpoint, timeouts=timeouts).send(QUERY)


def one_after_the_other(peer: Peer) -> None:
    """Answer each request, until the client closes the connection."""
    while peer.sock.recv(1, socket.MSG_PEEK):
        peer.answer(sized(WHOLE_BODY))


@contextmanager
def resolving(*addresses: tuple[str, int]) -> Iterator[None]:
    """Every name has these addresses."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        yield


class TestAddresses:
    def test_each_is_tried(self) -> None:
        with FaultServer(answers(sized(WHOLE_BODY))) as server:
            with resolving(("127.0.0.2", server.port), ("127.0.0.1", server.port)):
                assert send(Endpoint(url=server.url)).text == TEXT
            with resolving(), pytest.raises(ConnectError, match="no address"):
                send(Endpoint(url=server.url))

    def test_a_silent_one_leaves_time_for_the_next(self) -> None:
        with FaultServer(answers(sized(WHOLE_BODY))) as server, nobody_accepts() as url:
            silent = ("127.0.0.1", int(url.split(":")[2].split("/")[0]))
            with resolving(silent, ("127.0.0.1", server.port)):
                assert send(Endpoint(url=server.url), timeouts=Timeouts(connect=4)).text == TEXT

    def test_the_last_failure_is_raised(self) -> None:
        with resolving(("127.0.0.2", 9), ("127.0.0.3", 9)), pytest.raises(ConnectError) as caught:
            send(Endpoint(url="http://localhost:9/v1"))
        assert isinstance(caught.value.__cause__, ConnectionRefusedError)

    def test_total_counts_the_connecting_too(self) -> None:
        began = monotonic()
        with FaultServer(answers(then=wait)) as server, pytest.raises(TimeoutError):
            UrllibTransport().send(
                QUERY.to_http(Endpoint(url=server.url)), Timeouts(first_event=9, total=0.2)
            )
        assert monotonic() - began < 5


class TestConnections:
    def test_threads_share_them(self) -> None:
        """No two use one at the same time, and each is used again."""
        together = threading.Barrier(3, timeout=10)
        texts: list[str] = []

        def ask() -> None:
            for _ in range(5):
                together.wait()
                texts.append(client.send(QUERY).text)

        with FaultServer(one_after_the_other) as server, UrllibTransport(proxies={}) as transport:
            client = Client(transport, Endpoint(url=server.url))
            threads = [threading.Thread(target=ask) for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(20)
        assert texts == [TEXT] * 15
        assert server.connections <= 3

    def test_a_stream_is_closed_once(self) -> None:
        """Closed twice, its connection is not given to two exchanges."""
        with FaultServer(one_after_the_other) as server, UrllibTransport(proxies={}) as transport:
            request = QUERY.to_http(Endpoint(url=server.url))
            stream = transport.send(request, Timeouts())
            while stream.read(5):
                pass
            for _ in range(2):
                stream.close()
            streams = [transport.send(request, Timeouts()) for _ in range(2)]
            for stream in streams:
                stream.close()
        assert server.connections == 2

    def test_a_forgotten_transport_closes_them(self) -> None:
        """Warnings are errors here, and the collector finds the cycle in any order."""
        before = open_sockets()
        with FaultServer(one_after_the_other) as server:
            transport = UrllibTransport(proxies={})
            assert Client(transport, Endpoint(url=server.url)).send(QUERY).text == TEXT
            cycle: list[object] = [transport]
            cycle.append(cycle)
            del transport, cycle
            gc.collect()
        assert open_sockets() - before == set()

    def test_a_stream_outlives_its_transport(self) -> None:
        with FaultServer(one_after_the_other) as server:
            request = QUERY.to_http(Endpoint(url=server.url))
            stream = UrllibTransport(proxies={}).send(request, Timeouts())
            gc.collect()
            body = b""
            while data := stream.read(5):
                body += data
            stream.close()
        assert body == WHOLE_BODY

    @pytest.mark.parametrize("where", ["module", "function", "thread"])
    def test_a_program_that_closes_nothing_prints_nothing(self, where: str) -> None:
        program = f"""
import threading
from moondream_transports import Client, UrllibTransport
from sansio_moondream import Endpoint, QueryRequest

def main():
    client = Client(UrllibTransport(), Endpoint(URL))
    kept.append(client)
    print(client.send(QueryRequest(question="What?")).text)
    if {where!r} == "function":
        kept.clear()

kept = []
URL = {{url!r}}
if {where!r} == "thread":
    thread = threading.Thread(target=main)
    thread.start()
    thread.join()
else:
    main()
"""
        with FaultServer(one_after_the_other) as server:
            command = [sys.executable, "-W", "error", "-c", program.format(url=server.url)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"{TEXT}\n", "")

    def test_reading_with_no_time_left(self) -> None:
        with (
            FaultServer(answers(sized(b"", length=10), then=wait)) as server,
            UrllibTransport(proxies={}) as transport,
        ):
            request = HTTPRequest("POST", server.url, (), b"")
            stream = transport.send(request, Timeouts())
            with pytest.raises(TimeoutError):
                stream.read(0)
            stream.close()

    @pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
    @pytest.mark.parametrize("who", ["thread", "signal handler"])
    def test_closing_wakes_a_read(self, who: str, is_tls: bool) -> None:
        """A handler runs in the thread that reads, and must not wait for it."""

        def script(peer: Peer) -> None:
            peer.answer(sized(b"", length=10))
            peer.wait_for_event()
            if who == "thread":
                stream.close()
            else:
                os.kill(os.getpid(), signal.SIGUSR1)
            peer.wait_until_closed()

        before = signal.signal(signal.SIGUSR1, lambda *_: stream.close())
        tls = server_tls("localhost") if is_tls else None
        try:
            with (
                FaultServer(script, ssl_context=tls) as server,
                UrllibTransport(proxies={}, ssl_context=client_tls()) as transport,
            ):
                request = HTTPRequest("POST", server.url, (), b"")
                stream = transport.send(request, Timeouts())
                server.saw_event()
                began = monotonic()
                with pytest.raises(ConnectionLost):
                    stream.read(60)
                assert monotonic() - began < 9
        finally:
            signal.signal(signal.SIGUSR1, before)

    def test_an_interrupted_wait_shows_no_key(self) -> None:
        """What Ctrl-C raises has our frames in it, and error reporters print their locals."""

        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        def script(peer: Peer) -> None:
            peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
            peer.sock.recv(1000)
            os.kill(os.getpid(), signal.SIGUSR1)
            peer.read_until_closed()

        before = signal.signal(signal.SIGUSR1, interrupt)
        try:
            with FaultServer(script) as server, UrllibTransport(proxies={}) as transport:
                client = Client(transport, Endpoint(url=server.url, api_key=KEY))
                for request in (QUERY, LARGE):  # waiting for the head, and while it is sent
                    with pytest.raises(KeyboardInterrupt) as caught:
                        client.send(request)
                    assert leaks(caught.value, knowing=str(Path(__file__).parent)) == []
        finally:
            signal.signal(signal.SIGUSR1, before)
