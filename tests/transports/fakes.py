"""Transports that do what they are told, without any network."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from moondream_transports import Timeouts
from sansio_moondream import Endpoint, HTTPRequest
from tests.helpers import END, delta

Step = bytes | BaseException | Callable[[], bytes]
ENDPOINT = Endpoint(url="http://localhost:2020/v1", api_key="key-that-must-not-leak")


class FakeStream:
    """A transport, and its only response: each read takes the next step, which is bytes or an
    exception.
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


class AsyncFakeStream:
    """The same for an AsyncClient. What waits, if a step is `hang`, waits until it is cancelled."""

    def __init__(self, told: FakeStream, hang: Callable[[], Awaitable[None]] | None = None) -> None:
        self.told = told
        self.hang = hang
        self.status_code, self.headers, self.connected_at = (
            told.status_code,
            told.headers,
            told.connected_at,
        )

    async def send(self, request: HTTPRequest, timeouts: Timeouts) -> AsyncFakeStream:
        self.told.send(request, timeouts)
        return self

    async def read(self, timeout: float | None) -> bytes:
        if self.hang is not None and not self.told.steps:
            await self.hang()
        return self.told.read(timeout)

    async def aclose(self) -> None:
        self.told.close()


WHOLE = (delta("A"), delta(" moon"), END, b"")
