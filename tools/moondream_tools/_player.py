"""A recording, played as the answer to a client: its head, each chunk in its time, and its ending."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from sansio_moondream.recording import EOF, Recording

from ._convert import is_stream
from ._http_server import Exchange, Field, end_to_end

_SILENCES = ("FirstEventTimeout", "IdleTimeout", "TotalTimeout", "TimeoutError")
_NO_HTTP = b"zz\r\nthis is no chunk\r\n"


async def play(
    exchange: Exchange, recording: Recording, speed: float | None, headers: Iterable[Field] = ()
) -> None:
    """Builder with the recording: at its own pace times `speed`, or at once (None); `headers` are
    added to its head.

    What was silence is silence until the client leaves. A connection that broke is reset where the
    recording says so, else closed."""
    pace = _Pace(speed)
    header, ending = recording.header, recording.ending
    if header.status_code is not None:
        await pace.wait(header.seconds)
        await exchange.start(header.status_code, [*_fields(recording), *headers])
        for chunk in recording.chunks:
            await pace.wait(chunk.seconds)
            await exchange.send(chunk.data)
    await pace.wait(ending.seconds)
    if ending.fault == EOF:
        await exchange.end()
    elif ending.fault in _SILENCES:
        await asyncio.Event().wait()
    elif ending.fault == "RemoteProtocolError" and header.status_code is not None:
        await exchange.send_unframed(_NO_HTTP)
        exchange.cut()
    else:
        exchange.cut(reset="reset" in ending.message.lower())


class _Pace:
    def __init__(self, speed: float | None) -> None:
        self._speed = speed
        self._due = time.monotonic()

    async def wait(self, seconds: float) -> None:
        if self._speed is not None:
            self._due += seconds / self._speed  # and not from now on: lateness must not add up
            await asyncio.sleep(max(0.0, self._due - time.monotonic()))


def _fields(recording: Recording) -> list[Field]:
    """The recorded head, with framing that fits: chunks for streams and for what is not whole,
    unless the length is known.
    """
    fields = end_to_end(recording.header.response_headers)
    others = [(name, value) for name, value in fields if name != "content-length"]
    if recording.ending.fault == EOF:
        length = sum(len(chunk.data) for chunk in recording.chunks)
        return others if is_stream(recording) else [*others, ("content-length", str(length))]
    return others if recording.ending.fault == "RemoteProtocolError" else fields
