"""`latest`: errors of the user's code that could pass for the end of the video."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.transports.adapters import Adapter

from .videos import BACKENDS, Model, ask


@pytest.mark.parametrize("loop", BACKENDS, ids=lambda loop: loop.name)
@pytest.mark.parametrize("where", ["source", "request"])
@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (StopIteration, RuntimeError),
        (StopAsyncIteration, RuntimeError),
        (SystemExit, SystemExit),
        (GeneratorExit, GeneratorExit),
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_would_end_a_loop_or_a_thread_silently_is_raised(
    loop: Adapter,
    where: str,
    error: type[BaseException],
    raised: type[BaseException],
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = Model(loop)

    def frames() -> Iterator[int]:
        yield 1
        if where == "source":
            model.wait_until_asked(1)
            raise error

    def request(frame: int) -> Any:
        if where == "request":
            raise error
        return ask(frame)

    async def main() -> None:
        model.release(1)
        async for _ in model.latest(frames(), request):
            pass

    with pytest.raises(BaseException) as caught:  # noqa: PT011 - not each is an Exception
        loop.run(main)
    assert type(caught.value) is raised
    del caught
    gc.collect()  # asyncio logs what no task has raised
    assert not caplog.records


def test_a_source_that_is_cancelled_by_somebody_else_is_no_end() -> None:
    loop = BACKENDS[1]
    model = Model(loop)

    async def frames() -> AsyncIterator[int]:
        yield 1
        raise asyncio.CancelledError

    async def main() -> None:
        model.release(1)
        with pytest.raises(asyncio.CancelledError):
            async for _ in model.latest(frames()):
                pass

    loop.run(main)
