"""Rows 1 to 4: no connection, names, TLS, proxies."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from unittest.mock import patch

from moondream_transports import Timeouts
from sansio_moondream import ConnectFailed, ConnectionLost, ConnectTimeout, QueryResult, TLSFailed, TotalTimeout

from ._certificates import server_tls
from ._fault_rows import answer
from ._fault_server import FaultServer, Peer, Script, head, nobody_accepts
from ._faults import F1, TEXT, WHOLE_BODY, answers, sized, wait
from ._row import Need, Row, expect, in_words
from ._secrets import KEY
from ._side import Side

WHOLE = answers(sized(WHOLE_BODY))
_TLS: tuple[Need, ...] = ("certificates", "trust")


def connecting_rows() -> Iterator[Row]:
    """Rows 1 to 4, and what of later rows goes through TLS or a proxy."""
    yield Row("1: refused", _refused)
    yield Row("2: name does not resolve", _name_does_not_resolve)
    yield Row("2: name that cannot be looked up", _name_that_cannot_be)
    yield Row("3: connecting hangs", _hangs)
    yield Row("3: TLS handshake is never answered", _handshake_is_never_answered)
    yield Row("3: the total time ends the wait for a head", _total_ends_the_wait)
    yield Row("3: waits for ever if told to", _waits_for_ever)
    yield Row("4: TLS, whole", _tls_whole, _TLS)
    yield Row("4: certificate is not trusted", partial(_certificate, "not trusted"), ("certificates",))
    yield Row("4: certificate has the wrong name", partial(_certificate, "wrong name"), _TLS)
    yield Row("4: certificate has expired", partial(_certificate, "expired"), _TLS)
    yield Row("4: server speaks HTTP instead of TLS", _speaks_http)
    yield Row("7: FIN between chunks, in TLS", _cut_in_tls, _TLS)
    yield Row("proxy: plain", _plain_proxy, ("proxy",))
    yield Row("proxy: tunnel", _tunnel, ("proxy", *_TLS))
    refusals: dict[str, Script] = {
        "refuses": lambda peer: peer.answer(head(407, ())),
        "answers garbage": lambda peer: peer.answer(b"SSH-2.0\r\n\r\n"),
        "closes": lambda peer: peer.answer(),
    }
    for what, script in refusals.items():
        yield Row(f"proxy: {what}, no tunnel", partial(_no_tunnel, script), ("proxy",))
    yield Row("proxy: is not there", _no_proxy, ("proxy",))


def _expect_error(outcome: Any, *errors: type[Exception]) -> None:
    expect(type(outcome) in errors, " or ".join(error.__name__ for error in errors), in_words(outcome))


def _expect_whole(outcome: Any) -> None:
    expect(isinstance(outcome, QueryResult) and outcome.text == TEXT, f"the whole answer {TEXT!r}", in_words(outcome))


def _free_port() -> int:
    with FaultServer(answers()) as server:
        return server.port  # where nobody listens any more


async def _refused(side: Side) -> None:
    async with side.transport() as transport:
        outcome = await answer(side, transport, f"http://localhost:{_free_port()}/v1")
    _expect_error(outcome, ConnectFailed)
    expect(outcome.__cause__ is not None, "ConnectFailed, with the library's own exception as its cause", "ConnectFailed without a cause")


async def _name_does_not_resolve(side: Side) -> None:
    def fail(*_address: object, **_hints: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "unknown name")

    async with side.transport() as transport:
        # A real look-up would leave this machine. Where a library makes one without Python, its resolver knows: RFC 6761, section 6.4.
        with patch.object(socket, "getaddrinfo", fail):
            outcome = await answer(side, transport, "http://no-such-name.invalid/v1")
    _expect_error(outcome, ConnectFailed)


async def _name_that_cannot_be(side: Side) -> None:
    async with side.transport() as transport:
        outcome = await answer(side, transport, f"http://{'x' * 64}.invalid/v1")  # a part of a name has 63 characters at most
    _expect_error(outcome, ConnectFailed)


async def _hangs(side: Side) -> None:
    with nobody_accepts(side.patience) as url:
        async with side.transport() as transport:
            _expect_error(await answer(side, transport, url, timeouts=Timeouts(connect=0.2)), ConnectTimeout)
            outcome = await answer(side, transport, url, timeouts=Timeouts(total=0.2))
    _expect_error(outcome, TotalTimeout)
    expect("0.2 seconds" in str(outcome), "TotalTimeout that says 0.2 seconds", in_words(outcome))


async def _handshake_is_never_answered(side: Side) -> None:
    async with side.server(wait) as server, side.transport() as transport:
        outcome = await answer(side, transport, server.url.replace("http:", "https:"), timeouts=Timeouts(connect=0.2))
        _expect_error(outcome, ConnectTimeout)
        await side.over(server)


async def _total_ends_the_wait(side: Side) -> None:
    async with side.server(answers(then=wait)) as server, side.transport() as transport:
        _expect_error(await answer(side, transport, server.url, timeouts=Timeouts(total=0.2)), TotalTimeout)
        await side.over(server)


async def _waits_for_ever(side: Side) -> None:
    async with side.server(WHOLE) as server, side.transport() as transport:
        _expect_whole(await answer(side, transport, server.url, timeouts=Timeouts(None, None, None, None)))


async def _tls_whole(side: Side) -> None:
    async with side.server(WHOLE, ssl_context=server_tls("localhost")) as server, side.transport(**side.trusting()) as transport:
        _expect_whole(await answer(side, transport, server.url))


async def _certificate(fault: str, side: Side) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    contexts: dict[str, Callable[[], ssl.SSLContext]] = {
        "not trusted": lambda: server_tls("localhost"),
        "wrong name": lambda: server_tls("other.test"),
        "expired": lambda: server_tls("localhost", not_before=yesterday - timedelta(days=1), not_after=yesterday),
    }
    trust = {} if fault == "not trusted" else side.trusting()
    async with side.server(answers(), ssl_context=contexts[fault]()) as server, side.transport(**trust) as transport:
        outcome = await answer(side, transport, server.url)
        _expect_error(outcome, TLSFailed)
        expect("certificate" in str(outcome).lower(), "TLSFailed that speaks of the certificate", in_words(outcome))


async def _speaks_http(side: Side) -> None:
    async with side.server(lambda peer: peer.send(head(400, ()))) as server, side.transport() as transport:
        _expect_error(await answer(side, transport, server.url.replace("http:", "https:")), TLSFailed)


async def _cut_in_tls(side: Side) -> None:
    async with side.server(answers(*F1), ssl_context=server_tls("localhost")) as server, side.transport(**side.trusting()) as transport:
        outcome = await answer(side, transport, server.url)
    _expect_error(outcome, ConnectionLost)
    partial = getattr(outcome.partial, "text", None)
    expect(partial == TEXT, f"ConnectionLost with {TEXT!r} in its .partial", f"ConnectionLost with {partial!r}")


async def _plain_proxy(side: Side) -> None:
    heads: list[bytes] = []

    def proxy(peer: Peer) -> None:
        heads.append(peer.read_request()[0])
        peer.send(sized(WHOLE_BODY))

    async with side.server(proxy) as server, side.transport(proxy=f"http://user:{KEY}@localhost:{server.port}") as transport:
        _expect_whole(await answer(side, transport, "http://moondream.test/v1"))
        expect(
            heads[0].startswith(b"POST http://moondream.test/v1/query HTTP/1.1\r\n") and b"proxy-authorization: basic " in heads[0].lower(),
            "the proxy to be asked for http://moondream.test/v1/query, with Proxy-Authorization",
            repr(heads[0]),
        )


async def _tunnel(side: Side) -> None:
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
        side.server(tunnel) as server,
        side.transport(proxy=f"http://user:secret@localhost:{server.port}", **side.trusting()) as transport,
    ):
        _expect_whole(await answer(side, transport, "https://moondream.test/v1"))
        asked, inner = heads
        expect(
            asked.startswith(b"CONNECT moondream.test:443 ") and b"proxy-authorization" in asked.lower() and KEY.encode() not in asked,
            "the proxy to be asked for a tunnel to moondream.test:443, with Proxy-Authorization and without our key",
            repr(asked),
        )
        expect(b"proxy-authorization" not in inner.lower(), "no Proxy-Authorization for the server behind the proxy", repr(inner))


async def _no_tunnel(script: Script, side: Side) -> None:
    async with side.server(script) as server, side.transport(proxy=f"http://user:{KEY}@localhost:{server.port}") as transport:
        _expect_error(await answer(side, transport, "https://moondream.test/v1"), ConnectFailed)


async def _no_proxy(side: Side) -> None:
    for scheme in ("http", "https"):
        async with side.transport(proxy=f"http://user:{KEY}@localhost:{_free_port()}") as transport:
            _expect_error(await answer(side, transport, f"{scheme}://moondream.test/v1"), ConnectFailed)
