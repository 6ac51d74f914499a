"""The async twin of the model, on asyncio and trio."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from moondream_transports import sdk as md
from moondream_transports._concurrency import async_sleep
from sansio_moondream import (
    APIError,
    encode_image,
)
from tests.helpers import END, delta
from tests.transports.sdk.service import CALLS, IMAGE, STREAMED, TEXT, ours, settled


def on_each_loop(main: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(main(), debug=True)  # type: ignore[arg-type]
    pytest.importorskip("trio").run(main)


def test_the_async_twin(service: Any):
    sync = ours(service)
    whole = {name: getattr(sync, name)(*args, **options) for name, (args, options) in CALLS.items()}
    streamed = {
        name: settled(getattr(sync, name)(*args, **options, stream=True))
        for name, (args, options) in CALLS.items()
        if name in STREAMED
    }

    async def main() -> None:
        async with md.avl(api_key="key", endpoint=service.url) as model:
            for name, (args, options) in CALLS.items():
                assert await getattr(model, name)(*args, **options) == whole[name]
            for name in STREAMED:
                args, options = CALLS[name]
                output = await getattr(model, name)(*args, **options, stream=True)
                if isinstance(output, AsyncGenerator):
                    assert [update async for update in output] == streamed[name]
                else:
                    parts = [part async for part in output[TEXT[name]]]
                    assert {**output, TEXT[name]: parts} == streamed[name]
            assert (
                await model.caption(model.encode_image(IMAGE), "short", settings={"max_tokens": 9})
                == whole["caption"]
            )

    on_each_loop(main)


def test_leaving_an_async_stream(service: Any):
    service.answer, service.pause = (200, delta("The")), threading.Event()

    async def main() -> None:
        model = md.avl(endpoint=service.url)
        for leave in ("aclose", "athrow"):
            answer: Any = (await model.query(IMAGE, "?", stream=True))["answer"]
            assert await anext(answer) == "The"
            if leave == "aclose":
                await answer.aclose()
                assert [part async for part in answer] == []
            else:
                with pytest.raises(KeyError, match="mine"):
                    await answer.athrow(KeyError("mine"))

    on_each_loop(main)


def test_dropping_an_async_stream_closes_the_connection(service: Any):
    service.answer, service.pause = (200, delta("The")), threading.Event()

    async def main() -> None:
        answer: Any = (await md.avl(endpoint=service.url).query(IMAGE, "?", stream=True))["answer"]
        assert await anext(answer) == "The"
        stream = answer._stream
        assert "open" in repr(stream)
        del answer  # no ResourceWarning, as for an async generator
        for _ in range(1000):
            await async_sleep(0.01)
            if "open" not in repr(stream):
                return
        raise AssertionError("the stream is still open")

    on_each_loop(main)


def test_async_faults(service: Any):
    service.answer = 200, delta("The") + b'data: {"error": "no"}\n\n' + END

    async def main() -> None:
        answer: Any = (await md.avl(endpoint=service.url).query(IMAGE, "?", stream=True))["answer"]
        assert await anext(answer) == "The"
        with pytest.raises(APIError, match="no"):
            await anext(answer)
        with pytest.raises(StopAsyncIteration):
            await anext(answer)

    on_each_loop(main)


def test_pictures_from_files(service: Any, tmp_path: Path):
    path = tmp_path / "moon.png"
    IMAGE.save(path)

    async def main() -> None:
        async with md.avl(endpoint=service.url) as model:
            await model.query(path, "?")
            await model.caption(path)
            await model.segment(path, "moon")
            await model.detect(path, "moon")
            await model.point(path, "moon")
            await model.caption(model.encode_image(path))

    on_each_loop(main)
    sent = {body["image_url"] for _, _, body in service.asked}
    assert sent == {encode_image(path.read_bytes()).data_url}
    assert len(service.asked) == 12
