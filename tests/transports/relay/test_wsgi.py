"""The sync relay: an iterator, and a WSGI application. The upstream is read in a thread."""

from __future__ import annotations

import gc
import logging
import socket
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from time import monotonic, sleep
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

from moondream_transports import Client, UrllibTransport
from moondream_transports.relay import Relay, RelayGroup, relay
from sansio_moondream import (
    Completed,
    ConnectError,
    Endpoint,
    Event,
    LocalProtocolError,
    QueryResult,
    RateLimitError,
    TextDelta,
)
from sansio_moondream.relay import SSE_HEADERS
from tests.helpers import END, QUERY, NewThreads, delta
from tests.transports.fakes import WHOLE, FakeStream, client

from .exchanges import HEARTBEAT, records

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    threads = NewThreads()
    yield
    deadline = monotonic() + 30
    while left := threads.running():
        assert monotonic() < deadline, left
        sleep(0.001)


class Upstream:
    """A server that sends what a test says, and notices that its client leaves."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(30)
        port = self._listener.getsockname()[1]
        self.endpoint = Endpoint(f"http://127.0.0.1:{port}/v1", api_key="key")
        self._connection: socket.socket | None = None

    def relay(self, **options: Any) -> Relay:
        """Return a relay that is not open yet."""
        return relay(Client(UrllibTransport(), self.endpoint).stream(QUERY), **options)

    def begun(self, **options: Any) -> Relay:
        """Return a relay whose first event has arrived. After it the upstream is silent."""
        response = self.relay(**options)
        sending = threading.Thread(target=self.send, args=(HEAD + delta("A"),))
        sending.start()
        response.open()
        sending.join()
        return response

    @property
    def connection(self) -> socket.socket:
        if self._connection is None:
            self._connection, _ = self._listener.accept()
            self._connection.settimeout(30)
        return self._connection

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def wait_until_left(self) -> None:
        with self.connection as connection:
            while connection.recv(65536):
                pass

    def close(self) -> None:
        self._listener.close()
        if self._connection is not None:
            self._connection.close()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    server = Upstream()
    yield server
    server.close()


def events_then(error: Exception, count: int = 1) -> Iterator[Event]:
    for _ in range(count):
        yield TextDelta("A")
    raise error


class TestApplication:
    def test_a_whole_answer(self):
        fake, begun = FakeStream(*WHOLE), []
        body = relay(client(fake).stream(QUERY))({}, lambda *head: begun.append(head))
        text = b"".join(body)
        assert begun == [("200 OK", list(SSE_HEADERS))]
        assert text.startswith(b"".join(records(TextDelta("A"), TextDelta(" moon"))))
        assert (text.count(b'"kind":"completed"'), fake.closed) == (1, 1)

    def test_an_error_before_the_first_event_is_the_response(self):
        fake, begun = FakeStream(b'{"error": "slowly"}', b"", status_code=429), []
        fake.headers = (("Retry-After", "7"),)
        body = relay(client(fake).stream(QUERY))({}, lambda *head: begun.append(head))
        assert b"slowly" in b"".join(body)
        ((status, headers),) = begun
        assert (status, dict(headers)["retry-after"]) == ("429 Too Many Requests", "7")

    def test_a_status_without_a_name(self):
        begun: list[Any] = []
        error = RateLimitError("slowly", status_code=499)
        list(relay(events_then(error, 0))({}, lambda *head: begun.append(head)))
        assert begun[0][0] == "499 Unknown"

    def test_a_server_notices_by_writing_that_its_client_left(self, upstream: Upstream):
        class Quiet(WSGIRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

        def app(environ: Any, start_response: Any) -> Any:
            return upstream.relay(heartbeat=0.01)(environ, start_response)

        with make_server("127.0.0.1", 0, app, handler_class=Quiet) as server:
            serving = threading.Thread(target=server.handle_request)
            serving.start()
            connection = HTTPConnection("127.0.0.1", server.server_port, timeout=30)
            connection.request("GET", "/")
            upstream.send(HEAD + delta("A"))
            response = connection.getresponse()
            assert response.status == 200
            while b'"text":"A"' not in response.readline():
                pass
            response.close()
            connection.close()
            upstream.wait_until_left()
            serving.join(30)


class TestIterating:
    def test_open_fixes_the_head(self):
        response = relay(client(FakeStream(*WHOLE)).stream(QUERY))
        with pytest.raises(LocalProtocolError, match="call `open` first"):
            _ = response.status_code
        response.open()
        assert (response.status_code, response.headers) == (200, SSE_HEADERS)
        assert b"".join(response).count(b"data:") == 3

    def test_errors_end_it_in_its_format(self, caplog: pytest.LogCaptureFixture):
        with caplog.at_level(logging.ERROR, "moondream_transports"):
            for error, kind in (
                (RateLimitError("slowly"), b'"kind":"rate_limit_error"'),
                (ZeroDivisionError("a secret"), b'"type":"internal_error"'),
            ):
                body = b"".join(relay(events_then(error)))
                assert body.startswith(records(TextDelta("A"))[0])
                assert (body.count(kind), b"secret" in body) == (1, False)
        assert len(caplog.records) == 1

    def test_heartbeats(self):
        goes_on = threading.Event()

        def events() -> Iterator[Event]:
            goes_on.wait()
            yield Completed(QueryResult("A"))

        response = relay(events(), heartbeat=0.01)
        assert [next(response) for _ in range(3)] == [HEARTBEAT] * 3
        goes_on.set()
        rest = [part for part in response if part != HEARTBEAT]
        assert rest == records(Completed(QueryResult("A")))

    def test_a_reader_that_is_slow_holds_the_upstream_back(self):
        made = 0

        def events() -> Iterator[Event]:
            nonlocal made
            for _ in range(100):
                made += 1
                yield TextDelta("A")
            yield Completed(QueryResult("A" * 100))

        response = relay(events())
        response.open()
        assert made < 50
        assert b"".join(response).count(b"data:") == 101
        assert made == 100


class TestLeaving:
    def test_a_silent_upstream_is_left_at_once(self, upstream: Upstream):
        response = upstream.begun()
        assert next(response) == records(TextDelta("A"))[0]
        response.close()
        upstream.wait_until_left()
        assert list(response) == []
        response.close()

    def test_it_is_dropped(self, upstream: Upstream):
        response = upstream.begun()
        next(response)
        del response
        gc.collect()
        upstream.wait_until_left()

    def test_a_generator_around_it_is_closed(self, upstream: Upstream):
        def framework(parts: Relay) -> Iterator[bytes]:
            yield from parts

        body = framework(upstream.begun())
        next(body)
        del body
        gc.collect()
        upstream.wait_until_left()

    def test_it_is_never_started(self):
        fake = FakeStream(*WHOLE)
        relay(client(fake).stream(QUERY))
        gc.collect()
        assert fake.requests == []

    def test_a_head_that_is_late_is_not_waited_for(self, upstream: Upstream):
        """The thread that waits for it ends when it comes, and reads no more."""
        response = upstream.relay(heartbeat=0.01)
        assert next(response) == HEARTBEAT
        response.close()
        upstream.send(HEAD)
        upstream.wait_until_left()

    def test_a_generator_ends_after_its_next_event(self):
        goes_on, closed = threading.Event(), threading.Event()

        def events() -> Iterator[Event]:
            try:
                goes_on.wait()
                yield TextDelta("A")
                yield TextDelta("B")
            finally:
                closed.set()

        response = relay(events(), heartbeat=0.01)
        assert next(response) == HEARTBEAT
        threading.Timer(0.05, goes_on.set).start()
        response.close()
        assert closed.wait(30)

    def test_a_connection_that_fails(self):
        fake = FakeStream(refuses=ConnectError("no route"))
        response = relay(client(fake).stream(QUERY))
        response.open()
        assert response.status_code == 502


class TestGroup:
    def test_one_more_than_allowed_is_refused(self, upstream: Upstream):
        group = RelayGroup(max_streams=1)
        response = upstream.begun(group=group)
        fake = FakeStream(*WHOLE)
        other = relay(client(fake).stream(QUERY), group=group)
        other.open()
        assert (other.status_code, dict(other.headers)["retry-after"]) == (503, "1")
        assert (fake.requests, group.open_streams) == ([], 1)
        response.close()
        assert group.open_streams == 0

    def test_a_drain_ends_what_runs_at_the_deadline(self, upstream: Upstream):
        group = RelayGroup()
        response = upstream.begun(group=group)
        draining = threading.Thread(target=group.drain, args=(0.01,))
        draining.start()
        first, *others = list(response)
        assert first.startswith(records(TextDelta("A"))[0])
        assert b"server_stopping" in b"".join([first, *others])
        upstream.wait_until_left()
        draining.join(30)
        assert (group.is_draining, group.open_streams) == (True, 0)

    def test_a_stream_may_finish(self, upstream: Upstream):
        group = RelayGroup()
        response = upstream.begun(group=group)
        draining = threading.Thread(target=group.drain, args=(60,))
        draining.start()
        upstream.send(END)
        upstream.connection.shutdown(socket.SHUT_WR)
        assert b"".join(response).count(b'"kind":"completed"') == 1
        draining.join(30)
        assert not draining.is_alive()
