"""What is asked of a transport itself, without a client on top: the contract in `_transport.py`,
point by point.
"""

from __future__ import annotations

import gzip
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Any

from moondream_transports import Timeouts
from sansio_moondream import Endpoint, Headers, HTTPRequest, MoondreamError

from ._backend import Backend
from ._case import Case, Unexpected, expect, in_words, shortened
from ._fault_server import FaultServer, Peer, Script
from ._faults import F1, QUERY, WHOLE_BODY, answers, sized, wait
from ._secrets import KEY

_SHORT = 0.1  # seconds, of a wait that is to end
_ENOUGH = 1.0  # of one that is not, on a busy machine either
_LONGER = 1.25


def contract_cases() -> Iterator[Case]:
    yield Case("contract: status code and headers", _head)
    yield Case("contract: read gives the body undecoded, then b''", _undecoded)
    yield Case("contract: read raises the builtin TimeoutError in time", _read_times_out)
    yield Case("contract: each read has a timeout of its own", _each_read_has_its_own)
    yield Case("contract: send raises the builtin TimeoutError in time", _send_times_out)
    yield Case("contract: connect is over when the connection stands", _connect_is_over)
    yield Case("contract: close may repeat", _close_may_repeat)


def _asked(server: FaultServer) -> HTTPRequest:
    return QUERY.to_http(Endpoint(url=server.url, api_key=KEY), stream=True)


@asynccontextmanager
async def _sent(
    backend: Backend, script: Script, timeouts: Timeouts | None = None, expected: str = "a response"
) -> AsyncGenerator[Any, None]:
    """The stream of a response, closed at the end of the block."""
    async with backend.server(script) as server, backend.transport() as transport:
        try:
            stream = await backend.send(transport, _asked(server), timeouts or Timeouts())
        except Exception as error:
            raise Unexpected(expected, in_words(error)) from error
        try:
            yield stream
        except BaseException:
            with suppress(Exception):
                await stream.aclose()
            raise
        await stream.aclose()
        await backend.over(server)


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
        came = b""
        while data := await stream.read(backend.patience):
            came += data
    expect(
        came == body,
        f"the {len(body)} bytes of the body as they were sent: {shortened(body)}",
        f"{len(came)} bytes: {shortened(came)}",
    )


async def _read_all_of_f1(backend: Backend, stream: Any) -> None:
    came, last = b"", F1[-1].split(b"\r\n")[1]
    while not came.endswith(last):
        came += await stream.read(backend.patience)


async def _read_times_out(backend: Backend) -> None:
    async with _sent(backend, answers(*F1, then=wait)) as stream:
        await _read_all_of_f1(backend, stream)
        began = monotonic()
        try:
            outcome: object = await stream.read(_SHORT)
        except Exception as error:  # noqa: BLE001 - whatever a transport lets out, it is told
            outcome = error.with_traceback(None)
        _expect_timeout(backend, outcome, f"read({_SHORT})", monotonic() - began)


async def _send_times_out(backend: Backend) -> None:
    async with backend.server(answers(then=wait)) as server, backend.transport() as transport:
        began = monotonic()
        try:
            outcome: object = await backend.send(
                transport, _asked(server), Timeouts(first_event=_SHORT)
            )
        except Exception as error:  # noqa: BLE001 - whatever a transport lets out, it is told
            outcome = error.with_traceback(None)
        _expect_timeout(
            backend, outcome, f"send with a first_event of {_SHORT}", monotonic() - began
        )
        await backend.over(server)


def _expect_timeout(backend: Backend, outcome: object, where: str, took: float) -> None:
    expected = f"the builtin TimeoutError of {where}, after that time: which deadline it was, only the client knows, and names it"
    right = isinstance(outcome, TimeoutError) and not isinstance(outcome, MoondreamError)
    expect(
        right and _SHORT / 2 < took < backend.at_once,
        expected,
        f"{in_words(outcome)}, after {took:.2f} seconds",
    )


async def _each_read_has_its_own(backend: Backend) -> None:
    """Not the one of the head, nor the one of the read before."""

    def script(peer: Peer) -> None:
        peer.answer(*F1)
        peer.is_closed_within(_LONGER)
        peer.send(b"0\r\n\r\n")

    async with _sent(backend, script, Timeouts(first_event=_ENOUGH, idle=_SHORT)) as stream:
        await _read_all_of_f1(backend, stream)
        try:
            came = await stream.read(backend.patience)
        except Exception as error:
            words = f"{in_words(error)}, though read was given {backend.patience:g} seconds"
            raise Unexpected(
                f"read({backend.patience:g}) to wait that long, whatever `timeouts` says", words
            ) from error
        expect(came == b"", "b'', the end of the body", repr(came))


async def _connect_is_over(backend: Backend) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        peer.is_closed_within(_LONGER)
        peer.send(sized(WHOLE_BODY))

    expected = f"an answer that comes after {_LONGER} seconds: `connect` ({_ENOUGH:g}) is over when the connection stands"
    async with _sent(backend, script, Timeouts(connect=_ENOUGH), expected):
        pass


async def _close_may_repeat(backend: Backend) -> None:
    for reads in (0, 1):
        async with _sent(backend, answers(*F1, then=wait)) as stream:
            for _ in range(reads):
                await stream.read(backend.patience)
            for turn in ("first", "second"):
                try:
                    await stream.aclose()
                except Exception as error:
                    raise Unexpected(
                        "close to raise nothing, and to do nothing when repeated",
                        f"{in_words(error)}, the {turn} time",
                    ) from error
