"""An exchange under way: what its recorder has becomes updates of a trace, for any number of pages.

1. `watch` is called whenever the recorder has more. `publish` makes an update of that and adds it
   as a server-sent event, which all pages share.
2. What a page gets was masked as in a recording. A mask that a later chunk changes makes the trace
   differ from that of the finished recording. Then the last event says so, and the page loads it.
3. All that was received is masked again for each update. So updates have a distance that grows with
   the time that this takes: it costs at most a fifth of one processor.
4. The events are kept for some time after the end, within a limit. A page that comes late, or whose
   connection broke, gets those that it lacks.
"""

from __future__ import annotations

import asyncio
import json
from time import monotonic
from typing import Any, Final

from moondream_tools._exchange import Exchange
from moondream_tools.trace import TraceBuilder
from moondream_transports.relay._broadcast._async.channel import AsyncChannel
from sansio_moondream import APIError, MoondreamError
from sansio_moondream.recording import Chunk, Recorder, Recording, RecordingHeader
from sansio_moondream.relay import ReplayLimits

from ._answers import HEADERS, Refused

_MIN_DISTANCE: Final = 0.03  # seconds between two updates
_SHARE: Final = 4  # times as long as an update takes
_LIMITS: Final = ReplayLimits(max_bytes=64 * 1024 * 1024, max_waiting=64 * 1024 * 1024)
_STREAM: Final = (*HEADERS, ("content-type", "text/event-stream"))


class Live:
    """One exchange.

    Args:
        name: of its recording.
        header: of its recording, before there is a response.
    """

    def __init__(self, name: str, header: RecordingHeader) -> None:
        self.name = name
        self._builder = TraceBuilder(header)
        self._channel = AsyncChannel(_LIMITS, lambda: None)
        self._recorder: Recorder | None = None
        self._changed = asyncio.Event()
        self._has_head = False
        self._shown: list[Chunk] = []
        self._at = 0.0

    def watch(self, recorder: Recorder) -> None:
        """Note that the recorder has more."""
        self._recorder = recorder
        self._changed.set()

    async def publish(self) -> None:
        """Publish what the recorder has, until this is cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            recorder, began = self._recorder, monotonic()
            assert recorder is not None
            header = recorder.header
            if header.status_code is None:
                continue
            chunks = await asyncio.to_thread(recorder.peek_chunks)
            self._receive(header, chunks)
            self._publish()
            await asyncio.sleep(max(_MIN_DISTANCE, _SHARE * (monotonic() - began)))

    def end(self, recording: Recording, error: dict[str, Any] | None, *, complete: bool) -> None:
        """Publish the rest, and how the exchange ended.

        Args:
            recording: the finished one.
            error: for the user, if the exchange failed.
            complete: whether the answer is.
        """
        is_same = self._shown == list(recording.chunks[: len(self._shown)])
        self._receive(recording.header, recording.chunks)
        self._builder.receive_ending(recording.ending, self._at + recording.ending.seconds)
        self._publish()
        last = json.dumps({"error": error, "complete": complete, "reload": not is_same})
        record = f"id: {self._next_id()}\nevent: end\ndata: {last}\n\n"
        self._channel.append([record.encode()], is_last=True)
        self._recorder, self._shown = None, []  # only the events are kept

    async def send(self, exchange: Exchange, after: int) -> None:
        """Send the events after the one with an id, and those that follow.

        Raises:
            Refused: there is no such event, or it is no longer kept.
        """
        try:
            reader = self._channel.join(after)
        except APIError as error:
            raise Refused(error.status_code or 400, str(error.message)) from None
        try:
            await exchange.start(200, _STREAM)
            while (part := await self._channel.read(reader)) is not None:
                await exchange.send(part)
            await exchange.end()
        except MoondreamError as error:  # it read too slowly
            exchange.note = str(error.message)
            exchange.abort()
        finally:
            self._channel.leave(reader)

    def _receive(self, header: RecordingHeader, chunks: tuple[Chunk, ...]) -> None:
        """Pass on what is new."""
        if not self._has_head and header.status_code is not None:
            self._has_head, self._at = True, header.seconds
            self._builder.receive_response(
                header.status_code,
                header.response_headers,
                header.seconds,
                connected=header.connected,
            )
        for chunk in chunks[len(self._shown) :]:
            self._at += chunk.seconds
            self._builder.receive_data(chunk.data, self._at)
            self._shown.append(chunk)

    def _publish(self) -> None:
        data = self._builder.take_update().encode().decode()
        self._channel.append([f"id: {self._next_id()}\ndata: {data}\n\n".encode()])

    def _next_id(self) -> int:
        return self._channel.buffer.last_id + 1
