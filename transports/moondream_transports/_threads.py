"""Threads that run one function after another.

1. To start a thread for each function took a tenth of the processor time of a bulk run, and its
   starter waits for it. So a thread waits a second for another function before it ends.
2. They are daemons: nothing waits for their functions where the program ends.
3. A process that was forked has none of the threads of its parent.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TypeAlias

_Functions: TypeAlias = SimpleQueue[Callable[[], object]]

_IDLE_SECONDS = 1.0

_idle: list[_Functions] = []  # one for each thread that waits


def call_in_thread(function: Callable[[], object]) -> None:
    """Have a function called in a thread, and do not wait for it. It should raise nothing."""
    functions: _Functions
    try:
        functions = _idle.pop()
    except IndexError:
        functions = SimpleQueue()
        Thread(target=_run, args=(functions,), daemon=True).start()
    functions.put(function)


def _run(functions: _Functions) -> None:
    while True:
        try:
            function = functions.get(timeout=_IDLE_SECONDS)
        except Empty:
            try:
                _idle.remove(functions)
            except ValueError:  # somebody has just taken it, and a function comes
                continue
            return
        function()
        del function  # it may hold what is large
        _idle.append(functions)


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_idle.clear)
