"""A model that answers when a test says so.

The source of a video runs in a thread. So a test can be written as its generator: it yields frames,
waits until the model is asked about one, and releases the answer.
"""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

from moondream_transports import AsyncClient, Client, Timeouts
from moondream_transports.relay import Answer, Latest, latest
from sansio_moondream import ConnectionLost, HTTPRequest, MoondreamError, QueryRequest
from tests.helpers import END, delta
from tests.transports.adapters import LONGEST_WAIT, Adapter, never
from tests.transports.fakes import ENDPOINT

BACKENDS = [Adapter(name, name, never) for name in ("sync", "asyncio", "trio")]
Step = bytes | MoondreamError


def ask(frame: object) -> QueryRequest:
    """Make a request whose question is the frame."""
    return QueryRequest(question=str(frame))


class Model:
    """A transport of both kinds. Its answers are the questions, as soon as they are released.

    Attributes:
        asked: the questions, in their order.
        closed: the questions whose streams were closed, in their order.
        heads_come: clear it, and no head of an answer comes.
    """

    def __init__(self, loop: Adapter) -> None:
        self.loop = loop
        self.asked: list[str] = []
        self.closed: list[str] = []
        self.heads_come = threading.Event()
        self.heads_come.set()
        self._steps: dict[str, list[Step]] = {}
        self._changed = threading.Condition()

    def latest(self, frames: Any, request: Any = ask, **options: Any) -> Any:
        """Return the answers, which look like async ones."""
        if self.loop.is_async:
            return latest(AsyncClient(_AsyncTransport(self), ENDPOINT), frames, request, **options)
        client = Client(_Transport(self), ENDPOINT)
        return LatestAsAsync(latest(client, frames, request, **options))

    def release(self, frame: object, *steps: Step) -> None:
        """Let an answer go on with these chunks and faults, or by default to its end."""
        with self._changed:
            steps = steps or (delta(str(frame)), END, b"")
            self._steps.setdefault(str(frame), []).extend(steps)
            self._changed.notify_all()

    def ask(self, request: HTTPRequest) -> str:
        with self._changed:
            question = str(json.loads(request.body)["question"])
            self.asked.append(question)
            self._changed.notify_all()
        return question

    def close(self, question: str) -> None:
        with self._changed:
            self.closed.append(question)
            self._changed.notify_all()

    def has_step(self, question: str) -> bool:
        return bool(self._steps.get(question))

    def step(self, question: str) -> bytes:
        step = self._steps[question].pop(0)
        if isinstance(step, MoondreamError):
            raise step
        return step

    def wait_until(self, is_so: Callable[[], object]) -> None:
        """Wait in a thread until a condition is met, after the next change of the model."""
        with self._changed:
            assert self._changed.wait_for(is_so, LONGEST_WAIT), (self.asked, self.closed)

    def wait_until_asked(self, *frames: object) -> None:
        self.wait_until(lambda: {str(frame) for frame in frames} <= set(self.asked))

    def wait_until_closed(self, *frames: object) -> None:
        self.wait_until(lambda: {str(frame) for frame in frames} <= set(self.closed))


class _Stream:
    status_code = 200
    headers: Sequence[tuple[str, str]] = (("Content-Type", "text/event-stream"),)
    connected_at = None

    def __init__(self, model: Model, request: HTTPRequest) -> None:
        self.model = model
        self.question = model.ask(request)
        self.is_closed = False

    def read(self, timeout: float | None) -> bytes:
        self.model.wait_until(lambda: self.is_closed or self.model.has_step(self.question))
        if self.is_closed:
            raise ConnectionLost("closed by another thread")
        return self.model.step(self.question)

    def close(self) -> None:
        self.is_closed = True
        self.model.close(self.question)


class _Transport:
    def __init__(self, model: Model) -> None:
        self.model = model

    def send(self, request: HTTPRequest, timeouts: Timeouts) -> _Stream:
        stream = _Stream(self.model, request)
        assert self.model.heads_come.wait(LONGEST_WAIT)
        return stream


class _AsyncStream(_Stream):
    async def read(self, timeout: float | None) -> bytes:  # type: ignore[override]
        await self.model.loop.until(lambda: self.model.has_step(self.question), self.question)
        return self.model.step(self.question)

    async def aclose(self) -> None:
        self.close()


class _AsyncTransport:
    def __init__(self, model: Model) -> None:
        self.model = model

    async def send(self, request: HTTPRequest, timeouts: Timeouts) -> _AsyncStream:
        stream = _AsyncStream(self.model, request)
        await self.model.loop.until(self.model.heads_come.is_set, "the head")
        return stream


class LatestAsAsync:
    """A `Latest` that looks like an `AsyncLatest`."""

    def __init__(self, sync: Latest[Any, Any]) -> None:
        self.sync = sync

    def __aiter__(self) -> AsyncIterator[Answer[Any, Any]]:
        return self

    async def __anext__(self) -> Answer[Any, Any]:
        try:
            return next(self.sync)
        except StopIteration:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        self.sync.close()

    async def __aenter__(self) -> LatestAsAsync:
        self.sync.__enter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        self.sync.__exit__(*error)


def seen(answer: Any) -> tuple[Any, Any, int]:
    return answer.frame, getattr(answer.result, "text", None), answer.skipped


class Frame:
    def __init__(self, number: int) -> None:
        self.number = number

    def __str__(self) -> str:
        return str(self.number)


class Source:
    """An iterator that can be closed. It gives the second frame when the first one was asked."""

    def __init__(self, frames: Any, model: Model) -> None:
        self.frames = iter(frames)
        self.model = model
        self.count = 0
        self.is_closed = False

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        self.count += 1
        if self.count == 2:
            self.model.wait_until_asked(1)
        return next(self.frames)

    def close(self) -> None:
        self.is_closed = True
