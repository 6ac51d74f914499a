"""Retries over real transports: every fault of a real server, and real waits."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from time import monotonic

import pytest

from moondream_transports import RetryPolicy
from moondream_transports.conformance._fault_cases import FAULTS, exchange
from moondream_transports.conformance._fault_server import FaultServer, Peer
from moondream_transports.conformance._faults import WHOLE_BODY, WORDS, HTTPFault, answers, sized
from moondream_transports.conformance._secrets import KEY
from sansio_moondream import (
    Endpoint,
    RateLimitError,
)
from tests.helpers import QUERY, record
from tests.transports.adapters import (
    LONGEST_WAIT,
    SYNC_AND_ASYNC,
    Adapter,
    assert_no_key,
    each_adapter,
)
from tests.transports.retries.exchanges import NOW, Calls

ERRORS = [fault for fault in FAULTS if fault.error]


def passes(fault: HTTPFault) -> bool:
    """By the table of faults, not by the policy: 429 and 5xx but 504, before the first event."""
    return fault.about.get("status_code") in (500, 502, 503) or (
        fault.error is RateLimitError and not fault.events
    )


def until_served(server: FaultServer) -> None:
    """Every connection so far is closed: what a pool still holds of them, it can see to be dead."""
    end = monotonic() + LONGEST_WAIT
    while server.is_busy():
        assert monotonic() < end
        time.sleep(0.001)


@pytest.mark.parametrize(
    "adapter",
    SYNC_AND_ASYNC,
    ids=lambda adapter: adapter.name,
)
@pytest.mark.parametrize("fault", ERRORS, ids=lambda fault: fault.id)
def test_every_fault(
    fault: HTTPFault,
    adapter: Adapter,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr("moondream_transports._exchange.time", lambda: NOW - 30)
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        until_served(server)
        waits.append(seconds)

    async def sleep_async(seconds: float) -> None:
        sleep(seconds)

    async def main() -> None:
        request = fault.request
        async with adapter.transport() as transport:
            events, outcome = await exchange(
                adapter,
                transport,
                server,
                request,
                timeouts=fault.timeouts,
                limits=fault.limits,
                retries=RetryPolicy(max_attempts=2, jitter=0),
                sleep=sleep_async if adapter.is_async else sleep,
            )
        assert_no_key(outcome, caplog.text)
        assert type(outcome) is fault.error, outcome
        assert hasattr(outcome, "__notes__") == passes(fault)
        assert len(events) >= fault.events

    with FaultServer(fault.script) as server:
        adapter.run(main)
    assert server.connections == 1 + passes(fault)
    asked = fault.about.get("retry_after", 0.5)
    assert waits == ([pytest.approx(asked)] if passes(fault) else [])


@each_adapter
class TestServer:
    """The same on every transport, with the waits that there really are."""

    def test_busy_then_whole(self, adapter: Adapter) -> None:
        responses = [
            sized(
                b'{"error": "busy"}',
                status_code=503,
                kind="application/json",
                Retry_After="0",
                Connection="close",
            ),
            sized(
                record({"error": {"message": "no", "type": "overloaded_error"}}), Connection="close"
            ),
            sized(WHOLE_BODY, Connection="close"),
        ]
        requests: list[tuple[bytes, bytes]] = []

        def script(peer: Peer) -> None:
            requests.append(peer.read_request())
            peer.send(responses[len(requests) - 1])

        async def main(server: FaultServer) -> None:
            async with adapter.transport() as transport:
                client = adapter.client(
                    transport,
                    Endpoint(url=server.url, api_key=KEY),
                    retries=RetryPolicy(initial_backoff=0.01),
                )
                assert (await client.send(QUERY)).text == "".join(WORDS)

        with FaultServer(script) as server:
            adapter.run(main, server)
        assert len(requests) == 3
        assert [body for _, body in requests] == [requests[0][1]] * 3

    @pytest.mark.usefixtures("patient_drain")
    def test_on_the_same_connection(self, adapter: Adapter) -> None:
        """An error that was read to its end gives its connection back."""
        responses = iter([sized(b"busy", status_code=503, kind="text/plain"), sized(WHOLE_BODY)])

        def script(peer: Peer) -> None:
            peer.answer(next(responses))
            peer.answer(next(responses))
            peer.wait_until_closed()

        async def main(server: FaultServer) -> None:
            async with adapter.transport() as transport:
                client = adapter.client(
                    transport, Endpoint(url=server.url), retries=RetryPolicy(initial_backoff=0.01)
                )
                assert (await client.send(QUERY)).text == "".join(WORDS)

        with FaultServer(script) as server:
            adapter.run(main, server)
        assert server.connections == 1

    def test_refused_then_served(self, adapter: Adapter) -> None:
        served: list[threading.Thread] = []

        def serve() -> None:
            sock, _ = listener.accept()
            sock.settimeout(10)
            with sock:
                answers(sized(WHOLE_BODY))(Peer(FaultServer(answers()), sock, 1))

        def listen(seconds: float) -> None:
            assert seconds > 0
            listener.listen()
            served.append(threading.Thread(target=serve))
            served[0].start()

        async def listen_async(seconds: float) -> None:
            listen(seconds)

        async def main() -> None:
            host, port = listener.getsockname()
            async with adapter.transport() as transport:
                sleep = listen_async if adapter.is_async else listen
                endpoint = Endpoint(url=f"http://{host}:{port}/v1", api_key=KEY)
                client = adapter.client(
                    transport, endpoint, retries=RetryPolicy(max_attempts=2), sleep=sleep
                )
                assert (await client.send(QUERY)).text == "".join(WORDS)

        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))  # and nobody listens yet
            adapter.run(main)
            served[0].join()

    def test_cancelled_while_it_waits(self, adapter: Adapter) -> None:
        if not adapter.is_async:
            return  # TestLeaving has what ends the wait of a sync client

        async def main(server: FaultServer) -> None:
            async with adapter.transport() as transport:

                async def send(cancel: Callable[[], object]) -> None:
                    client = adapter.client(
                        transport,
                        Endpoint(url=server.url),
                        retries=RetryPolicy(),
                        hooks=Calls(cancel),
                    )
                    await client.send(QUERY)

                await adapter.cancelled(send)

        began = monotonic()
        with FaultServer(answers(sized(b"", status_code=429, Retry_After="30"))) as server:
            adapter.run(main, server)
        assert monotonic() - began < 20
        assert server.connections == 1
