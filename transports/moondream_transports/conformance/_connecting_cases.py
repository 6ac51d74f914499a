"""Rows 1 to 4 of the table of faults: connections, names, TLS, proxies."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from unittest.mock import patch

from moondream_transports import Timeouts
from sansio_moondream import (
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    QueryResult,
    TLSError,
    TotalTimeout,
)

from ._backend import Backend
from ._case import Case
from ._certificates import server_tls
from ._expect import Need, describe, expect
from ._fault_cases import answer
from ._fault_server import FaultServer, Peer, Script, head, nobody_accepts
from ._faults import F1, TEXT, WHOLE_BODY, answers, sized, wait
from ._secrets import KEY

WHOLE = answers(sized(WHOLE_BODY))
_TLS: tuple[Need, ...] = ("certificates", "trust")


def connecting_cases() -> Iterator[Case]:
    """Rows 1 to 4, and one fault in TLS."""
    yield Case("1: server refuses the connection", _refused)
    yield Case("2: name of the server does not resolve", _name_does_not_resolve)
    yield Case("2: name of the server has a label of 64 characters", _name_that_cannot_be)
    yield Case("3: server never accepts the connection", _hangs)
    yield Case("3: server never answers the TLS handshake", _handshake_is_never_answered)
    yield Case("3: server sends no head within the total timeout", _total_ends_the_wait)
    yield Case("3: server answers a request without timeouts", _waits_for_ever)
    yield Case("4: server answers over TLS", _tls_whole, _TLS)
    yield Case(
        "4: server has a certificate that is not trusted",
        partial(_certificate, "not trusted"),
        ("certificates",),
    )
    yield Case(
        "4: server has a certificate for another name", partial(_certificate, "another name"), _TLS
    )
    yield Case(
        "4: server has a certificate that has expired", partial(_certificate, "expired"), _TLS
    )
    yield Case("4: server speaks HTTP instead of TLS", _speaks_http)
    yield Case("7: server closes between two chunks, over TLS", _cut_in_tls, _TLS)
    yield Case("proxy: forwards a plain request", _plain_proxy, ("proxy",))
    yield Case("proxy: opens a tunnel for TLS", _tunnel, ("proxy", *_TLS))
    refusals: dict[str, Script] = {
        "refuses to open a tunnel": lambda peer: peer.answer(head(407, ())),
        "answers CONNECT with garbage": lambda peer: peer.answer(b"SSH-2.0\r\n\r\n"),
        "closes instead of opening a tunnel": lambda peer: peer.answer(),
    }
    for what, script in refusals.items():
        yield Case(f"proxy: {what}", partial(_no_tunnel, script), ("proxy",))
    yield Case("proxy: refuses the connection", _no_proxy, ("proxy",))


def _expect_error(outcome: Any, *errors: type[Exception]) -> None:
    expect(
        type(outcome) in errors, " or ".join(error.__name__ for error in errors), describe(outcome)
    )


def _expect_whole(outcome: Any) -> None:
    expect(
        isinstance(outcome, QueryResult) and outcome.text == TEXT,
        f"the whole answer {TEXT!r}",
        describe(outcome),
    )


def _free_port() -> int:
    with FaultServer(answers()) as server:
        return server.port  # nobody listens there after this


async def _refused(backend: Backend) -> None:
    async with backend.transport() as transport:
        outcome = await answer(backend, transport, f"http://localhost:{_free_port()}/v1")
    _expect_error(outcome, ConnectError)
    expect(
        outcome.__cause__ is not None,
        "ConnectError, with the library's own exception as its cause",
        "ConnectError without a cause",
    )


async def _name_does_not_resolve(backend: Backend) -> None:
    def fail(*_address: object, **_hints: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "unknown name")

    async with backend.transport() as transport:
        # A real look-up would leave this machine. Where a library makes one without Python, its
        # resolver knows: RFC 6761, section 6.4.
        with patch.object(socket, "getaddrinfo", fail):
            outcome = await answer(backend, transport, "http://no-such-name.invalid/v1")
    _expect_error(outcome, ConnectError)


async def _name_that_cannot_be(backend: Backend) -> None:
    async with backend.transport() as transport:
        outcome = await answer(
            backend, transport, f"http://{'x' * 64}.invalid/v1"
        )  # 63 are allowed
    _expect_error(outcome, ConnectError)


async def _hangs(backend: Backend) -> None:
    with nobody_accepts(backend.timeout) as url:
        async with backend.transport() as transport:
            _expect_error(
                await answer(backend, transport, url, timeouts=Timeouts(connect=0.2)),
                ConnectTimeout,
            )
            outcome = await answer(backend, transport, url, timeouts=Timeouts(total=0.2))
    _expect_error(outcome, TotalTimeout)
    expect("0.2 seconds" in str(outcome), "TotalTimeout that says 0.2 seconds", describe(outcome))


async def _handshake_is_never_answered(backend: Backend) -> None:
    async with backend.server(wait) as server, backend.transport() as transport:
        outcome = await answer(
            backend,
            transport,
            server.url.replace("http:", "https:"),
            timeouts=Timeouts(connect=0.2),
        )
        _expect_error(outcome, ConnectTimeout)
        await backend.expect_closed(server)


async def _total_ends_the_wait(backend: Backend) -> None:
    async with backend.server(answers(then=wait)) as server, backend.transport() as transport:
        _expect_error(
            await answer(backend, transport, server.url, timeouts=Timeouts(total=0.2)), TotalTimeout
        )
        await backend.expect_closed(server)


async def _waits_for_ever(backend: Backend) -> None:
    async with backend.server(WHOLE) as server, backend.transport() as transport:
        _expect_whole(
            await answer(backend, transport, server.url, timeouts=Timeouts(None, None, None, None))
        )


async def _tls_whole(backend: Backend) -> None:
    async with (
        backend.server(WHOLE, ssl_context=server_tls("localhost")) as server,
        backend.transport(**backend.trusting()) as transport,
    ):
        _expect_whole(await answer(backend, transport, server.url))


async def _certificate(fault: str, backend: Backend) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    contexts: dict[str, Callable[[], ssl.SSLContext]] = {
        "not trusted": lambda: server_tls("localhost"),
        "another name": lambda: server_tls("other.test"),
        "expired": lambda: server_tls(
            "localhost", not_before=yesterday - timedelta(days=1), not_after=yesterday
        ),
    }
    trust = {} if fault == "not trusted" else backend.trusting()
    async with (
        backend.server(answers(), ssl_context=contexts[fault]()) as server,
        backend.transport(**trust) as transport,
    ):
        outcome = await answer(backend, transport, server.url)
        _expect_error(outcome, TLSError)
        expect(
            "certificate" in str(outcome).lower(),
            "TLSError that names the certificate",
            describe(outcome),
        )


async def _speaks_http(backend: Backend) -> None:
    async with (
        backend.server(lambda peer: peer.send(head(400, ()))) as server,
        backend.transport() as transport,
    ):
        _expect_error(
            await answer(backend, transport, server.url.replace("http:", "https:")), TLSError
        )


async def _cut_in_tls(backend: Backend) -> None:
    async with (
        backend.server(answers(*F1), ssl_context=server_tls("localhost")) as server,
        backend.transport(**backend.trusting()) as transport,
    ):
        outcome = await answer(backend, transport, server.url)
    _expect_error(outcome, ConnectionLost)
    partial = getattr(outcome.partial, "text", None)
    expect(
        partial == TEXT,
        f"ConnectionLost with {TEXT!r} in its .partial",
        f"ConnectionLost with {partial!r}",
    )


async def _plain_proxy(backend: Backend) -> None:
    heads: list[bytes] = []

    def proxy(peer: Peer) -> None:
        heads.append(peer.read_request()[0])
        peer.send(sized(WHOLE_BODY))

    async with (
        backend.server(proxy) as server,
        backend.transport(proxy=f"http://user:{KEY}@localhost:{server.port}") as transport,
    ):
        _expect_whole(await answer(backend, transport, "http://moondream.test/v1"))
        expect(
            heads[0].startswith(b"POST http://moondream.test/v1/query HTTP/1.1\r\n")
            and b"proxy-authorization: basic " in heads[0].lower(),
            "POST http://moondream.test/v1/query with Proxy-Authorization",
            repr(heads[0]),
        )


async def _tunnel(backend: Backend) -> None:
    context = server_tls("moondream.test")
    heads: list[bytes] = []

    def tunnel(peer: Peer) -> None:
        heads.append(peer.read_request()[0])
        peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with context.wrap_socket(peer.sock, server_side=True) as sock:
            inner = peer.inside(sock)
            heads.append(inner.read_request()[0])
            inner.send(sized(WHOLE_BODY))

    async with (
        backend.server(tunnel) as server,
        backend.transport(
            proxy=f"http://user:secret@localhost:{server.port}", **backend.trusting()
        ) as transport,
    ):
        _expect_whole(await answer(backend, transport, "https://moondream.test/v1"))
        asked, inner = heads
        expect(
            asked.startswith(b"CONNECT moondream.test:443 ")
            and b"proxy-authorization" in asked.lower()
            and KEY.encode() not in asked,
            "CONNECT moondream.test:443 with Proxy-Authorization and without our key",
            repr(asked),
        )
        expect(
            b"proxy-authorization" not in inner.lower(),
            "no Proxy-Authorization for the server behind the proxy",
            repr(inner),
        )


async def _no_tunnel(script: Script, backend: Backend) -> None:
    async with (
        backend.server(script) as server,
        backend.transport(proxy=f"http://user:{KEY}@localhost:{server.port}") as transport,
    ):
        _expect_error(await answer(backend, transport, "https://moondream.test/v1"), ConnectError)


async def _no_proxy(backend: Backend) -> None:
    for scheme in ("http", "https"):
        async with backend.transport(
            proxy=f"http://user:{KEY}@localhost:{_free_port()}"
        ) as transport:
            _expect_error(
                await answer(backend, transport, f"{scheme}://moondream.test/v1"), ConnectError
            )
