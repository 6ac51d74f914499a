"""Runs over items without pictures, whose transport answers by their questions."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from moondream_transports import AsyncClient, RetryPolicy, Timeouts
from moondream_transports.bulk import Item, Summary, Template, run_bulk
from sansio_moondream import Endpoint, HTTPRequest

TEMPLATE = Template("query", question="{id}")
Step = bytes | int | BaseException


def whole(text: str, **fields: Any) -> bytes:
    """The body of a complete answer."""
    return json.dumps({"request_id": "r", "answer": text} | fields).encode()


def echo(question: str) -> Step:
    """An answer by which its item can be known."""
    return whole(f"about {question}")


class Answers:
    """A transport. `answer` gives a body, a status, or an error for each question."""

    def __init__(
        self,
        answer: Callable[[str], Step | Awaitable[Step]] = echo,
        headers: Sequence[Any] = (),
    ) -> None:
        self.answer = answer
        self.headers = headers
        self.asked: list[str] = []

    async def send(self, request: HTTPRequest, timeouts: Timeouts) -> AnswerStream:
        body = json.loads(request.body)
        question: str = body.get("question") or body["object"]
        self.asked.append(question)
        answer = self.answer(question)
        step = await answer if isinstance(answer, Awaitable) else answer
        if isinstance(step, BaseException):
            raise step
        return AnswerStream(step, self.headers)


class AnswerStream:
    connected_at = None

    def __init__(self, step: bytes | int, headers: Sequence[Any]) -> None:
        self.status_code = step if isinstance(step, int) else 200
        self.headers = headers or [("Content-Type", "application/json")]
        self.chunks = [b"{}" if isinstance(step, int) else step]

    async def read(self, timeout: float | None) -> bytes:
        return self.chunks.pop() if self.chunks else b""

    async def aclose(self) -> None: ...


async def wait_until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it took too long"
        await asyncio.sleep(0.005)


class Gate:
    """Answers a question when it may. `wait_for` waits until so many are being asked."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.opened = threading.Event()

    async def __call__(self, question: str) -> Step:
        self.begun.release()
        await wait_until(self.opened.is_set)
        return echo(question)

    def wait_for(self, count: int) -> None:
        for _ in range(count):
            assert self.begun.acquire(timeout=30)


def items(*ids: Any) -> list[Item]:
    return [Item(str(name)) for name in ids]


def run(
    transport: Answers,
    given: Iterable[Item],
    output: Path,
    *,
    retries: RetryPolicy | None = None,
    template: Template = TEMPLATE,
    **arguments: Any,
) -> Summary:
    client = AsyncClient(transport, Endpoint("http://localhost:2020/v1"), retries=retries)
    return run_with(client, given, template, output, **arguments)


def run_with(client: AsyncClient, *given: Any, **arguments: Any) -> Summary:
    """Run with a client, in an event loop of its own."""

    async def main() -> Summary:
        return await run_bulk(client, *given, **arguments)

    return asyncio.run(main())


def read(*files: Path) -> list[dict[str, Any]]:
    """The rows of JSON lines."""
    return [json.loads(line) for file in files for line in file.read_bytes().splitlines()]


def answers(*files: Path) -> dict[str, str]:
    """The answers by the ids, each of which comes once."""
    rows = read(*files)
    found = {row["id"]: row["answer"] for row in rows}
    assert len(found) == len(rows)
    return found
