"""Play a recording as the answer to a client: its head, its chunks in their time, its ending."""

from __future__ import annotations

import asyncio
import time
from math import inf

import h11

from moondream_transports.replay import AnyFragmentation, Fragmentation, play
from sansio_moondream import MoondreamError, RemoteProtocolError
from sansio_moondream.recording import EOF, Recording

from ._convert import is_stream
from ._exchange import Exchange, Field, end_to_end

_NOT_HTTP = b"zz\r\nthis is no chunk\r\n"


async def send_recording(
    exchange: Exchange,
    recording: Recording,
    speed: float | None = 1.0,
    fragmentation: AnyFragmentation = Fragmentation.AS_RECORDED,
) -> None:
    """Answer with a recording.

    Recorded silence lasts until the client leaves. A recorded reset is a reset. Another broken
    connection is closed. So is one whose recording is no valid HTTP.

    Args:
        exchange: the exchange to answer.
        recording: the answer.
        speed: how many times as fast as recorded, or None to answer at once.
        fragmentation: where the body is cut into chunks.
    """
    player = play(recording, speed, fragmentation=fragmentation)
    due = time.monotonic()

    async def wait() -> None:
        nonlocal due
        due += player.wait(inf)  # from the last due time: delays must not add up
        await asyncio.sleep(max(0.0, due - time.monotonic()))

    try:
        await wait()
        status_code, _ = player.head()
        await exchange.start(status_code, _fields(recording))
        await wait()
        while data := player.read():
            await exchange.send(data)
            await wait()
        await exchange.end()
    except TimeoutError:  # a deadline of the recorded client ended a silence
        await asyncio.Event().wait()
    except MoondreamError as error:
        if isinstance(error, RemoteProtocolError) and exchange.status_code is not None:
            await exchange.send_unframed(_NOT_HTTP)
        exchange.abort(reset="reset" in error.message.lower())
    except h11.LocalProtocolError as error:  # a length that is wrong, for example
        exchange.note += f", which is no valid HTTP: {error}"
        exchange.abort()


def _fields(recording: Recording) -> list[Field]:
    """Return the recorded headers with framing that fits.

    A stream, and a body that breaks without a recorded length, are chunked.
    """
    fields = end_to_end(recording.header.response_headers)
    others = [(name, value) for name, value in fields if name != "content-length"]
    if recording.ending.fault == EOF:
        length = sum(len(chunk.data) for chunk in recording.chunks)
        return others if is_stream(recording) else [*others, ("content-length", str(length))]
    return others if recording.ending.fault == "RemoteProtocolError" else fields
