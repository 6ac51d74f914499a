"""Transports that play a script of bytes and exceptions, without any network."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from moondream_transports import Client, Timeouts, VirtualClock
from sansio_moondream import Endpoint, HTTPRequest, Limits, TextDelta
from tests.helpers import END, delta

Step = bytes | BaseException | Callable[[], bytes]
ENDPOINT = Endpoint(url="http://localhost:2020/v1", api_key="key-that-must-not-leak")


class FakeStream:
    """A transport and its only response. Each read takes the next step and returns or raises it.
    A step that can be called is called.
    """

    headers: Sequence[tuple[str, str]] = (("Content-Type", "text/event-stream"),)

    def __init__(
        self,
        *steps: Step,
        status_code: int = 200,
        connected_at: float | None = None,
        refuses: BaseException | None = None,
    ) -> None:
        self.steps = list(steps)
        self.status_code = status_code
        self.connected_at = connected_at
        self.refuses = refuses
        self.requests: list[HTTPRequest] = []
        self.timeouts = Timeouts()
        self.reads: list[float | None] = []
        self.closed = 0

    def send(self, request: HTTPRequest, timeouts: Timeouts) -> FakeStream:
        self.requests.append(request)
        self.timeouts = timeouts
        if self.refuses is not None:
            raise self.refuses
        return self

    def read(self, timeout: float | None) -> bytes:
        self.reads.append(timeout)
        step = self.steps.pop(0)
        if isinstance(step, BaseException):
            raise step
        return step if isinstance(step, bytes) else step()

    def close(self) -> None:
        self.closed += 1


class JSONFakeStream(FakeStream):
    headers: Sequence[tuple[str, str]] = (("Content-Type", "application/json"),)


class TimedFakeStream(FakeStream):
    """With a clock of its own, on which the deadlines of a client count."""

    def __init__(self, *steps: Step, connected_at: float | None = None) -> None:
        super().__init__(*steps, connected_at=connected_at)
        self.clock = VirtualClock()


class AsyncFakeStream:
    """The same for an AsyncClient. After the last step, a read waits in `hang`, if there is one."""

    def __init__(
        self, stream: FakeStream, hang: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self.stream = stream
        self.hang = hang
        self.status_code, self.headers, self.connected_at = (
            stream.status_code,
            stream.headers,
            stream.connected_at,
        )

    async def send(self, request: HTTPRequest, timeouts: Timeouts) -> AsyncFakeStream:
        self.stream.send(request, timeouts)
        return self

    async def read(self, timeout: float | None) -> bytes:
        if self.hang is not None and not self.stream.steps:
            await self.hang()
        return self.stream.read(timeout)

    async def aclose(self) -> None:
        self.stream.close()


def client(
    transport: FakeStream, timeouts: Timeouts | None = None, limits: Limits | None = None
) -> Client:
    return Client(transport, ENDPOINT, timeouts=timeouts, limits=limits)


WHOLE = (delta("A"), delta(" moon"), END, b"")
"""The chunks of a whole answer."""
EVENTS = [TextDelta("A"), TextDelta(" moon")]
"""Its events before `Completed`."""
