"""A recording proxy: how `moondream-stream record` answers.

1. A request is forwarded with its path. The response is forwarded chunk by chunk, as received. We
   remove headers for a single connection in both directions. From the codings that a client
   accepts, we remove those that cannot be recorded.
2. An exchange that breaks on one side breaks on the other. If the client leaves, the connection to
   the server is closed at once. If the connection to the server ends early or is reset, so is the
   client's. If there is no connection at all, the answer is 502.
3. Each exchange has its own connection. A kept connection could be dead, and the client would see
   an error that the server did not make.
4. A recording is written at the end of its exchange, complete or not, and before the end of a
   chunked answer is sent. If the disk fails, the exchange goes on and the log says so.
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

from ._exchange import Exchange, end_to_end
from ._writer import ClientLeft

# The client decides how long it waits.
_NO_TIMEOUTS = Timeouts(first_event=None, idle=None, total=None)
_NOT_FORWARDED = frozenset({"host", "content-length", "expect"})
_CODINGS = frozenset({"identity", "gzip", "x-gzip", "deflate"})


class Proxy:
    """The handler of the server.

    Args:
        origin: of the server that answers, such as `https://api.moondream.ai`.
        folder: for the recordings.
        transport: sends the requests.

    Raises OSError if the folder cannot be created.
    """

    def __init__(self, origin: str, folder: Path, transport: AsyncTransport) -> None:
        self._origin = origin
        folder.mkdir(parents=True, exist_ok=True)  # raises now, not at the first exchange
        self._folder = RecordingFolder(folder)
        self._transport = transport

    async def __call__(self, exchange: Exchange) -> None:
        if exchange.request.method == "CONNECT":
            await exchange.answer(
                501,
                b"this proxy has a single server, and opens no tunnels",
                [("content-type", "text/plain")],
            )
            return
        request = self._request(exchange)
        now = time.monotonic()
        recorder = _ExchangeRecorder(
            exchange, await _start_recorder(exchange, request, now), self._folder
        )
        try:
            stream = await self._transport.send(request, _NO_TIMEOUTS)
        except (TransportError, RemoteProtocolError) as error:
            await recorder.save(error)
            await exchange.answer(
                502,
                f"{type(error).__name__}: {error}".encode(),
                [("content-type", "text/plain; charset=utf-8")],
            )
            return
        except ConnectionLost as error:
            await recorder.save(error)
            exchange.abort(reset=_is_reset(error))
            return
        except BaseException as left:
            await recorder.save(left)
            raise
        try:
            headers = Headers(stream.headers)
            recorder.receive_response(stream.status_code, headers)
            await exchange.start(stream.status_code, end_to_end(headers.multi_items()))
            while data := await stream.read(None):
                recorder.receive_data(data)
                await exchange.send(data)
        except MoondreamError as error:
            await recorder.save(error)
            exchange.abort(reset=_is_reset(error))
        except BaseException as left:
            await stream.aclose()  # before the write, which can be slow
            await recorder.save(left)
            raise
        else:
            if "content-length" in headers:  # the client has the whole body, and may leave
                await exchange.end()
            await recorder.save(None)
            if exchange.is_open:
                await exchange.end()
        finally:
            await stream.aclose()

    def _request(self, exchange: Exchange) -> HTTPRequest:
        """Return the request for the server."""
        headers: list[tuple[str, str]] = []
        for name, value in end_to_end(exchange.request.headers):
            if name.lower() == "accept-encoding":
                value = (
                    ", ".join(filter(_is_recordable, map(str.strip, value.split(","))))
                    or "identity"
                )
            if name.lower() not in _NOT_FORWARDED:
                headers.append((name, value))
        target = exchange.request.url.split("/", 3)[3]
        return replace(exchange.request, url=f"{self._origin}/{target}", headers=tuple(headers))


class _ExchangeRecorder:
    """Record one exchange. Without a recorder it records nothing.

    We do not use `AsyncRecordingTransport`: it describes the request and saves the recording in the
    event loop. A large picture or a slow disk would delay the other exchanges.
    """

    def __init__(
        self, exchange: Exchange, recorder: Recorder | None, folder: RecordingFolder
    ) -> None:
        self._exchange = exchange
        self._recorder = recorder
        self._folder = folder

    def receive_response(self, status_code: int, headers: Headers) -> None:
        """Record the head of the response."""
        if self._recorder is not None:
            self._recorder.receive_response(status_code, headers, time.monotonic())

    def receive_data(self, chunk: bytes) -> None:
        """Record a chunk of the body."""
        if self._recorder is not None:
            self._recorder.receive_data(chunk, time.monotonic())

    async def save(self, error: BaseException | None) -> None:
        """Write the recording. `error` ended the exchange; None is the end of the body."""
        if self._recorder is None:
            return
        recorder, now = self._recorder, time.monotonic()

        def write() -> str:
            if error is None:
                recording = recorder.receive_eof(now)
            elif isinstance(error, ClientLeft):
                recording = recorder.leave(now)
            else:
                recording = recorder.receive_error(error, now)
            return self._folder(recording).name

        # An executor's future is not a task: nobody can cancel the write.
        writing = asyncio.get_running_loop().run_in_executor(None, write)
        cancelled: asyncio.CancelledError | None = None
        while not writing.done():
            try:
                await asyncio.wait([writing])
            except asyncio.CancelledError as caught:  # raised again after the write
                cancelled = caught
        failure = writing.exception()
        self._exchange.note = writing.result() if failure is None else f"not recorded: {failure}"
        if cancelled is not None:
            raise cancelled


async def _start_recorder(exchange: Exchange, request: HTTPRequest, now: float) -> Recorder | None:
    """Return a recorder for a request. None for a body that is not JSON; the log says so."""
    try:
        # In a thread: a large picture takes a while to describe.
        return await asyncio.to_thread(Recorder, request, now=now)
    except ValueError:
        reason = "a body that is not JSON" if request.body else "no body"
        exchange.note = f"not recorded: the request has {reason}"
        return None


def _is_recordable(coding: str) -> bool:
    """Return whether a recorder can decode a coding of an Accept-Encoding header."""
    return coding.partition(";")[0].strip().lower() in _CODINGS


def _is_reset(error: MoondreamError) -> bool:
    """Return whether the connection broke. Otherwise the server closed it too early."""
    return error.__cause__ is not None
