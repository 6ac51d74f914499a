"""Programs that the load tests run in processes of their own, and how they are asked.

Each prints its port. Then it answers each line of its standard input by one line of JSON, and it
ends with the end of its input.
"""

from __future__ import annotations

import asyncio
import json
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
LONGEST = 120.0  # seconds for an answer
Answers = dict[str, Callable[[], Any]]


class Program:
    """A running program, as its parent sees it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self._process = process
        self.port = int(process.stdout.readline())

    def ask(self, what: str) -> Any:
        """Return what the program answers."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        answered, _, _ = select.select([self._process.stdout], [], [], LONGEST)
        assert answered, f"the program did not answer {what!r} in {LONGEST:g} seconds"
        return json.loads(self._process.stdout.readline())


@contextmanager
def program(module: str, *arguments: str) -> Iterator[Program]:
    """Run a module of this folder."""
    command = [sys.executable, "-m", f"tests.transports.relay.{module}", *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdin is not None
        try:
            yield Program(process)
        finally:
            process.stdin.close()
            try:
                process.wait(30)
            finally:
                process.kill()


async def obey(port: int, answers: Answers) -> None:
    """Print the port, and answer the parent until it closes the pipe."""

    async def answer(question: str) -> str:
        return json.dumps(answers[question]())

    def read() -> None:
        print(port, flush=True)  # noqa: T201
        for line in sys.stdin:
            future = asyncio.run_coroutine_threadsafe(answer(line.strip()), loop)
            print(future.result(), flush=True)  # noqa: T201

    loop = asyncio.get_running_loop()
    await asyncio.to_thread(read)
