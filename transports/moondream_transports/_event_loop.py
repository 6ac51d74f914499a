"""The one place that knows which event loops there are, for what no HTTP library does: asyncio and
trio.

An event loop that is running was imported, so it is looked for only among the modules that are.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

_closing: set[object] = set()  # asyncio holds its tasks only weakly


def in_trio() -> bool:
    """Whether trio runs the caller; else it is asyncio, if anything does."""
    trio = sys.modules.get("trio")
    return trio is not None and trio.lowlevel.in_trio_run()


async def sleep(seconds: float) -> None:
    """Let others run meanwhile, for 0 seconds too."""
    module = sys.modules["trio" if in_trio() else "asyncio"]
    await module.sleep(seconds)


class Flag:
    """A `threading.Event` for tasks of one loop: waiting for it is a sleep that another task can
    end.
    """

    def __init__(self) -> None:
        self._event: Any = sys.modules["trio" if in_trio() else "asyncio"].Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self, seconds: float) -> None:
        """Until it is set, for so many seconds at most."""
        if in_trio():
            with sys.modules["trio"].move_on_after(seconds):
                await self._event.wait()
        else:
            with suppress(TimeoutError):
                async with sys.modules["asyncio"].timeout(seconds):
                    await self._event.wait()


def close_soon(aclose: Callable[[], Awaitable[None]]) -> None:
    """Call it in a task of the running loop.

    Where none is running, the connection went with the loop that it belonged to.
    """

    async def close() -> None:
        with suppress(Exception):
            await aclose()

    if in_trio():
        sys.modules["trio"].lowlevel.spawn_system_task(close)
    elif (asyncio := sys.modules.get("asyncio")) is not None:
        with suppress(RuntimeError):
            loop = asyncio.get_running_loop()
            coroutine: Coroutine[Any, Any, None] = close()
            task = loop.create_task(coroutine)
            _closing.add(task)
            task.add_done_callback(_closing.discard)
