"""Record what passes through another transport, and change nothing of it.

1. Reads, deadlines, errors and closing are those of the other transport. The recording has what the
   client saw of them, and when.
2. An exchange is saved once, when it has ended: the body was complete, an error was raised, or the
   client left. It is saved in the call in which that happens. Errors of `save` are raised there.
3. `sansio_moondream.recording` describes what a recording leaves out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from moondream_transports._clock import AsyncRealClock
from moondream_transports._transport import (
    AsyncByteStream,
    AsyncTransport,
    Timeouts,
    require_async_transport,
)
from moondream_transports.recording._recorder import (
    Save,
    SharedRecorder,
    Watch,
    recorded_timeouts,
)
from sansio_moondream import Headers, HTTPRequest
from sansio_moondream._secrets.values import Secrets
from sansio_moondream.recording import Recorder


class AsyncRecordingTransport:
    """Send requests through another transport, and save a `Recording` of each exchange.

    Args:
        transport: sends the requests. The caller closes it.
        save: is called with each `Recording`. It may be a `RecordingFolder`.
        secrets: texts to mask in recordings. The key in the headers of a request is always masked.
        watch: is called with the `Recorder` of each exchange at its beginning, and whenever its
            head or a chunk was recorded. `Recorder.peek_chunks` shows what it has.

    Attributes:
        clock: of the other transport, if it has one, else that of the machine.

    `send` raises ValueError, before it sends anything, for a request whose body is not JSON, or
    that has more secrets than a `Recorder` masks.

    Raises:
        TypeError: a transport of another kind, such as a sync one, or a `save` that cannot be
            called.
    """

    def __init__(
        self,
        transport: AsyncTransport,
        save: Save,
        secrets: Iterable[str] = (),
        *,
        watch: Watch | None = None,
    ) -> None:
        secrets = Secrets.among(secrets)  # from here on no local variable shows them
        self._transport = require_async_transport(transport)
        if not callable(save):
            raise TypeError(f"save should be callable, such as a RecordingFolder, not {save!r}")
        self._save = save
        self._watch = watch
        self._secrets = secrets
        self.clock: Any = getattr(transport, "clock", None) or AsyncRealClock()

    async def send(self, request: HTTPRequest, timeouts: Timeouts) -> AsyncRecordingStream:
        """Do as `AsyncTransport.send`."""
        now = self.clock.monotonic
        recorder = SharedRecorder(
            Recorder(request, self._secrets, now=now(), timeouts=recorded_timeouts(timeouts)),
            self._save,
            self._watch,
            now,
        )
        try:
            stream = await self._transport.send(request, timeouts)
        except BaseException as error:
            recorder.receive_error(error)
            raise
        return AsyncRecordingStream(stream, recorder)


class AsyncRecordingStream:
    """The response of an `AsyncRecordingTransport`.

    Its attributes are those of `AsyncByteStream`.
    """

    def __init__(self, stream: AsyncByteStream, recorder: SharedRecorder) -> None:
        self._stream = stream
        self._recorder = recorder
        self.status_code = stream.status_code
        self.headers = Headers(stream.headers).multi_items()  # an iterator can be read only once
        self.connected_at = stream.connected_at
        recorder.receive_head(self.status_code, self.headers, self.connected_at)

    async def read(self, timeout: float | None) -> bytes:
        """Do as `AsyncByteStream.read`."""
        try:
            data = await self._stream.read(timeout)
        except BaseException as error:
            self._recorder.receive_error(error)
            raise
        self._recorder.receive_data(data)
        return data

    async def aclose(self) -> None:
        """Do as `AsyncByteStream.aclose`."""
        try:
            await self._stream.aclose()
        finally:
            self._recorder.leave()
