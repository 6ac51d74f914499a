"""HTTP/2 and broken HTTP/1.1 framing: numbers 24 and 25 of "What broke in trials"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import h2.config
import h2.connection
import h2.events
import httpx
import httpx2
import pytest

from moondream_transports import Client, HttpxTransport, RetryPolicy, Timeouts
from moondream_transports.conformance import CASES
from moondream_transports.conformance._certificates import client_tls, server_tls
from moondream_transports.conformance._fault_server import LAST_CHUNK, FaultServer, Peer, chunk
from moondream_transports.conformance._faults import (
    DELTAS,
    EVENTS,
    F1,
    answers,
    wait,
)
from sansio_moondream import (
    ConnectionLost,
    Endpoint,
    Event,
    FirstEventTimeout,
    MoondreamError,
    RemoteProtocolError,
    TLSError,
)
from tests.guides import PAGES
from tests.helpers import END, QUERY
from tests.transports.adapters import ADAPTERS, Adapter

each_library = pytest.mark.parametrize("library", [httpx2, httpx], ids=["httpx2", "httpx"])
BY_NAME = {adapter.name: adapter for adapter in ADAPTERS}
HTTPX = [adapter for adapter in ADAPTERS if adapter.name.startswith("httpx")]
HTTP1_ONLY = [adapter for adapter in ADAPTERS if adapter not in HTTPX]
BANNER = b"SSH-2.0-OpenSSH_9.2p1\r\n"
BROKEN_OFF = b"\r\n1\r\n"  # by h2o, where its upstream broke
TIMEOUTS = Timeouts(connect=5, first_event=5, idle=5, total=20)


def each(adapters: list[Adapter]) -> pytest.MarkDecorator:
    """One test for each of these transports."""
    return pytest.mark.parametrize("adapter", adapters, ids=lambda adapter: adapter.name)


def ask(
    adapter: Adapter,
    server: FaultServer,
    timeouts: Timeouts = TIMEOUTS,
    **options: Any,
) -> tuple[list[Event], MoondreamError | None]:
    """The events of one exchange, and the error that ended it."""
    events: list[Event] = []

    async def main() -> MoondreamError | None:
        async with adapter.transport(**options) as transport:
            client = adapter.client(transport, Endpoint(server.url), timeouts=timeouts)
            try:
                async with client.stream(QUERY) as stream:
                    async for event in stream:
                        events.append(event)
                        server.saw_event()
            except MoondreamError as error:
                return error
        return None

    return events, adapter.run(main)


def libraries_section() -> str:
    """What the docs say under "Where the libraries differ"."""
    pages = "".join(path.read_text() for path in PAGES)
    (section,) = re.findall(r"## Where the libraries differ\n(.*?)(?=\n## )", pages, re.DOTALL)
    return str(section)


# HTTP/2


def as_http2(peer: Peer) -> Iterator[tuple[h2.connection.H2Connection, int]]:
    """Serve HTTP/2: the connection and the number of each stream whose request has come."""
    http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    http.initiate_connection()
    peer.send(http.data_to_send())
    while data := peer.sock.recv(65536):
        for event in http.receive_data(data):
            if isinstance(event, h2.events.StreamEnded):
                assert event.stream_id is not None
                yield http, event.stream_id
        peer.send(http.data_to_send())


def goes_away_gracefully(peer: Peer) -> None:
    """Say in the middle of an answer that no new streams are taken, and go on with this one.

    So does nginx after `keepalive_requests`, and at a reload (RFC 9113, section 6.8).
    """
    for http, stream_id in as_http2(peer):
        http.send_headers(stream_id, [(":status", "200"), ("content-type", "text/event-stream")])
        http.send_data(stream_id, DELTAS[0])
        peer.send(http.data_to_send())
        peer.wait_for_event()
        http.close_connection(last_stream_id=stream_id)
        peer.send(http.data_to_send())
        if peer.is_closed_within(2):
            return
        # h2 itself sends nothing on a connection that it has closed: frames of DATA by hand.
        for data, flags in (*((delta, 0) for delta in DELTAS[1:]), (END, 1)):
            frame = len(data).to_bytes(3, "big") + bytes([0, flags]) + stream_id.to_bytes(4, "big")
            peer.send(frame + data)
        peer.wait_until_closed()
        return


def http2_server() -> FaultServer:
    tls = server_tls("localhost")
    tls.set_alpn_protocols(["h2"])
    return FaultServer(goes_away_gracefully, ssl_context=tls)


@each_library
def test_goaway_breaks_a_healthy_stream(library: Any) -> None:
    """Number 24, as it is: a declared limit of the libraries."""
    events: list[Event] = []
    with (
        http2_server() as server,
        library.Client(trust_env=False, verify=client_tls(), http2=True) as session,
    ):
        client = Client(HttpxTransport(session), Endpoint(server.url), timeouts=TIMEOUTS)

        def read() -> None:
            with client.stream(QUERY) as stream:
                for event in stream:
                    events.append(event)
                    server.saw_event()

        with pytest.raises(ConnectionLost) as caught:
            read()
    assert events == EVENTS[:1]
    assert caught.value.partial is not None


@each_library
def test_goaway_breaks_a_healthy_stream_of_the_library_alone(library: Any) -> None:
    """Number 24: so nothing in the adapter could be mended."""
    came = b""
    with (
        http2_server() as server,
        library.Client(trust_env=False, verify=client_tls(), http2=True) as session,
    ):

        def read() -> None:
            nonlocal came
            with session.stream("POST", f"{server.url}/query", content=b"{}") as response:
                for data in response.iter_raw():
                    came += data
                    server.saw_event()

        with pytest.raises(library.RemoteProtocolError, match="ConnectionTerminated"):
            read()
    assert came == DELTAS[0]


def test_goaway_is_in_the_docs() -> None:
    """Number 24."""
    assert "GOAWAY" in libraries_section()


def answers_over_http2(peer: Peer) -> None:
    for http, stream_id in as_http2(peer):
        http.send_headers(stream_id, [(":status", "200")], end_stream=True)
        peer.send(http.data_to_send())


def refuses_http1(peer: Peer) -> None:
    """Serve HTTP/2. A client that sees that h2 was negotiated closes, and sends nothing."""
    with suppress(OSError):
        for _ in as_http2(peer):
            raise AssertionError("no request was expected: it cannot be in HTTP/2")


@each_library
def test_ssl_context_of_an_http2_client_breaks_the_other_transports(library: Any) -> None:
    """Number 24. The context offers h2 as soon as the library has connected with it."""
    context, tls = client_tls(), server_tls("localhost")
    tls.set_alpn_protocols(["h2", "http/1.1"])
    with (
        FaultServer(answers_over_http2, ssl_context=tls) as server,
        library.Client(http2=True, verify=context, trust_env=False) as session,
    ):
        assert session.post(server.url, content=b"{}").http_version == "HTTP/2"
    errors: dict[str, MoondreamError | None] = {}
    for adapter in HTTP1_ONLY:
        with FaultServer(refuses_http1, ssl_context=tls) as server:
            events, errors[adapter.name] = ask(adapter, server, ssl_context=context)
        assert events == []
    for name, error in errors.items():
        assert re.search(r"\bh2\b|HTTP/2", str(error)), name
        assert type(error) is TLSError, name  # the connection stood
        assert RetryPolicy().wait(error, 1, 0.0) is None, name
    assert len({error and error.message for error in errors.values()}) == 1


@each(HTTPX)
def test_httpx_offers_what_its_client_speaks(adapter: Adapter) -> None:
    """Number 24. The library sets what its context offers before each connection."""
    context, tls = client_tls(), server_tls("localhost")
    context.set_alpn_protocols(["h2", "http/1.1"])
    tls.set_alpn_protocols(["h2", "http/1.1"])
    with FaultServer(answers(*F1, chunk(END), LAST_CHUNK), ssl_context=tls) as server:
        events, error = ask(adapter, server, ssl_context=context)
    assert (events[:-1], error) == (EVENTS, None)


# HTTP/1.1


@each(HTTP1_ONLY)
def test_banner_is_refused_at_its_first_byte(adapter: Adapter) -> None:
    """Number 25, where it is right already: a transport that waited for more would time out."""
    with FaultServer(answers(BANNER, then=wait)) as server:
        events, error = ask(adapter, server)
    assert (events, type(error)) == ([], RemoteProtocolError)


@each(HTTPX)
@pytest.mark.parametrize("then", [wait, lambda _peer: None], ids=["silence", "the end"])
def test_banner_is_waited_behind(adapter: Adapter, then: Any) -> None:
    """Number 25, as it is: a declared limit of the libraries, which wait for a blank line."""
    with FaultServer(answers(BANNER, then=then)) as server:
        events, error = ask(adapter, server, Timeouts(connect=5, first_event=1, idle=5, total=20))
    assert (events, type(error)) == ([], FirstEventTimeout if then is wait else ConnectionLost)


def test_banner_is_a_declared_limit() -> None:
    """Number 25: "httpx declared"."""
    assert any("banner" in case.id for case in CASES)
    assert "blank line" in libraries_section()


@each(ADAPTERS)
def test_chunk_size_and_the_end(adapter: Adapter) -> None:
    """Number 25, the form that is right already."""
    with FaultServer(answers(*F1, BROKEN_OFF.lstrip())) as server:
        events, error = ask(adapter, server)
    assert (events, type(error)) == (EVENTS, ConnectionLost)


@each(ADAPTERS)
@pytest.mark.parametrize("at_once", [False, True], ids=["later", "at once"])
def test_broken_off_by_h2o_is_a_protocol_error(adapter: Adapter, at_once: bool) -> None:
    """Number 25. What came in one segment with it is lost on aiohttp: a declared limit."""

    def break_off(peer: Peer) -> None:
        for _ in range(0 if at_once else len(EVENTS)):
            peer.wait_for_event()
        peer.send(BROKEN_OFF)

    with FaultServer(answers(*F1, then=break_off)) as server:
        events, error = ask(adapter, server)
    assert type(error) is ConnectionLost
    assert events == EVENTS or (at_once and adapter.name == "aiohttp")
