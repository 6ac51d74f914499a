"""The contract in `_transport.py`, point by point, without a client on top of the transport."""

from __future__ import annotations

import gzip
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Any

from moondream_transports import Timeouts
from sansio_moondream import Endpoint, Headers, HTTPRequest, MoondreamError

from ._backend import Backend
from ._case import Case
from ._expect import Unexpected, describe, expect, shortened
from ._fault_server import FaultServer, Peer, Script
from ._faults import F1, QUERY, WHOLE_BODY, answers, sized, wait
from ._secrets import KEY

# Seconds. A deadline that is to pass, one that is not to pass on a busy machine, and longer.
_SHORT, _ENOUGH, _LONGER = 0.1, 1.0, 1.25


def contract_cases() -> Iterator[Case]:
    """The cases of the contract."""
    yield Case("contract: the stream has the status code and the headers", _head)
    yield Case("contract: read returns the body undecoded, then b''", _undecoded)
    yield Case("contract: read raises the builtin TimeoutError in time", _read_times_out)
    yield Case("contract: each read has a timeout of its own", _each_read_has_its_own)
    yield Case("contract: send raises the builtin TimeoutError in time", _send_times_out)
    yield Case("contract: the connect timeout ends when the connection stands", _connect_ends)
    yield Case("contract: close may be called twice", _close_twice)


def _asked(server: FaultServer) -> HTTPRequest:
    return QUERY.to_http(Endpoint(url=server.url, api_key=KEY), stream=True)


@asynccontextmanager
async def _sent(
    backend: Backend, script: Script, timeouts: Timeouts | None = None, expected: str = "a response"
) -> AsyncGenerator[Any, None]:
    """Give the stream of a response. It is closed at the end of the block."""
    async with backend.server(script) as server, backend.transport() as transport:
        try:
            stream = await backend.send(transport, _asked(server), timeouts or Timeouts())
        except Exception as error:
            raise Unexpected(expected, describe(error)) from error
        try:
            yield stream
        except BaseException:
            with suppress(Exception):
                await stream.aclose()
            raise
        await stream.aclose()
        await backend.expect_closed(server)


async def _head(backend: Backend) -> None:
    began = monotonic()
    async with _sent(
        backend, answers(sized(WHOLE_BODY, status_code=418, kind="text/x-moon", X_Moon="full"))
    ) as stream:
        now = monotonic()
        expect(
            stream.status_code == 418 and isinstance(stream.status_code, int),
            "the status_code 418",
            repr(stream.status_code),
        )
        headers = Headers(stream.headers)
        for name, value in (
            ("content-type", "text/x-moon"),
            ("x-moon", "full"),
            ("content-length", str(len(WHOLE_BODY))),
        ):
            expect(headers.get(name) == value, f"headers with {name}: {value}", shortened(headers))
        at = stream.connected_at
        expected = (
            "a connected_at of time.monotonic() between the call of send and its end, or None"
        )
        expect(at is None or began <= at <= now, expected, f"{at!r}, not between {began} and {now}")


async def _undecoded(backend: Backend) -> None:
    body = gzip.compress(WHOLE_BODY)
    async with _sent(backend, answers(sized(body, Content_Encoding="gzip"))) as stream:
        received = b""
        while data := await stream.read(backend.timeout):
            received += data
    expect(
        received == body,
        f"the {len(body)} bytes of the body as they were sent: {shortened(body)}",
        f"{len(received)} bytes: {shortened(received)}",
    )


async def _read_all_of_f1(backend: Backend, stream: Any) -> None:
    received, last = b"", F1[-1].split(b"\r\n")[1]
    while not received.endswith(last):
        received += await stream.read(backend.timeout)


async def _read_times_out(backend: Backend) -> None:
    async with _sent(backend, answers(*F1, then=wait)) as stream:
        await _read_all_of_f1(backend, stream)
        began = monotonic()
        try:
            outcome: object = await stream.read(_SHORT)
        except Exception as error:  # noqa: BLE001 - any error of a transport is reported
            outcome = backend.caught(error)
        _expect_timeout(backend, outcome, f"read({_SHORT})", monotonic() - began)


async def _send_times_out(backend: Backend) -> None:
    async with backend.server(answers(then=wait)) as server, backend.transport() as transport:
        began = monotonic()
        try:
            outcome: object = await backend.send(
                transport, _asked(server), Timeouts(first_event=_SHORT)
            )
        except Exception as error:  # noqa: BLE001 - any error of a transport is reported
            outcome = backend.caught(error)
        _expect_timeout(
            backend, outcome, f"send with a first_event of {_SHORT}", monotonic() - began
        )
        await backend.expect_closed(server)


def _expect_timeout(backend: Backend, outcome: object, where: str, took: float) -> None:
    expected = (
        f"the builtin TimeoutError of {where}, after that time:"
        " only the client knows which deadline it was"
    )
    right = isinstance(outcome, TimeoutError) and not isinstance(outcome, MoondreamError)
    expect(
        right and _SHORT / 2 < took < backend.at_once,
        expected,
        f"{describe(outcome)}, after {took:.2f} seconds",
    )


async def _each_read_has_its_own(backend: Backend) -> None:
    """It is not the timeout of the head, nor that of the read before."""

    def script(peer: Peer) -> None:
        peer.answer(*F1)
        peer.is_closed_within(_LONGER)
        peer.send(b"0\r\n\r\n")

    async with _sent(backend, script, Timeouts(first_event=_ENOUGH, idle=_SHORT)) as stream:
        await _read_all_of_f1(backend, stream)
        try:
            received = await stream.read(backend.timeout)
        except Exception as error:
            words = f"{describe(error)}, though read was given {backend.timeout:g} seconds"
            raise Unexpected(
                f"read({backend.timeout:g}) to wait that long, whatever `timeouts` says", words
            ) from error
        expect(received == b"", "b'', the end of the body", repr(received))


async def _connect_ends(backend: Backend) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.is_closed_within(_LONGER)
        peer.send(sized(WHOLE_BODY))

    expected = (
        f"an answer that comes after {_LONGER} seconds:"
        f" `connect` ({_ENOUGH:g}) ends when the connection stands"
    )
    async with _sent(backend, script, Timeouts(connect=_ENOUGH), expected):
        pass


async def _close_twice(backend: Backend) -> None:
    for reads in (0, 1):
        async with _sent(backend, answers(*F1, then=wait)) as stream:
            for _ in range(reads):
                await stream.read(backend.timeout)
            for turn in ("first", "second"):
                try:
                    await stream.aclose()
                except Exception as error:
                    raise Unexpected(
                        "close to raise nothing, and to do nothing when repeated",
                        f"{describe(error)}, the {turn} time",
                    ) from error
