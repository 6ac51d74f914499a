"""Transports that record what goes through another one, and change nothing of it.

1. Reads, deadlines, errors and closing are the other transport's; what is recorded is what the
   client saw of it, and when.
2. An exchange is recorded once, when it is over: the body ended, something was raised, or the
   client left. It is saved there and then, in the call in which that happens, and what `save`
   raises comes out of that call.
3. What the recording leaves out, and how, is in `sansio_moondream.recording`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from threading import Lock
from typing import Any

from sansio_moondream import Headers, HTTPRequest
from sansio_moondream.recording import Recorder, Recording

from ._transport import (
    AsyncByteStream,
    AsyncTransport,
    ByteStream,
    HeaderTypes,
    Timeouts,
    Transport,
)

Save = Callable[[Recording], object]


class RecordingTransport:
    """Sends requests by `transport`, and gives a `Recording` of each exchange to `save`, such as a
    `RecordingFolder`.

    The key in a request's headers is masked without saying, and `secrets` are too. What was opened
    for `transport` is the caller's to close. Raises ValueError, before anything is sent, for a
    request whose body is not JSON."""

    def __init__(self, transport: Transport, save: Save, secrets: Collection[str] = ()) -> None:
        self._transport = transport
        self._save = save
        self._secrets = secrets
        self.clock: Any = getattr(transport, "clock", time)

    def send(self, request: HTTPRequest, timeouts: Timeouts) -> RecordingStream:
        """As `Transport.send` says."""
        tape = _Tape(
            Recorder(request, self._secrets, now=self.clock.monotonic()),
            self._save,
            self.clock.monotonic,
        )
        try:
            stream = self._transport.send(request, timeouts)
        except BaseException as error:
            tape.end(error)
            raise
        return RecordingStream(stream, tape)


class AsyncRecordingTransport:
    """As `RecordingTransport`, for an `AsyncClient`.

    `save` is called as it is: nothing of it is awaited.
    """

    def __init__(
        self, transport: AsyncTransport, save: Save, secrets: Collection[str] = ()
    ) -> None:
        self._transport = transport
        self._save = save
        self._secrets = secrets
        self.clock: Any = getattr(transport, "clock", time)

    async def send(self, request: HTTPRequest, timeouts: Timeouts) -> AsyncRecordingStream:
        """As `AsyncTransport.send` says."""
        tape = _Tape(
            Recorder(request, self._secrets, now=self.clock.monotonic()),
            self._save,
            self.clock.monotonic,
        )
        try:
            stream = await self._transport.send(request, timeouts)
        except BaseException as error:
            tape.end(error)
            raise
        return AsyncRecordingStream(stream, tape)


class _Tape:
    """A recorder that is read out once; where a stream is closed while it is read, whoever comes
    first has it.
    """

    def __init__(self, recorder: Recorder, save: Save, now: Callable[[], float]) -> None:
        self._recorder: Recorder | None = recorder
        self._save = save
        self._now = now
        self._lock = Lock()

    def head(self, status_code: int, headers: HeaderTypes) -> None:
        if self._recorder is not None:
            self._recorder.receive_response(status_code, headers, self._now())

    def data(self, data: bytes) -> None:
        """What a read gave; b"" is the end."""
        if not data:
            self.end(None)
            return
        with self._lock:
            if self._recorder is not None:
                self._recorder.receive_data(data, self._now())

    def end(self, error: BaseException | None) -> None:
        """The end of the body, or what was raised."""
        self._finish(
            lambda recorder, now: (
                recorder.receive_eof(now) if error is None else recorder.receive_error(error, now)
            )
        )

    def leave(self) -> None:
        """The client closed the stream."""
        self._finish(lambda recorder, now: recorder.leave(now))

    def _finish(self, how: Callable[[Recorder, float], Recording]) -> None:
        with self._lock:
            recorder, self._recorder = self._recorder, None
        if recorder is not None:
            self._save(how(recorder, self._now()))


class _AnyRecordingStream:
    def __init__(self, stream: ByteStream | AsyncByteStream, tape: _Tape) -> None:
        self.status_code = stream.status_code
        self.headers = Headers(
            stream.headers
        ).multi_items()  # of an iterator it would be the only look
        self.connected_at = stream.connected_at
        self._tape = tape
        tape.head(self.status_code, self.headers)


class RecordingStream(_AnyRecordingStream):
    """A response of `RecordingTransport`."""

    def __init__(self, stream: ByteStream, tape: _Tape) -> None:
        super().__init__(stream, tape)
        self._stream = stream

    def read(self, timeout: float | None) -> bytes:
        """As `ByteStream.read` says."""
        try:
            data = self._stream.read(timeout)
        except BaseException as error:
            self._tape.end(error)
            raise
        self._tape.data(data)
        return data

    def close(self) -> None:
        """As `ByteStream.close` says."""
        try:
            self._stream.close()
        finally:
            self._tape.leave()


class AsyncRecordingStream(_AnyRecordingStream):
    """A response of `AsyncRecordingTransport`."""

    def __init__(self, stream: AsyncByteStream, tape: _Tape) -> None:
        super().__init__(stream, tape)
        self._stream = stream

    async def read(self, timeout: float | None) -> bytes:
        """As `AsyncByteStream.read` says."""
        try:
            data = await self._stream.read(timeout)
        except BaseException as error:
            self._tape.end(error)
            raise
        self._tape.data(data)
        return data

    async def aclose(self) -> None:
        """As `AsyncByteStream.aclose` says."""
        try:
            await self._stream.aclose()
        finally:
            self._tape.leave()
