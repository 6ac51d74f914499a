"""Pictures from files: what is read, and in which thread."""

from __future__ import annotations

import asyncio
import io
import json
import os
import queue
import sys
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from moondream_transports import AsyncClient, read_image
from moondream_transports import _pictures as pictures
from sansio_moondream import encode_image
from tests.core.pillow import four_corners, saved
from tests.helpers import PIXEL
from tests.transports.adapters import LONGEST_WAIT, Adapter, never
from tests.transports.fakes import ENDPOINT, AsyncFakeStream, JSONFakeStream

LOOPS = [Adapter(name, name, never) for name in ("asyncio", "trio")]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "moon.gif"
    path.write_bytes(PIXEL.data)
    return path


@pytest.mark.parametrize("backend", LOOPS, ids=lambda backend: backend.name)
class TestEventLoop:
    def test_is_not_stopped_by_a_file(self, backend: Adapter, tmp_path: Path) -> None:
        """A pipe has no data until another task has run."""
        pipe = tmp_path / "moon.gif"
        os.mkfifo(pipe)
        other_task, in_time = threading.Event(), list[bool]()
        transport = JSONFakeStream(b'{"caption": "A moon"}', b"")

        def write() -> None:
            in_time.append(other_task.wait(LONGEST_WAIT))
            pipe.write_bytes(PIXEL.data)

        async def ask() -> None:
            await client(transport).caption(image=pipe)

        async def run() -> None:
            other_task.set()

        writer = threading.Thread(target=write)
        writer.start()
        backend.run(lambda: both(backend, ask, run))
        writer.join()
        assert in_time == [True]
        assert json.loads(transport.requests[0].body)["image_url"] == PIXEL.data_url

    def test_a_thread_reads_one_after_the_other(
        self, backend: Adapter, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        threads: list[threading.Thread] = []

        def read(path: Path) -> Any:
            threads.append(threading.current_thread())
            return PIXEL

        monkeypatch.setattr(pictures, "read_image", read)

        async def main() -> None:
            for _ in range(3):
                await client(JSONFakeStream(b'{"caption": ""}', b"")).caption(image=file)

        backend.run(main)
        assert threading.current_thread() not in threads
        # On asyncio the next one may come before the thread is free.
        assert len(set(threads)) <= 2

    def test_does_not_wait_for_a_file_that_is_not_needed(
        self, backend: Adapter, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A pipe may never have a writer: neither a cancelled task nor the loop waits for it."""
        cancels: list[Callable[[], object]] = []
        ended, in_time = threading.Event(), queue.Queue[bool]()

        def read(path: Path) -> Any:
            cancels[0]()
            in_time.put(ended.wait(LONGEST_WAIT))
            return PIXEL

        monkeypatch.setattr(pictures, "read_image", read)

        async def main() -> None:
            asking = client(JSONFakeStream(b"", b"")).caption(image=file)
            if backend.backend == "trio":
                import trio

                token = trio.lowlevel.current_trio_token()
                with trio.CancelScope() as scope:
                    cancels.append(lambda: token.run_sync_soon(scope.cancel))
                    await asking
            else:
                loop, task = asyncio.get_running_loop(), asyncio.ensure_future(asking)
                cancels.append(lambda: loop.call_soon_threadsafe(task.cancel))
                await asyncio.wait([task])
                assert task.cancelled()

        backend.run(main)
        ended.set()
        assert in_time.get(timeout=LONGEST_WAIT)

    def test_an_error_of_the_thread_is_raised(self, backend: Adapter, tmp_path: Path) -> None:
        async def main() -> None:
            with pytest.raises(FileNotFoundError):
                await client(JSONFakeStream(b"", b"")).caption(image=tmp_path / "none")

        backend.run(main)


def test_a_thread_without_another_file_ends(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[threading.Thread] = []

    def read(path: Path) -> Any:
        threads.append(threading.current_thread())
        return PIXEL

    monkeypatch.setattr(pictures, "read_image", read)
    asyncio.run(client(JSONFakeStream(b'{"caption": ""}', b"")).caption(image=file))
    threads[0].join(LONGEST_WAIT)
    assert not threads[0].is_alive()


def client(transport: JSONFakeStream) -> AsyncClient:
    return AsyncClient(AsyncFakeStream(transport), ENDPOINT)


async def both(backend: Adapter, *tasks: Callable[[], Coroutine[Any, Any, None]]) -> None:
    if backend.backend == "trio":
        import trio

        async with trio.open_nursery() as nursery:
            for task in tasks:
                nursery.start_soon(task)
    else:
        await asyncio.gather(*(task() for task in tasks))


class TestReadImage:
    def test_paths_and_files(self, file: Path) -> None:
        assert read_image(file) == read_image(str(file)) == PIXEL
        with file.open("rb") as opened:
            assert read_image(opened) == PIXEL
        assert read_image(io.BytesIO(PIXEL.data)) == PIXEL

    @pytest.mark.parametrize(
        "file", [io.StringIO("GIF87a"), b"GIF87a", None], ids=["text", "bytes", "none"]
    )
    def test_what_is_no_file(self, file: Any) -> None:
        words = f"should be a path, or open in binary mode, not a {type(file).__name__}$"
        with pytest.raises(TypeError, match=words):
            read_image(file)

    def test_other_formats_are_converted(self, tmp_path: Path) -> None:
        image = four_corners()
        image.save(tmp_path / "moon.bmp")
        assert read_image(tmp_path / "moon.bmp") == encode_image(image)
        assert read_image(tmp_path / "moon.bmp", quality=50) == encode_image(image, quality=50)

    def test_limits(self, tmp_path: Path) -> None:
        four_corners().save(tmp_path / "moon.png")
        assert read_image(tmp_path / "moon.png", max_side=64) == encode_image(
            four_corners(), max_side=64
        )
        with pytest.raises(ValueError, match=r"moon\.png: max_side should be a whole number"):
            read_image(tmp_path / "moon.png", max_side=0)

    def test_errors_name_the_file(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="^the file: Pillow cannot open the picture: "):
            read_image(io.BytesIO(b"no picture"))
        path = tmp_path / "moon.png"
        path.write_bytes(
            saved(Image.new("L", (20_000, 1)), "PNG").replace(b"\0\0\x4e\x20", b"\x7f" * 4)
        )
        with pytest.raises(
            ValueError, match=r"moon\.png: the picture has 2139062143 x 1 pixels, m"
        ):
            read_image(path)

    def test_without_pillow(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        four_corners().save(tmp_path / "moon.bmp")
        monkeypatch.setitem(sys.modules, "PIL", None)
        with pytest.raises(ValueError, match=r"moon\.bmp: it is no JPEG, .*\[images\]'"):
            read_image(tmp_path / "moon.bmp")
