"""Questions of the page to a server: each becomes a recording, which the page follows.

1. The key is in the endpoint, which only the client here has. Recordings, updates and errors have
   it masked, wherever the server quotes it: see `sansio_moondream.recording` and `_live.py`.
2. A few exchanges may be under way at once. Recordings are kept within limits, and so are their
   pictures: the oldest are dropped.
3. All of this runs in one event loop, that of the server.
4. An exchange has two tasks. One reads the answer, and only that one is cancelled. The other waits
   for its end and finishes the recording. So a cancellation, at any time, leaves nothing open.
"""

from __future__ import annotations

import asyncio
import traceback
from collections import deque
from collections.abc import Mapping
from time import monotonic
from typing import Any, Final

from msgspec.structs import asdict

from moondream_tools._exchange import Exchange
from moondream_tools._wording import advice, describe_error
from moondream_transports import AsyncClient, AsyncRecordingTransport, AsyncTransport, Timeouts
from sansio_moondream import (
    Endpoint,
    MoondreamError,
    PayloadTooLargeError,
    RateLimitError,
    Request,
)
from sansio_moondream.recording import RecordedTimeouts, Recorder, Recording

from ._answers import Refused
from ._asked import SKILLS, image_of, request_of
from ._images import Pictures
from ._live import Live
from ._store import Store

MAX_RUNNING: Final = 4
MAX_KEPT: Final = 100
"""How many recordings of answers are kept."""
MAX_KEPT_BYTES: Final = 128 * 1024 * 1024
"""The bodies of all recordings that are kept."""
KEEP_SECONDS: Final = 60.0
"""How long an exchange can be followed after its end."""
_BROKEN: Final = "an error of this program: its output has the traceback"


