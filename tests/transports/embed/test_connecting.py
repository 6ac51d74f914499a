"""Connecting fails, and TLS."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from moondream_transports.conformance._certificates import client_tls, server_tls
from moondream_transports.conformance._fault_server import (
    LAST_CHUNK,
    FaultServer,
    Peer,
    chunk,
    head,
    nobody_accepts,
)
from moondream_transports.conformance._faults import (
    CLOSE_DELIMITED,
    DELTAS,
    EVENTS,
    F1,
    LARGE,
    WHOLE_BODY,
    answers,
    sized,
    wait,
)
from sansio_moondream import (
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    IncompleteStream,
    QueryResult,
    Request,
    TLSError,
)
from tests.helpers import END, QUERY
from tests.transports.embed.sdks import TEXT, each_sdk, exchange


@each_sdk
class TestConnecting:
    def test_refused(self, sdk: str) -> None:
        with FaultServer(answers()) as server:
            pass  # and now nobody listens there
        error = exchange(sdk, server.url)[1]
        assert type(error) is ConnectError
        assert server.url in str(error)

    def test_a_host_that_is_no_name(self, sdk: str) -> None:
        assert type(exchange(sdk, f"http://{'x' * 64}.localhost/v1")[1]) is ConnectError

    def test_hangs(self, sdk: str) -> None:
        with nobody_accepts() as url:
            assert type(exchange(sdk, url, timeout=0.2)[1]) is ConnectTimeout

    @pytest.mark.parametrize("name", ["localhost", "elsewhere.test"])
    def test_a_certificate_that_is_not_trusted_or_for_another(self, sdk: str, name: str) -> None:
        trusted = client_tls() if name != "localhost" else None
        with FaultServer(answers(), ssl_context=server_tls(name)) as server:
            assert type(exchange(sdk, server.url, ssl_context=trusted)[1]) is TLSError

    def test_the_handshake_hangs(self, sdk: str) -> None:
        with FaultServer(wait) as server:
            url = server.url.replace("http:", "https:")
            assert type(exchange(sdk, url, timeout=0.2)[1]) is ConnectTimeout

    def test_the_handshake_meets_something_else(self, sdk: str) -> None:
        with FaultServer(lambda peer: peer.send(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")) as server:
            assert type(exchange(sdk, server.url.replace("http:", "https:"))[1]) is TLSError


@each_sdk
class TestTLS:
    def ends(self, sdk: str, script: Callable[[Peer], None], request: Request[Any] = QUERY) -> Any:
        """What comes after the five events."""
        with FaultServer(script, ssl_context=server_tls("localhost")) as server:
            events, outcome = exchange(
                sdk, server.url, request, server.saw_event, ssl_context=client_tls()
            )
        assert events[:5] == EVENTS
        return outcome

    def test_a_whole_answer_event_by_event(self, sdk: str) -> None:
        def script(peer: Peer) -> None:
            peer.answer(head())
            for data in DELTAS:
                peer.send(chunk(data))
                peer.wait_for_event()
            peer.send(chunk(END) + LAST_CHUNK)

        assert self.ends(sdk, script).text == TEXT

    def test_a_large_request(self, sdk: str) -> None:
        assert self.ends(sdk, answers(*F1, chunk(END), LAST_CHUNK), LARGE).text == TEXT

    def test_cut_off_inside_a_chunk(self, sdk: str) -> None:
        outcome = self.ends(sdk, answers(*F1, b"50\r\ndata: {"))
        assert (type(outcome), outcome.partial.text) == (ConnectionLost, TEXT)

    def test_a_body_that_ends_with_close_notify(self, sdk: str) -> None:
        """It ended as HTTP says it should, and yet is not whole."""
        outcome = self.ends(sdk, answers(CLOSE_DELIMITED, *DELTAS, then=say_goodbye))
        assert (type(outcome), outcome.partial.text) == (IncompleteStream, TEXT)

    def test_a_body_that_ends_without(self, sdk: str) -> None:
        outcome = self.ends(sdk, answers(CLOSE_DELIMITED, *DELTAS))
        assert (type(outcome), outcome.partial.text) == (
            ConnectionLost if sdk == "moon_socket" else IncompleteStream,
            TEXT,
        )

    @pytest.mark.parametrize(
        "length", [True, False], ids=["of a length", "until the connection closes"]
    )
    def test_a_whole_answer_that_ends_without(self, sdk: str, length: bool) -> None:
        outcome = self.ends(
            sdk, answers(sized(WHOLE_BODY) if length else CLOSE_DELIMITED + WHOLE_BODY)
        )
        assert isinstance(outcome, QueryResult)
        assert outcome.text == TEXT


def say_goodbye(peer: Peer) -> None:
    with suppress(OSError):  # the SDK may close without close_notify
        peer.sock.unwrap()  # type: ignore[attr-defined] # it is an SSLSocket


def test_a_socket_is_closed_with_close_notify() -> None:
    """As TLS wants it."""
    ends: list[bytes] = []

    def script(peer: Peer) -> None:
        peer.answer(*F1, chunk(END), LAST_CHUNK)
        # of an SSLSocket: so it raises where it is missing
        peer.sock.suppress_ragged_eofs = False  # type: ignore[attr-defined]
        ends.append(peer.sock.recv(1))

    with FaultServer(script, ssl_context=server_tls("localhost")) as server:
        exchange("moon_socket", server.url, ssl_context=client_tls())
    assert ends == [b""]
