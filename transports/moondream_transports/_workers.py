"""Threads and tasks that run beside their owner: a pair, as in `_concurrency.py`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import copy_context
from typing import Any

from ._concurrency import AsyncFlag, async_call_soon, in_trio

_running: set[object] = set()  # asyncio holds its tasks only weakly


class Worker:
    """Run a function in a thread of its own, beside its owner.

    Args:
        function: that is run. It should raise nothing.
        interrupt: ends what the function waits for. A thread cannot be cancelled.
        close: that is called after the function. It should raise nothing.
    """

    def __init__(
        self,
        function: Callable[[], object],
        interrupt: Callable[[], object],
        close: Callable[[], object] | None = None,
    ) -> None:
        from threading import Thread  # many programs have none

        def run() -> None:
            try:
                function()
            finally:
                if close is not None:
                    close()

        self._interrupt = interrupt
        self._thread = Thread(target=copy_context().run, args=(run,), daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """Interrupt the function, and do not wait for its end. A finalizer may call this."""
        self._interrupt()

    def wait(self, seconds: float | None = None) -> bool:
        """Return True when the function has ended, or False after that time."""
        self._thread.join(seconds)
        return not self._thread.is_alive()


class AsyncWorker:
    """Run a function in a task of its own, beside its owner.

    Args:
        function: that is run. It should raise nothing but the cancellation.
        interrupt: for the sync twin. A task is cancelled.
        close: that is awaited after the function, and is not cancelled. It should raise nothing.
    """

    _is_cancelled = False
    _is_closing = False

    def __init__(
        self,
        function: Callable[[], Coroutine[Any, Any, object]],
        interrupt: Callable[[], object],
        close: Callable[[], Coroutine[Any, Any, object]] | None = None,
    ) -> None:
        async def run() -> None:
            try:
                # A task throws a GeneratorExit of the user's code, which the function has handled,
                # at each level. asyncio would log it.
                with suppress(GeneratorExit):
                    await function()
            finally:
                self._is_closing = True
                if close is not None:
                    await close()

        self._is_done = AsyncFlag()
        self._call_soon = async_call_soon()
        if in_trio():
            trio = sys.modules["trio"]
            scope = trio.CancelScope()
            self._cancel: Callable[[], object] = scope.cancel

            async def run_in_scope() -> None:
                with scope:
                    await run()
                self._is_done.set()

            trio.lowlevel.spawn_system_task(run_in_scope, context=copy_context())
        else:
            loop = sys.modules["asyncio"].get_running_loop()
            task = loop.create_task(run())
            self._cancel = task.cancel
            _running.add(task)
            task.add_done_callback(self._note_end)

    def cancel(self) -> None:
        """Cancel the function, and do not wait for its end. A finalizer may call this.

        Further calls do nothing, so what the function closes at its end is not cancelled.
        """
        if not self._is_cancelled:
            self._is_cancelled = True
            with suppress(RuntimeError):  # the event loop is closed, and the task went with it
                self._call_soon(self._cancel_function)

    async def wait(self, seconds: float | None = None) -> bool:
        """Return True when the function has ended, or False after that time."""
        return await self._is_done.wait(seconds)

    def _cancel_function(self) -> None:
        if not self._is_closing:  # the function may have ended since the call of `cancel`
            self._cancel()

    def _note_end(self, task: object) -> None:
        _running.discard(task)
        self._is_done.set()
