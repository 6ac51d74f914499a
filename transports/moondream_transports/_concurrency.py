"""Primitives that cannot be generated: each is a pair, `AsyncX` or `async_x` and its sync twin.

The async ones work on asyncio and trio. A running event loop has been imported, so its module is
taken from `sys.modules`, and neither library is imported here.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

if TYPE_CHECKING:
    from concurrent.futures import Future

A = TypeVar("A")
T = TypeVar("T")
_CallSoon: TypeAlias = Callable[[Callable[[], object]], object]

_running: set[object] = set()  # asyncio holds its tasks only weakly


def in_trio() -> bool:
    """Return whether trio runs the caller. Otherwise it is asyncio, if any event loop does."""
    # Another thread may be importing trio at this moment: then it has no `lowlevel`.
    lowlevel = getattr(sys.modules.get("trio"), "lowlevel", None)
    return lowlevel is not None and lowlevel.in_trio_run()


def sleep(seconds: float) -> None:
    """Sleep. For 0 seconds it returns at once."""
    if seconds:
        time.sleep(seconds)


async def async_sleep(seconds: float) -> None:
    """Sleep. Other tasks run meanwhile, for 0 seconds too."""
    module = sys.modules["trio" if in_trio() else "asyncio"]
    await module.sleep(seconds)


def in_thread(function: Callable[[A], T], argument: A) -> T:
    """Call a function. The caller is a thread."""
    return function(argument)


async def async_in_thread(function: Callable[[A], T], argument: A) -> T:
    """Call a function that waits for a file in a thread.

    Neither cancellation nor the end of the event loop waits for it: a pipe may have no writer.
    """
    if in_trio():
        trio = sys.modules["trio"]
        result: T = await trio.to_thread.run_sync(function, argument, abandon_on_cancel=True)
    else:
        from concurrent.futures import Future  # slow imports, and many programs read no files

        from ._threads import call_in_thread

        # `asyncio.to_thread` has a thread that the end of the loop, and of Python, waits for.
        outcome: Future[T] = Future()
        outcome.set_running_or_notify_cancel()
        call_in_thread(partial(_call_for, function, argument, outcome))
        result = await sys.modules["asyncio"].wrap_future(outcome)
    return result


def _call_for(function: Callable[[A], T], argument: A, outcome: Future[T]) -> None:
    try:
        outcome.set_result(function(argument))
    except BaseException as error:  # noqa: BLE001 - it is raised in the task that waits
        outcome.set_exception(as_failure(error))
        del outcome  # it has the error, whose traceback has this frame


def as_failure(error: BaseException) -> BaseException:
    """Return an error of the user's code as one that may be raised anywhere.

    StopIteration and StopAsyncIteration, of a `next` or `anext` without a default, become a
    RuntimeError. They would end a loop silently, and no future of asyncio takes the first.
    """
    if not isinstance(error, StopIteration | StopAsyncIteration):
        return error
    failure = RuntimeError(f"{type(error).__name__} was raised outside of an iterator")
    failure.__cause__ = error
    return failure


def shielded(function: Callable[[], T]) -> T:
    """Call a function. A thread cannot be cancelled."""
    return function()


async def async_shielded(function: Callable[[], Awaitable[T]]) -> T:
    """Await what has to be closed, in a task that may have been cancelled."""
    if in_trio():  # whose cancellation lasts; that of asyncio is raised once
        with sys.modules["trio"].CancelScope(shield=True):
            return await function()
    return await function()


def require_sleep(name: str, sleep: object) -> None:
    """Raise TypeError for what would not wait: an async function, or no function."""
    from inspect import iscoroutinefunction  # a slow import

    if not callable(sleep) or iscoroutinefunction(sleep):
        raise TypeError(f"{name} should be a function that waits, not {sleep!r}")


def require_async_sleep(name: str, sleep: object) -> None:
    """Raise TypeError for what would stop the event loop, such as `time.sleep`, or no function.

    A function of the user's own may be any: a lambda may return an awaitable.
    """
    from inspect import isbuiltin, iscoroutinefunction, ismethod  # a slow import

    is_async = iscoroutinefunction(sleep) or not (isbuiltin(sleep) or ismethod(sleep))
    if not callable(sleep) or not is_async:
        raise TypeError(f"{name} should be an async function that waits, not {sleep!r}")


def call_soon() -> _CallSoon:
    """Return a function that calls another at once. The async twin has it called by its loop."""
    return lambda function: function()


def async_call_soon() -> _CallSoon:
    """Return a function that calls another in this event loop, from any thread or signal handler.

    It raises RuntimeError if the event loop is closed.
    """
    if in_trio():
        return cast("_CallSoon", sys.modules["trio"].lowlevel.current_trio_token().run_sync_soon)
    return cast("_CallSoon", sys.modules["asyncio"].get_running_loop().call_soon_threadsafe)


class Flag:
    """Wake one thread from another.

    Unlike `threading.Event`, it may be set in a finalizer or a signal handler.
    """

    def __init__(self) -> None:
        import threading  # many programs never wait

        self._condition = threading.Condition()  # its lock may be taken again by its thread
        self._is_set = False

    def set(self) -> None:
        """End the wait, and all later ones until `clear`."""
        with self._condition:
            self._is_set = True
            self._condition.notify_all()

    def clear(self) -> None:
        """Let later calls of `wait` wait again."""
        self._is_set = False

    def wait(self, seconds: float | None = None) -> bool:
        """Return True when the flag is set, or False after that time. None is no limit."""
        with self._condition:
            return self._condition.wait_for(lambda: self._is_set, seconds)


class AsyncFlag:
    """Wake one task from another in the same event loop."""

    def __init__(self) -> None:
        self._make_event: Any = sys.modules["trio" if in_trio() else "asyncio"].Event
        self._event = self._make_event()

    def set(self) -> None:
        """End the wait, and all later ones until `clear`."""
        self._event.set()

    def clear(self) -> None:
        """Let later calls of `wait` wait again."""
        if self._event.is_set():
            self._event = self._make_event()  # trio's cannot be cleared

    async def wait(self, seconds: float | None = None) -> bool:
        """Return True when the flag is set, or False after that time. None is no limit."""
        event = self._event
        if event.is_set():
            return True
        if seconds is None:
            await event.wait()
        elif in_trio():
            with sys.modules["trio"].move_on_after(seconds):
                await event.wait()
        else:
            with suppress(TimeoutError):
                async with sys.modules["asyncio"].timeout(seconds):
                    await event.wait()
        return bool(event.is_set())


def close_soon(close: Callable[[], object]) -> None:
    """Close from a finalizer, where the async twin cannot wait for it.

    While the interpreter ends, nothing is done. The process closes its connections. Threads have
    stopped where they were, perhaps with a lock that this would wait for. Libraries are not safe
    any more: datetime.timedelta, which httpx calls, crashes Python 3.13 then.
    """
    if not sys.is_finalizing():
        close()


def async_close_soon(aclose: Callable[[], Awaitable[None]]) -> None:
    """Call `aclose` in a new task of the running event loop, from where nothing can be awaited.

    Without a running loop nothing is done: the connection went with the loop that it belonged to.
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
            _running.add(task)
            task.add_done_callback(_running.discard)
