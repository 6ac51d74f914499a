"""Record one exchange of the proxy to a file while it runs.

1. All that takes time is done in a thread: to describe a large picture, to mask, to write.
2. Parts of a long body are written as soon as they are masked. So neither memory nor the time at
   the end grows with the body.
3. What was begun is ended, even if the exchange is cancelled meanwhile, more than once.
4. If the disk fails, the exchange goes on, and the log says so.

We do not use `AsyncRecordingTransport`: it holds a body, and works in the event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from moondream_transports import RecordingFolder
from moondream_transports.recording import RecordingFile
from sansio_moondream import Headers, HTTPRequest
from sansio_moondream._server.request_json import check_json
from sansio_moondream.recording import Recorder, Recording, RecordingError, RecordingHeader

from ._exchange import Exchange
from ._writer import ClientLeft

_WRITE_FROM = 512 * 1024  # bytes in memory


class ExchangeRecorder:
    """Record one exchange, and note in it how that went.

    Args:
        exchange: gets the notes.
        folder: for the recording.
        max_body_bytes: of the body. The recording says how much more there was.
    """

    def __init__(self, exchange: Exchange, folder: RecordingFolder, max_body_bytes: int) -> None:
        self._exchange = exchange
        self._folder = folder
        self._max_body_bytes = max_body_bytes
        self._recorder: Recorder | None = None
        self._file: RecordingFile | None = None

    async def begin(self, request: HTTPRequest, now: float) -> None:
        """Record the request. One whose body cannot be recorded is only noted."""
        try:
            await asyncio.to_thread(check_json, request.body)
        except ValueError as error:
            self._exchange.note = f"not recorded: {error}"
            return
        try:
            self._recorder = await asyncio.to_thread(
                lambda: Recorder(request, now=now, max_body_bytes=self._max_body_bytes)
            )
        except ValueError as error:  # no body, for example
            reason = error if request.body else "the request has no body"
            self._exchange.note = f"not recorded: {reason}"

    def receive_response(
        self, status_code: int, headers: Headers, connected_at: float | None
    ) -> None:
        """Record the head of the response, and when the connection to the server was there."""
        if self._recorder is not None:
            self._recorder.receive_response(
                status_code, headers, time.monotonic(), connected_at=connected_at
            )

    def receive_data(self, chunk: bytes) -> None:
        """Record a chunk of the body."""
        if self._recorder is not None:
            self._recorder.receive_data(chunk, time.monotonic())

    async def write(self) -> None:
        """Write what came, if it is much. Call this when the client has it."""
        recorder = self._recorder
        if recorder is not None and recorder.held >= _WRITE_FROM:
            await self._in_thread(lambda: self._write_taken(recorder))

    async def save(self, error: BaseException | None) -> None:
        """Write the rest of the recording. `error` ended the exchange; None is the body's end."""
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            return
        now = time.monotonic()

        def end() -> Recording:
            if error is None:
                return recorder.receive_eof(now)
            if isinstance(error, ClientLeft):
                return recorder.leave(now)
            return recorder.receive_error(error, now)

        await self._in_thread(lambda: self._write_rest(end()))

    def _write_taken(self, recorder: Recorder) -> None:
        file = self._opened(recorder.header)
        for chunk in recorder.take_chunks():
            file.write(chunk)

    def _write_rest(self, recording: Recording) -> None:
        with self._opened(recording.header) as file:
            for chunk in recording.chunks:
                file.write(chunk)
            file.write(recording.ending)
            self._exchange.note = file.save().name

    def _opened(self, header: RecordingHeader) -> RecordingFile:
        if self._file is None:
            self._file = self._folder.open()
            self._file.write(header)
        return self._file

    def _try(self, write: Callable[[], None]) -> None:
        """Write. If it fails, the recording is given up."""
        try:
            write()
        except (OSError, RecordingError) as failure:
            self._exchange.note = f"not recorded: {failure}"
            self._recorder = None
            if self._file is not None:
                self._file.close()

    async def _in_thread(self, write: Callable[[], None]) -> None:
        """Write in a thread, and return when that has ended, even if cancelled."""
        # An executor's future is not a task: nobody can cancel it.
        writing = asyncio.get_running_loop().run_in_executor(None, self._try, write)
        cancelled: asyncio.CancelledError | None = None
        while not writing.done():
            try:
                await asyncio.wait([writing])
            except asyncio.CancelledError as caught:
                cancelled = caught
        writing.result()
        if cancelled is not None:
            raise cancelled
