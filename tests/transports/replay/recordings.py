"""Recordings to replay, and a replay on a clock of its own."""

from __future__ import annotations

from typing import Any

import pytest

from moondream_transports import (
    Client,
    ReplayTransport,
    Timeouts,
    VirtualClock,
)
from sansio_moondream import (
    Endpoint,
    HTTPRequest,
    MoondreamError,
)
from sansio_moondream.recording import (
    Chunk,
    Ending,
    Recording,
    RecordingHeader,
)
from sansio_moondream.testing import run
from tests.helpers import END, QUERY, Trace, delta
from tests.transports.adapters import Adapter, never

ENDPOINT = Endpoint(url="http://localhost:2020/v1")
HEAD = (("content-type", "text/event-stream"),)
NO_TIMEOUTS = Timeouts(connect=None, first_event=None, idle=None, total=None)


def asked(request: Any = QUERY, **options: Any) -> HTTPRequest:
    http: HTTPRequest = request.to_http(ENDPOINT, **options)
    return http


def recorded(
    *chunks: tuple[float, bytes],
    ending: Ending | None = None,
    request: Any = QUERY,
    seconds: float = 0.5,
) -> Recording:
    header = RecordingHeader.of(asked(request), 200, HEAD, seconds=seconds)
    return Recording(header, tuple(Chunk(*chunk) for chunk in chunks), ending or Ending(0.25))


def of_trace(trace: Trace) -> Recording:
    header = RecordingHeader.of(asked(trace.request), trace.status_code, trace.headers)
    ending = Ending(0) if trace.ending is None else Ending(0, "ConnectionLost", str(trace.ending))
    return Recording(header, tuple(Chunk(0, chunk) for chunk in trace.chunks), ending)


WHOLE = recorded((1, delta("A")), (2, delta(" moon")), (4, END))


class Played(ReplayTransport):
    """A transport on a clock of its own, and a client for it."""

    def __init__(
        self,
        recordings: Any,
        speed: float | None = 1.0,
        timeouts: Timeouts | None = None,
        **options: Any,
    ) -> None:
        super().__init__(recordings, speed, clock=VirtualClock(), **options)
        self.client = Client(self, ENDPOINT, timeouts=timeouts)

    @property
    def now(self) -> float:
        return self.clock.monotonic()

    def chunks(
        self, request: Any = QUERY, into: list[tuple[float, bytes]] | None = None
    ) -> list[tuple[float, bytes]]:
        """Everything of an exchange, and when: seconds since the head."""
        stream = self.send(asked(request), NO_TIMEOUTS)
        began = self.now
        read = [] if into is None else into
        try:
            while data := stream.read(None):
                read.append((self.now - began, data))
        finally:
            stream.close()
        return read


def outcome(client: Client, request: Any) -> tuple[list[Any], str]:
    events: list[Any] = []
    try:
        with client.stream(request) as stream:
            events.extend(stream)
    except MoondreamError as error:
        return events, repr(error)
    return events, ""


def text_of(client: Client, request: Any = QUERY) -> str:
    with client.stream(request) as stream:
        return "".join(stream.text())


def expected(trace: Trace) -> tuple[list[Any], str]:
    events, error, _ = run(
        trace.request,
        trace.chunks,
        ending=trace.ending,
        status_code=trace.status_code,
        headers=trace.headers,
    )
    return events, "" if error is None else repr(error)


BODY = delta("A") + delta(" moon") + END
THREE_CHUNKS = recorded((1, BODY[:10]), (2, BODY[10:50]), (4, BODY[50:]), ending=Ending(8))
LOOPS = [Adapter(name, name, never) for name in ("asyncio", "trio")]
each_loop = pytest.mark.parametrize("loop", LOOPS, ids=lambda loop: loop.name)
