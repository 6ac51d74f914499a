"""Run the servers of the command line as programs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

TIMEOUT = 20.0


class Program:
    """A running `moondream-stream serve` or `record`."""

    def __init__(self, arguments: tuple[object, ...], environment: Mapping[str, str]) -> None:
        command = [
            sys.executable,
            "-W",
            "error",
            "-m",
            "moondream_tools.cli",
            *map(str, arguments),
            "--port",
            "0",
        ]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        assert self.process.stdout is not None and self.process.stderr is not None
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.url = self.process.stdout.readline().strip()
        assert self.url.startswith("http://"), self.stopped()

    @property
    def origin(self) -> str:
        return "/".join(self.url.split("/")[:3])

    @property
    def port(self) -> int:
        return int(self.origin.rpartition(":")[2])

    def wait_for_line(self, *words: str, after: int = 0) -> str:
        """Wait for a line of the log, after the first `after`, that contains all `words`."""
        with self._changed:
            found = self._changed.wait_for(
                lambda: [
                    line for line in self.lines[after:] if all(word in line for word in words)
                ],
                TIMEOUT,
            )
        assert found, (words, self.lines)
        return found[0]

    def stopped(self, how: int = signal.SIGTERM) -> tuple[int, str]:
        """Stop the program by a signal. Returns its exit status and its log."""
        self.process.send_signal(how)
        return self.ended()

    def ended(self) -> tuple[int, str]:
        """Wait for the end of the program. Returns its exit status and its log."""
        status = self.process.wait(TIMEOUT)
        self._reader.join(TIMEOUT)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        return status, "".join(self.lines)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._changed:
                self.lines.append(line)
                self._changed.notify_all()


@contextmanager
def running(*arguments: object, **environment: str) -> Iterator[Program]:
    """Run a program inside a block.

    It must stop properly, with nothing but its log on standard error.
    """
    program = Program(arguments, environment)
    try:
        yield program
    finally:
        was_running = program.process.poll() is None
        status, log = program.stopped() if was_running else program.ended()
        assert not was_running or status == 0, log
        assert "Traceback" not in log, log


def write(folder: Path, name: str, data: bytes) -> Path:
    """Write a file to a folder. Returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    return folder