class Asker:
    """Ask an endpoint for the page.

    Args:
        store: gets the recordings.
        pictures: gets the pictures that are asked about.
        endpoint: the server, with its key.
        timeouts: of each exchange.
        transport: sends the requests. By default it is `AnyioTransport`.

    Raises:
        ModuleNotFoundError: anyio is not installed.
    """

    def __init__(
        self,
        store: Store,
        pictures: Pictures,
        endpoint: Endpoint,
        timeouts: Timeouts | None = None,
        transport: AsyncTransport | None = None,
    ) -> None:
        if transport is None:
            from moondream_transports import AnyioTransport

            transport = AnyioTransport(trust_env=True, max_idle=0)  # so it need not be closed
        self._store = store
        self._pictures = pictures
        self._endpoint = endpoint
        self._timeouts = timeouts or Timeouts()
        self._transport = transport
        self._count = 0
        self._lives: dict[str, Live] = {}
        self._running: dict[str, asyncio.Task[None]] = {}  # that read answers
        self._finishing: set[asyncio.Task[None]] = set()
        self._kept: deque[tuple[str, int]] = deque()  # names, and the sizes of the bodies

    def about(self) -> dict[str, Any]:
        """Return what the page knows of the endpoint."""
        return {"url": self._endpoint.url, "skills": list(SKILLS)}

    async def ask(self, _name: str, asked: Any) -> dict[str, Any]:
        """Begin an exchange. Returns the name of its recording.

        Raises:
            Refused: the request is not valid, or too many exchanges are under way.
        """
        self._check_running()
        request = await asyncio.to_thread(request_of, asked)
        http = await asyncio.to_thread(request.to_http, self._endpoint)
        timeouts = RecordedTimeouts(**asdict(self._timeouts))
        recorder = await asyncio.to_thread(
            lambda: Recorder(http, now=monotonic(), timeouts=timeouts)
        )
        self._check_running()  # others may have come meanwhile
        if (image := image_of(request)) is not None:
            self._pictures.add(image)
        self._count += 1  # no name is used again, as pages may still show what was dropped
        name = f"asked-{self._count}-{request.skill}.jsonl"
        name = self._store.begin(name, recorder.header).name
        live = self._lives[name] = Live(name, recorder.header)
        recordings: list[Recording] = []
        self._running[name] = asyncio.create_task(self._read(live, request, recordings))
        finishing = asyncio.create_task(self._finish(live, recorder, recordings))
        self._finishing.add(finishing)
        finishing.add_done_callback(self._finishing.discard)
        return {"name": name}

    async def cancel(self, name: str, _asked: Any) -> None:
        """Leave an exchange. One that has ended stays as it is.

        Raises:
            Refused: nothing of that name was asked, or it has long ended.
        """
        self._live(name)
        if (task := self._running.get(name)) is not None:
            task.cancel()

    async def follow(self, exchange: Exchange, name: str, query: Mapping[str, str]) -> None:
        """Send the updates after the one with an id.

        Raises:
            Refused: there is no such exchange or update.
        """
        # A browser that connects again says by itself what it has.
        after = exchange.headers.get("last-event-id") or query.get("after", "0")
        if not (after.isascii() and after.isdigit() and len(after) < 20):
            raise Refused(400, f"after should be the id of an update, not {after[:40]!r}")
        await self._live(name).send(exchange, int(after))

    def _live(self, name: str) -> Live:
        live = self._lives.get(name)
        if live is None:
            raise Refused(404, f"no exchange with the name {name[:200]!r} is under way")
        return live

    def _check_running(self) -> None:
        if len(self._running) >= MAX_RUNNING:
            raise Refused(
                429,
                f"{len(self._running)} questions are under way, and no more may be at once: wait "
                "for one to end, or cancel it",
            )

    async def _read(self, live: Live, request: Request[Any], recordings: list[Recording]) -> None:
        """Ask, and read the answer. `recordings` gets its recording."""
        transport = AsyncRecordingTransport(self._transport, recordings.append, watch=live.watch)
        client = AsyncClient(transport, self._endpoint, timeouts=self._timeouts)
        async with client.stream(request) as stream:
            async for _event in stream:
                pass

    async def _finish(self, live: Live, recorder: Recorder, recordings: list[Recording]) -> None:
        """Publish an exchange, and finish its recording at the end, whatever happens."""
        reading = self._running[live.name]
        publishing = asyncio.create_task(live.publish())
        await asyncio.wait([reading])
        failure = asyncio.CancelledError() if reading.cancelled() else reading.exception()
        publishing.cancel()
        await asyncio.wait([publishing])
        if not recordings:  # nothing was sent
            recordings.append(recorder.receive_error(failure or EOFError(), monotonic()))
        del self._running[live.name]
        self._store.end(live.name, recordings[0])
        self._keep(live.name, sum(len(chunk.data) for chunk in recordings[0].chunks))
        live.end(recordings[0], _in_words(failure), complete=failure is None)
        asyncio.get_running_loop().call_later(KEEP_SECONDS, self._lives.pop, live.name, None)

    def _keep(self, name: str, size: int) -> None:
        """Note a new recording, and drop the oldest ones beyond the limits."""
        self._kept.append((name, size))
        while len(self._kept) > MAX_KEPT or sum(size for _, size in self._kept) > MAX_KEPT_BYTES:
            dropped, _ = self._kept.popleft()
            self._store.drop(dropped)


def _in_words(error: BaseException | None) -> dict[str, Any] | None:
    """Return an error for the page, or None if nothing failed or the user left."""
    if error is None or isinstance(error, asyncio.CancelledError):
        return None
    if not isinstance(error, MoondreamError):
        traceback.print_exception(error)
        return {"kind": type(error).__name__, "message": _BROKEN, "advice": None}
    # The page has no option for these two.
    has_advice = not isinstance(error, RateLimitError | PayloadTooLargeError)
    return {
        "kind": type(error).__name__,
        "message": describe_error(error),
        "advice": advice(error) if has_advice else None,
    }
