# Generated from ../_async/transport.py by `make generate`; do not edit.
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

from moondream_transports._clock import RealClock
from moondream_transports._transport import (
    ByteStream,
    Timeouts,
    Transport,
    require_transport,
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


class RecordingTransport:
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
        transport: Transport,
        save: Save,
        secrets: Iterable[str] = (),
        *,
        watch: Watch | None = None,
    ) -> None:
        secrets = Secrets.among(secrets)  # from here on no local variable shows them
        self._transport = require_transport(transport)
        if not callable(save):
            raise TypeError(f"save should be callable, such as a RecordingFolder, not {save!r}")
        self._save = save
        self._watch = watch
        self._secrets = secrets
        self.clock: Any = getattr(transport, "clock", None) or RealClock()

    def send(self, request: HTTPRequest, timeouts: Timeouts) -> RecordingStream:
        """Do as `Transport.send`."""
        now = self.clock.monotonic
        recorder = SharedRecorder(
            Recorder(request, self._secrets, now=now(), timeouts=recorded_timeouts(timeouts)),
            self._save,
            self._watch,
            now,
        )
        try:
            stream = self._transport.send(request, timeouts)
        except BaseException as error:
            recorder.receive_error(error)
            raise
        return RecordingStream(stream, recorder)


class RecordingStream:
    """The response of a `RecordingTransport`.

    Its attributes are those of `ByteStream`.
    """

    def __init__(self, stream: ByteStream, recorder: SharedRecorder) -> None:
        self._stream = stream
        self._recorder = recorder
        self.status_code = stream.status_code
        self.headers = Headers(stream.headers).multi_items()  # an iterator can be read only once
        self.connected_at = stream.connected_at
        recorder.receive_head(self.status_code, self.headers, self.connected_at)

    def read(self, timeout: float | None) -> bytes:
        """Do as `ByteStream.read`."""
        try:
            data = self._stream.read(timeout)
        except BaseException as error:
            self._recorder.receive_error(error)
            raise
        self._recorder.receive_data(data)
        return data

    def close(self) -> None:
        """Do as `ByteStream.close`."""
        try:
            self._stream.close()
        finally:
            self._recorder.leave()
