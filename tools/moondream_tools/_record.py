"""A recording proxy: how `moondream-stream record` answers.

1. A request is forwarded with its path. The response is forwarded chunk by chunk, as received. We
   remove headers for a single connection in both directions. From the codings that a client
   accepts, we remove those that cannot be recorded.
2. An exchange that breaks on one side breaks on the other. If the client leaves, the connection to
   the server is closed at once. If the connection to the server ends early or is reset, so is the
   client's. If there is no connection at all, the answer is 502.
3. Each exchange has its own connection. A kept connection could be dead, and the client would see
   an error that the server did not make.
4. A recording gets its name at the end of its exchange, complete or not, and before the end of a
   chunked answer is sent. How it is written: see `_exchange_recorder.py`.
"""

from __future__ import annotations

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

from ._exchange import Exchange, end_to_end
from ._exchange_recorder import ExchangeRecorder

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
        max_body_bytes: of each body that is recorded.

    Raises OSError if the folder cannot be created.
    """

    def __init__(
        self, origin: str, folder: Path, transport: AsyncTransport, max_body_bytes: int
    ) -> None:
        self._origin = origin
        folder.mkdir(parents=True, exist_ok=True)  # raises now, not at the first exchange
        self._folder = RecordingFolder(folder)
        self._transport = transport
        self._max_body_bytes = max_body_bytes

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
        recorder = ExchangeRecorder(exchange, self._folder, self._max_body_bytes)
        await recorder.begin(request, now)
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
            recorder.receive_response(stream.status_code, headers, stream.connected_at)
            await exchange.start(stream.status_code, end_to_end(headers.multi_items()))
            while data := await stream.read(None):
                recorder.receive_data(data)
                await exchange.send(data)
                await recorder.write()
        except MoondreamError as error:
            await recorder.save(error)
            exchange.abort(reset=_is_reset(error))
        except BaseException as left:
            try:
                await stream.aclose()  # before the write, which can be slow
            finally:  # another cancellation may end this
                await recorder.save(left)
            raise
        else:
            try:
                if "content-length" in headers:  # the client has the whole body, and may leave
                    await exchange.end()
            finally:
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


def _is_recordable(coding: str) -> bool:
    """Return whether a recorder can decode a coding of an Accept-Encoding header."""
    return coding.partition(";")[0].strip().lower() in _CODINGS


def _is_reset(error: MoondreamError) -> bool:
    """Return whether the connection broke. Otherwise the server closed it too early."""
    return error.__cause__ is not None
