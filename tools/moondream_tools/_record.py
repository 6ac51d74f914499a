"""A recording proxy: what `moondream-stream record` does with a request.

1. A request goes on to the server with its path as it is, so an address has to change only in its
   host. What comes back is passed on chunk by chunk, as it comes, undecoded. Headers that are for
   the next machine only are left out, on both ways, and of the codings that a client takes those
   that cannot be recorded.
2. An exchange that breaks on one side is broken on the other: a client that leaves closes the
   connection to the server at once; where the server's connection ends early, or is reset, so does
   the client's. No connection at all is 502.
3. Each exchange has a connection of its own: one that was kept could be dead, and the client would
   see a fault that no server made.
4. The recording is written when the exchange is over, whole or not, and before a chunked answer
   gets its end. Only where the disk fails is there none; the exchange goes on, and the log says so.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from msgspec.structs import replace

from moondream_transports import AsyncTransport, RecordingFolder, Timeouts
from sansio_moondream import (
    ConnectionLost,
    Headers,
    HTTPRequest,
    MoondreamError,
    RemoteProtocolError,
    TransportError,
)
from sansio_moondream.recording import Recorder

from ._http_server import ClientLeft, Exchange, end_to_end

_PATIENCE = Timeouts(
    first_event=None, idle=None, total=None
)  # how long to wait is for the client to say
_NOT_PASSED_ON = frozenset({"host", "content-length", "expect"})
_CODINGS = frozenset({"identity", "gzip", "x-gzip", "deflate"})


class Proxy:
    """The handler of the server: passes requests on to `origin`, such as
    `https://api.moondream.ai`, and records into `folder`.

    Raises OSError for a folder that cannot be made.
    """

    def __init__(self, origin: str, folder: Path, transport: AsyncTransport) -> None:
        self._origin = origin
        folder.mkdir(parents=True, exist_ok=True)  # now, so that it is said now if it cannot be
        self._folder = RecordingFolder(folder)
        self._transport = transport

    async def __call__(self, exchange: Exchange) -> None:
        if exchange.request.method == "CONNECT":
            await exchange.answer(
                501,
                b"this proxy has one server, and makes no tunnels",
                [("content-type", "text/plain")],
            )
            return
        request = self._request(exchange)
        began = time.monotonic()
        try:
            recorder = await asyncio.to_thread(
                Recorder, request, now=began
            )  # a large picture takes a while to describe
        except ValueError:
            recorder, exchange.note = (
                None,
                f"not recorded: the request {'has a body that is not JSON' if request.body else 'has no body'}",
            )
        tape = _Tape(exchange, recorder, self._folder)
        try:
            stream = await self._transport.send(request, _PATIENCE)
        except (TransportError, RemoteProtocolError) as error:
            await tape.end(error)
            await exchange.answer(
                502,
                f"{type(error).__name__}: {error}".encode(),
                [("content-type", "text/plain; charset=utf-8")],
            )
            return
        except ConnectionLost as error:
            await tape.end(error)
            exchange.cut(reset=_is_reset(error))
            return
        except BaseException as left:
            await tape.end(left)
            raise
        try:
            headers = Headers(stream.headers)
            tape.response(stream.status_code, headers)
            await exchange.start(stream.status_code, end_to_end(headers.multi_items()))
            while data := await stream.read(None):
                tape.data(data)
                await exchange.send(data)
        except MoondreamError as error:
            await tape.end(error)
            exchange.cut(reset=_is_reset(error))
        except BaseException as left:
            await stream.aclose()  # at once: writing may take its time
            await tape.end(left)
            raise
        else:
            if "content-length" in headers:  # the client has all of it, and may leave
                await exchange.end()
            await tape.end(None)
            if exchange.is_open:
                await exchange.end()
        finally:
            await stream.aclose()

    def _request(self, exchange: Exchange) -> HTTPRequest:
        headers: list[tuple[str, str]] = []
        for name, value in end_to_end(exchange.request.headers):
            if name.lower() == "accept-encoding":
                codings = [coding.strip() for coding in value.split(",")]
                value = (
                    ", ".join(
                        coding
                        for coding in codings
                        if coding.partition(";")[0].strip().lower() in _CODINGS
                    )
                    or "identity"
                )
            if name.lower() not in _NOT_PASSED_ON:
                headers.append((name, value))
        target = exchange.request.url.split("/", 3)[3]
        return replace(exchange.request, url=f"{self._origin}/{target}", headers=tuple(headers))


class _Tape:
    """The recording of one exchange while it runs, if it can be recorded."""

    def __init__(
        self, exchange: Exchange, recorder: Recorder | None, folder: RecordingFolder
    ) -> None:
        self._exchange = exchange
        self._recorder = recorder
        self._folder = folder

    def response(self, status_code: int, headers: Headers) -> None:
        if self._recorder is not None:
            self._recorder.receive_response(status_code, headers, time.monotonic())

    def data(self, chunk: bytes) -> None:
        if self._recorder is not None:
            self._recorder.receive_data(chunk, time.monotonic())

    async def end(self, fault: BaseException | None) -> None:
        """Write the recording: whole if there was no fault."""
        if self._recorder is None:
            return
        recorder, now = self._recorder, time.monotonic()

        def write() -> str:
            if fault is None:
                recording = recorder.receive_eof(now)
            else:
                recording = (
                    recorder.leave(now)
                    if isinstance(fault, ClientLeft)
                    else recorder.receive_error(fault, now)
                )
            return self._folder(recording).name

        writing = asyncio.get_running_loop().run_in_executor(
            None, write
        )  # no task, which could be cancelled
        left: asyncio.CancelledError | None = None
        while not writing.done():
            try:
                await asyncio.wait([writing])
            except asyncio.CancelledError as cancelled:  # whoever leaves now has to wait
                left = cancelled
        error = writing.exception()
        self._exchange.note = writing.result() if error is None else f"not recorded: {error}"
        if left is not None:
            raise left


def _is_reset(error: MoondreamError) -> bool:
    """Whether the connection broke, rather than being closed too early."""
    return error.__cause__ is not None
