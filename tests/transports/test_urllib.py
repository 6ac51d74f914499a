"""UrllibTransport and the client over it, against real sockets."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import pytest

from moondream_transports import Client, Timeouts, UrllibTransport
from sansio_moondream import (
    BBox,
    Completed,
    ConnectFailed,
    ConnectionLost,
    ConnectTimeout,
    EncodedImage,
    Endpoint,
    Event,
    IncompleteStream,
    MoondreamError,
    PathChunk,
    QueryRequest,
    QueryResult,
    RemoteProtocolError,
    Request,
    TLSFailed,
    TotalTimeout,
)
from tests.helpers import END, QUERY, SEGMENT, record

from .certificates import client_tls, server_tls
from .fault_server import CHUNKED, EVENT_STREAM, LAST_CHUNK, FaultServer, Peer, chunk, head
from .faults import DELTAS, EVENTS, F1, FAULTS, WHOLE_BODY, WORDS, Fault, answers, sized, wait

KEY = "key-that-must-not-leak"
LARGE = QueryRequest(question="What is this?", image=EncodedImage("data:image/png;base64," + "A" * 13_000_000))


def exchange(server: FaultServer, request: Request[Any] = QUERY, timeouts: Timeouts | None = None) -> tuple[list[Event], Any]:
    """All events of one exchange, and its result or the error that ended it."""
    client = Client(UrllibTransport(), Endpoint(url=server.url, api_key=KEY), timeouts=timeouts)
    events: list[Event] = []
    try:
        with client.stream(request) as stream:
            for event in stream:
                events.append(event)
                server.saw_event()
            return events, stream.result()
    except MoondreamError as error:
        return events, error


def send(endpoint: Endpoint, transport: UrllibTransport | None = None, timeouts: Timeouts | None = None) -> QueryResult:
    return Client(transport or UrllibTransport(), endpoint, timeouts=timeouts).send(QUERY)


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.id for fault in FAULTS])
def test_fault(fault: Fault) -> None:
    with FaultServer(fault.script) as server:
        began = monotonic()
        events, outcome = exchange(server, LARGE if fault.row in (35, 36) else QUERY, fault.timeouts)
        assert monotonic() - began < 5
        assert server.connections == 1
    if fault.error is None:
        assert isinstance(outcome, QueryResult)
        assert events == [*EVENTS[: fault.events], Completed(outcome)]
        assert outcome.text == "".join(WORDS[: fault.events])
        return
    assert type(outcome) is fault.error, outcome
    assert events == EVENTS[: fault.events]
    assert {name: getattr(outcome, name) for name in fault.about} == fault.about
    if fault.events:
        assert isinstance(outcome.partial, QueryResult)
        assert outcome.partial.text == "".join(WORDS)
    assert KEY not in repr(vars(outcome)) + str(outcome)


def test_connection_refused() -> None:
    with FaultServer(answers()) as server:
        pass  # and now nobody listens there
    events, error = exchange(server)
    assert (events, type(error)) == ([], ConnectFailed)
    assert isinstance(error.__cause__, ConnectionRefusedError)


@pytest.mark.parametrize("failure", [socket.gaierror(socket.EAI_NONAME, "unknown name"), UnicodeError("label too long")])
def test_name_does_not_resolve(failure: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*address: object, **hints: object) -> None:
        raise failure

    monkeypatch.setattr(socket, "getaddrinfo", fail)  # a real look-up would leave this machine
    with pytest.raises(ConnectFailed) as caught:
        send(Endpoint(url="http://no-such-name.invalid/v1"))
    assert caught.value.__cause__ is failure


def test_tries_each_address_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultServer(answers(sized(WHOLE_BODY))) as server:
        resolved = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, server.port)) for address in ("127.0.0.2", "127.0.0.1")]
        monkeypatch.setattr(socket, "getaddrinfo", lambda host, *_, **__: [r for r in resolved if host in ("localhost", r[4][0])])
        assert send(Endpoint(url=server.url)).text == "".join(WORDS)
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [])
        with pytest.raises(ConnectFailed, match="no address"):
            send(Endpoint(url=server.url))


def test_connect_hangs() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, ExitStack() as stack:
        for _ in range(4):  # nobody accepts: when the backlog is full, further SYNs are dropped
            full = stack.enter_context(socket.socket())
            full.setblocking(False)
            full.connect_ex(listener.getsockname())
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(ConnectTimeout, match=r"0\.2 seconds"):
            send(Endpoint(url=url), timeouts=Timeouts(connect=0.2))
        with pytest.raises(TotalTimeout, match=r"0\.2 seconds"):
            send(Endpoint(url=url), timeouts=Timeouts(total=0.2))


def test_total_ends_the_wait_for_a_head() -> None:
    with FaultServer(answers(then=wait)) as server, pytest.raises(TotalTimeout):
        send(Endpoint(url=server.url), timeouts=Timeouts(total=0.2))


def test_total_counts_the_connecting_too() -> None:
    began = monotonic()
    with FaultServer(answers(then=wait)) as server, pytest.raises(TimeoutError):
        UrllibTransport().send(QUERY.to_http(Endpoint(url=server.url)), Timeouts(first_event=9, total=0.2))
    assert monotonic() - began < 5


def test_waits_for_ever_if_told_to() -> None:
    with FaultServer(answers(sized(WHOLE_BODY))) as server:
        forever = Timeouts(connect=None, first_event=None, idle=None, total=None)
        assert send(Endpoint(url=server.url), timeouts=forever).text == "".join(WORDS)


def test_tls() -> None:
    with FaultServer(answers(sized(WHOLE_BODY)), ssl_context=server_tls("localhost")) as server:
        assert send(Endpoint(url=server.url, api_key=KEY), UrllibTransport(ssl_context=client_tls())).text == "".join(WORDS)


def test_tls_faults() -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    expired = server_tls("localhost", not_before=yesterday - timedelta(days=1), not_after=yesterday)
    for context, trust in [
        (server_tls("localhost"), None),  # an authority that the system does not know
        (server_tls("other.test"), client_tls()),
        (expired, client_tls()),
    ]:
        with FaultServer(answers(), ssl_context=context) as server, pytest.raises(TLSFailed) as caught:
            send(Endpoint(url=server.url, api_key=KEY), UrllibTransport(ssl_context=trust))
        assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)


def test_tls_handshake_is_never_answered() -> None:
    with FaultServer(wait) as server, pytest.raises(ConnectTimeout):
        send(Endpoint(url=server.url.replace("http:", "https:")), timeouts=Timeouts(connect=0.2))


def test_tls_handshake_with_a_server_that_speaks_http() -> None:
    with FaultServer(lambda peer: peer.send(head(400, ()))) as server, pytest.raises(TLSFailed):
        send(Endpoint(url=server.url.replace("http:", "https:")))


def test_tls_cut_between_chunks() -> None:
    with FaultServer(answers(*F1), ssl_context=server_tls("localhost")) as server, pytest.raises(ConnectionLost) as caught:
        send(Endpoint(url=server.url), UrllibTransport(ssl_context=client_tls()))
    assert isinstance(caught.value.partial, QueryResult)
    assert caught.value.partial.text == "".join(WORDS)


def test_http_proxy() -> None:
    heads: list[bytes] = []

    def proxy(peer: Peer) -> None:
        heads.append(peer.read_request()[0])
        peer.send(sized(WHOLE_BODY))

    with FaultServer(proxy) as server:
        transport = UrllibTransport(proxies={"http": f"http://localhost:{server.port}"})
        assert send(Endpoint(url="http://moondream.test/v1"), transport).text == "".join(WORDS)
    assert heads[0].startswith(b"POST http://moondream.test/v1/query HTTP/1.1\r\n")


def test_proxies_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultServer(answers(sized(WHOLE_BODY))) as proxy, FaultServer(answers(sized(WHOLE_BODY))) as server:
        monkeypatch.setenv("http_proxy", f"http://localhost:{proxy.port}")
        monkeypatch.delenv("no_proxy", raising=False)
        send(Endpoint(url=server.url))
        assert (proxy.connections, server.connections) == (1, 0)
        send(Endpoint(url=server.url), UrllibTransport(proxies={}))
        assert (proxy.connections, server.connections) == (1, 1)
        monkeypatch.setenv("no_proxy", "localhost")
        send(Endpoint(url=server.url))
        assert (proxy.connections, server.connections) == (1, 2)


def test_tls_through_a_proxy() -> None:
    context = server_tls("moondream.test")
    heads: list[bytes] = []

    def tunnel(peer: Peer) -> None:
        heads.append(peer.read_request()[0])
        peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with context.wrap_socket(peer.sock, server_side=True) as sock:
            inner = Peer(sock, peer.seen)
            heads.append(inner.read_request()[0])
            inner.send(sized(WHOLE_BODY))

    with FaultServer(tunnel) as server:
        transport = UrllibTransport(ssl_context=client_tls(), proxies={"https": f"http://user:secret@localhost:{server.port}"})
        assert send(Endpoint(url="https://moondream.test/v1", api_key=KEY), transport).text == "".join(WORDS)
    assert heads[0].startswith(b"CONNECT moondream.test:443 ")
    assert b"proxy-authorization" in heads[0].lower()
    assert KEY.encode() not in heads[0]
    assert b"proxy-authorization" not in heads[1].lower()


@pytest.mark.parametrize(
    "script",
    [
        lambda peer: peer.answer(head(407, ())),
        lambda peer: peer.answer(b"SSH-2.0\r\n\r\n"),
        lambda peer: peer.read_request(),
    ],
    ids=["refuses", "garbage", "closes"],
)
def test_proxy_makes_no_tunnel(script: Any) -> None:
    with FaultServer(script) as server, pytest.raises(ConnectFailed):
        send(Endpoint(url="https://moondream.test/v1"), UrllibTransport(proxies={"https": f"http://localhost:{server.port}"}))


def test_proxy_of_an_unknown_kind() -> None:
    with pytest.raises(ConnectFailed, match="socks5"):
        send(Endpoint(url="http://moondream.test/v1"), UrllibTransport(proxies={"http": "socks5://localhost:1"}))


def test_request_on_the_wire() -> None:
    requests: list[tuple[bytes, bytes]] = []

    def keep(peer: Peer) -> None:
        requests.append(peer.read_request())
        peer.send(sized(WHOLE_BODY))

    with FaultServer(keep) as server:
        endpoint = Endpoint(url=server.url, api_key=KEY, headers={"X-Team": "vision"})
        send(endpoint)
    (request_head, body), http = requests[0], QUERY.to_http(endpoint, stream=False)
    line, *lines = request_head.decode().split("\r\n")
    assert line == "POST /v1/query HTTP/1.1"
    sent = {name.lower(): value for name, _, value in (field.partition(": ") for field in lines)}
    assert sent == {
        **{name.lower(): value for name, value in http.headers},
        "host": f"localhost:{server.port}",
        "content-length": str(len(body)),
        "connection": "close",
    }
    assert body == http.body


def test_fifty_exchanges_one_after_the_other() -> None:
    with FaultServer(answers(*F1, chunk(END), LAST_CHUNK)) as server:
        client = Client(UrllibTransport(), Endpoint(url=server.url))
        assert {client.send(QUERY).text for _ in range(50)} == {"".join(WORDS)}
        assert server.connections == 50  # urllib keeps none


PATH = [record({"type": "path_delta", "chunk": data, "completed": False}) for data in ("M 0 0", " L 1 1")]
_TWO_LENGTHS = [*EVENT_STREAM, ("Content-Length", str(len(WHOLE_BODY))), ("Content-Length", "7")]
_BOTH = [*CHUNKED, ("Content-Length", "7")]


@pytest.mark.parametrize(
    ("segments", "error"),
    [
        ((head(headers=_BOTH), chunk(WHOLE_BODY), LAST_CHUNK), None),
        ((head(headers=_TWO_LENGTHS), WHOLE_BODY), None),
        ((head(headers=_TWO_LENGTHS[::-1]), WHOLE_BODY), IncompleteStream),
        ((sized(WHOLE_BODY).replace(b"\r\n", b"\n"),), None),
        ((sized(WHOLE_BODY).replace(b"Content-Length:", b"Content-Length :"),), RemoteProtocolError),
        ((sized(WHOLE_BODY).replace(b"Content-Length:", b"Content-Length"),), RemoteProtocolError),
        ((head(headers=[*EVENT_STREAM, *((f"X-{number}", "1") for number in range(98))]), WHOLE_BODY), None),
        ((head(headers=[*EVENT_STREAM, *((f"X-{number}", "1") for number in range(200))]), WHOLE_BODY), RemoteProtocolError),
    ],
    ids=[
        "length and chunked",
        "two lengths",
        "two lengths, short first",
        "LF",
        "space before colon",
        "no colon",
        "99 fields",
        "201 fields",
    ],
)
def test_doubtful_heads(segments: tuple[bytes, ...], error: type[MoondreamError] | None) -> None:
    """Rows 31 and 34, as http.client has them; none is a danger here, as no connection carries two responses."""
    with FaultServer(answers(*segments)) as server:
        _, outcome = exchange(server)
    assert isinstance(outcome, QueryResult if error is None else error)


@pytest.mark.parametrize("broken", [b"zz\r\n" + DELTAS[0], b"-5\r\n" + END, b"\r\n" + END, b"5" * 70_000])
def test_broken_chunk_framing(broken: bytes) -> None:
    """Never a stall, and never whole."""
    with FaultServer(answers(*F1, broken, then=wait)) as server:
        events, error = exchange(server)
    assert events == EVENTS
    assert type(error) in (ConnectionLost, RemoteProtocolError)


def test_each_event_is_out_before_the_next_byte_is_sent() -> None:
    def script(peer: Peer) -> None:
        peer.answer(head())
        for message in (record({"type": "bbox", "bbox": {"x_min": 0, "y_min": 0, "x_max": 1, "y_max": 1}}), *PATH):
            peer.send(chunk(message)[:-2])  # not even the line end that closes the chunk
            peer.wait_for_event()
            peer.send(b"\r\n")
        peer.send(chunk(record({"type": "final", "completed": True, "path": "M0,0z"})) + LAST_CHUNK)

    with FaultServer(script) as server:
        events, outcome = exchange(server, SEGMENT)
    assert [type(event) for event in events] == [BBox, PathChunk, PathChunk, Completed]
    assert outcome.path == "M0,0z"


def test_leaving_early_closes_the_connection() -> None:
    with FaultServer(answers(b"".join(F1), then=wait)) as server:
        client = Client(UrllibTransport(), Endpoint(url=server.url))
        with client.stream(QUERY) as stream:
            assert next(stream) == EVENTS[0]
        assert stream.snapshot is not None
        assert "".join(WORDS).startswith(stream.snapshot.text)


def test_closed_by_another_thread() -> None:
    closing: list[threading.Thread] = []

    def script(peer: Peer) -> None:
        peer.answer(*F1)
        for _ in EVENTS:
            peer.wait_for_event()
        closing.append(threading.Thread(target=stream.close))
        closing[0].start()
        peer.wait_until_closed()

    with FaultServer(script) as server, Client(UrllibTransport(), Endpoint(url=server.url)).stream(QUERY) as stream:
        for event in EVENTS:
            assert next(stream) == event
            server.saw_event()
        with pytest.raises(ConnectionLost):
            next(stream)
        closing[0].join()
