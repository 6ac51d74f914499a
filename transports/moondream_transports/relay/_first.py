"""Several functions at once, of which the first to return ends the others."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from moondream_transports._concurrency import in_trio

AsyncFunction: TypeAlias = Callable[[], Coroutine[Any, Any, object]]


class AsyncFirst:
    """Run functions, each in a task of its own, until one returns or raises. Use it once."""

    _cancel: Callable[[], object] | None = None
    _is_cancelled = False

    def cancel(self) -> None:
        """Cancel all functions, and have `run` return."""
        self._is_cancelled = True
        if self._cancel is not None:
            self._cancel()

    async def run(self, *functions: AsyncFunction) -> None:
        """Return when one has returned, and the others have ended by their cancellation.

        Raises what the first one raised, or the cancellation of the caller.
        """
        if self._is_cancelled:
            return
        await (self._run_in_trio if in_trio() else self._run_in_asyncio)(functions)

    async def _run_in_trio(self, functions: tuple[AsyncFunction, ...]) -> None:
        errors: list[Exception] = []

        async def run(function: AsyncFunction) -> None:
            try:
                await function()
            except Exception as error:  # noqa: BLE001 - it is raised below, without a group
                errors.append(error)
            nursery.cancel_scope.cancel()

        async with sys.modules["trio"].open_nursery() as nursery:
            self._cancel = nursery.cancel_scope.cancel
            for function in functions:
                nursery.start_soon(run, function)
        for error in errors:
            raise error

    async def _run_in_asyncio(self, functions: tuple[AsyncFunction, ...]) -> None:
        asyncio = sys.modules["asyncio"]
        loop = asyncio.get_running_loop()
        tasks: list[Any] = [loop.create_task(function()) for function in functions]

        running = list(tasks)

        def cancel() -> None:
            while running:  # each once: a second time would cancel what a task closes at its end
                running.pop().cancel()

        self._cancel = cancel
        when, cancelled = "FIRST_COMPLETED", None
        while not all(task.done() for task in tasks):
            try:
                await asyncio.wait(tasks, return_when=when)
            except asyncio.CancelledError as error:
                cancelled = error
            when = "ALL_COMPLETED"
            cancel()
        failures = [task.exception() for task in tasks if not task.cancelled()]
        for failure in (cancelled, *failures):
            if failure is not None:
                raise failure
