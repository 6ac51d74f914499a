"""Every deadline ends the wait, which httpx alone does not promise."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

import pytest

from moondream_transports import AsyncClient, AsyncHttpxTransport, Client, HttpxTransport, Timeouts
from moondream_transports.conformance._fault_server import (
    LAST_CHUNK,
    FaultServer,
    Peer,
    chunk,
    head,
)
from moondream_transports.conformance._faults import (
    EVENTS,
    F1,
    F1_AT_ONCE,
    answers,
    wait,
)
from sansio_moondream import (
    ConnectTimeout,
    Endpoint,
    FirstEventTimeout,
    IdleTimeout,
    TotalTimeout,
)
from tests.helpers import END, QUERY
from tests.transports.httpx.clients import (
    TEXT,
    TLS,
    WHOLE,
    Run,
    connections,
    each_library,
    each_way,
    httpx2,
)


# Deadlines
def timed(
    library: Any,
    script: Callable[[Peer], None],
    timeouts: Timeouts,
    error: type[Exception],
    run: Run | None,
) -> float:
    """How long it took until `error`, with the sync client where `run` is None."""
    with FaultServer(script) as server:
        began = monotonic()
        endpoint = Endpoint(url=server.url)
        if run is None:
            with library.Client(trust_env=False, verify=TLS) as client:
                began = monotonic()
                with pytest.raises(error):
                    Client(HttpxTransport(client), endpoint, timeouts=timeouts).send(QUERY)
                return monotonic() - began

        async def main() -> None:
            nonlocal began
            async with library.AsyncClient(trust_env=False, verify=TLS) as client:
                began = monotonic()
                with pytest.raises(error):
                    await AsyncClient(
                        AsyncHttpxTransport(client), endpoint, timeouts=timeouts
                    ).send(QUERY)
                began = monotonic() - began

        run(main)
        return began


def _dribbled_chunk_size(peer: Peer) -> None:
    peer.answer(F1_AT_ONCE)
    while not peer.is_closed_within(0.1):
        peer.send(b"0")


@each_library
@each_way
def test_deadlines_are_exact(library: Any, run: Run | None) -> None:
    for script, timeouts, error in [
        (answers(F1_AT_ONCE, then=wait), Timeouts(first_event=9, idle=0.2), IdleTimeout),
        (answers(head(), then=wait), Timeouts(first_event=0.2, idle=9), FirstEventTimeout),
        (answers(*F1, then=wait), Timeouts(total=0.2), TotalTimeout),
        (answers(then=wait), Timeouts(first_event=9, total=0.2), TotalTimeout),
        (_dribbled_chunk_size, Timeouts(idle=0.2), IdleTimeout),  # bytes, but none of the body
    ]:
        assert 0.19 < timed(library, script, timeouts, error, run) < 5


def _flood_of_heads(peer: Peer) -> None:
    """Send 103 after 103 as fast as they are read."""
    peer.read_request()
    peer.send_for_ever(head(103, [("Link", "</>")]) * 50)


def _slow_heads(peer: Peer) -> None:
    peer.read_request()
    peer.send_for_ever(head(103, [("Link", "</>")]), every=0.05)


def _dribbled_head(peer: Peer) -> None:
    peer.answer(b"HTTP/1.1 200 OK\r\nX: ")
    peer.send_for_ever(b"x", every=0.05)


def _dribbled_body(peer: Peer) -> None:
    peer.answer(*F1)
    peer.send_for_ever(chunk(b": comment\n\n"), every=0.05)


never_ending = pytest.mark.parametrize(
    "script", [_flood_of_heads, _slow_heads, _dribbled_head, _dribbled_body, answers(then=wait)]
)


@each_library
@each_way
@never_ending
def test_deadlines_end_what_never_ends(
    library: Any, run: Run | None, script: Callable[[Peer], None]
) -> None:
    """Sync httpx has no deadline for a head, only one for each wait for the socket."""
    assert timed(library, script, Timeouts(2, 2, 2, total=0.5), TotalTimeout, run) < 5


@pytest.mark.usefixtures("patient_drain")
@each_library
@never_ending
def test_deadlines_on_a_kept_connection(library: Any, script: Callable[[Peer], None]) -> None:
    """Two connections are kept. The library does not say which one it takes, and the other one is
    not harmed.
    """

    def first_whole(peer: Peer) -> None:
        peer.answer(*F1[:2])
        peer.wait_for_event()  # so that two are open at once
        for segment in (*F1[2:], chunk(END), LAST_CHUNK):
            peer.send(segment)
        if peer.number == 1:
            peer.answer(*WHOLE)
        script(peer)

    short = Timeouts(5, 5, 5, total=1)
    with (
        FaultServer(first_whole) as server,
        library.Client(trust_env=False, verify=TLS) as client,
    ):
        transport = HttpxTransport(client)
        ours = Client(transport, Endpoint(url=server.url))
        with ours.stream(QUERY) as one, ours.stream(QUERY) as other:
            for stream in (one, other):
                next(stream)
                server.saw_event()
            assert (one.result().text, other.result().text) == (TEXT, TEXT)
        assert len(connections(client)) == 2
        began = monotonic()
        outcomes = []
        for _ in range(3):  # one of the two has one more whole answer
            try:
                impatient = Client(transport, Endpoint(url=server.url), timeouts=short)
                outcomes.append(impatient.send(QUERY).text)
            except TotalTimeout:
                outcomes.append("late")
            if server.connections > 2:
                break
        assert monotonic() - began < 9
    assert sorted(outcomes[:3]) in ([TEXT, "late", "late"], ["late", "late"])


def test_a_connection_of_another_exchange_is_not_shut_down() -> None:
    """One exchange passes its deadline while another one on the same client goes on."""
    scripts = {b"slow": threading.Event(), b"late": threading.Event()}

    def script(peer: Peer) -> None:
        peer.answer(*F1)
        if peer.number == 1:
            assert scripts[b"slow"].wait(10)
            for segment in (chunk(END), LAST_CHUNK):
                peer.send(segment)
        else:
            peer.wait_until_closed()

    with FaultServer(script) as server, httpx2.Client(trust_env=False, verify=TLS) as client:
        transport = HttpxTransport(client)
        endpoint = Endpoint(url=server.url)
        with Client(transport, endpoint).stream(QUERY) as slow:
            assert [next(slow) for _ in EVENTS] == EVENTS
            impatient = Client(transport, endpoint, timeouts=Timeouts(idle=0.2))
            with pytest.raises(IdleTimeout):
                impatient.send(QUERY)
            scripts[b"slow"].set()
            assert slow.result().text == TEXT


@each_library
@each_way
def test_waiting_for_the_pool_counts_as_connecting(library: Any, run: Run | None) -> None:
    limits = library.Limits(max_connections=1)
    short = Timeouts(connect=1)  # the first has to connect within it
    with FaultServer(answers(*F1, then=wait)) as server:
        endpoint = Endpoint(url=server.url)
        if run is None:
            with library.Client(trust_env=False, verify=TLS, limits=limits) as client:
                ours = Client(HttpxTransport(client), endpoint, timeouts=short)
                with ours.stream(QUERY), pytest.raises(ConnectTimeout):
                    ours.send(QUERY)
            return

        async def main() -> None:
            async with library.AsyncClient(trust_env=False, verify=TLS, limits=limits) as client:
                ours = AsyncClient(AsyncHttpxTransport(client), endpoint, timeouts=short)
                async with ours.stream(QUERY):
                    with pytest.raises(ConnectTimeout):
                        await ours.send(QUERY)
                assert connections(client) == []

        run(main)


@each_library
@each_way
def test_a_proxy_that_is_silent_is_no_connection(library: Any, run: Run | None) -> None:
    with FaultServer(answers(then=wait)) as server:
        proxy, endpoint, short = (
            f"http://localhost:{server.port}",
            Endpoint(url="https://moondream.test/v1"),
            Timeouts(connect=0.2),
        )
        if run is None:
            with library.Client(proxy=proxy, verify=TLS) as client, pytest.raises(ConnectTimeout):
                Client(HttpxTransport(client), endpoint, timeouts=short).send(QUERY)
            return

        async def main() -> None:
            async with library.AsyncClient(proxy=proxy, verify=TLS) as client:
                with pytest.raises(ConnectTimeout):
                    await AsyncClient(AsyncHttpxTransport(client), endpoint, timeouts=short).send(
                        QUERY
                    )

        run(main)
