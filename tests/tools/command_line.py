"""Run the command line, in this process or in a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from moondream_transports.conformance._faults import WORDS
from sansio_moondream.recording import Chunk, Ending, Recording, RecordingHeader

SHIPPED = files("moondream_tools") / "recordings"


TEXT = "".join(WORDS)


class Ran:
    """The outcome of a run."""

    def __init__(self, status: int, capsys: pytest.CaptureFixture[str]) -> None:
        self.status = status
        self.out, self.err = capsys.readouterr()


def replayed(
    tmp_path: Path,
    *chunks: bytes,
    skill: str = "query",
    ending: Ending | None = None,
    kind: str = "text/event-stream",
) -> str:
    """Write a recording with a body of these chunks. Returns the name of its file."""
    header = RecordingHeader("POST", f"/v1/{skill}", (), {}, 200, (("content-type", kind),))
    path = tmp_path / "recording.jsonl"
    path.write_bytes(
        Recording(header, tuple(Chunk(0, chunk) for chunk in chunks), ending or Ending(0)).encode()
    )
    return str(path)


def program(*arguments: str) -> list[str]:
    return [sys.executable, "-W", "error", "-m", "moondream_tools.cli", *arguments]


def in_a_terminal(command: list[str], environment: dict[str, str]) -> str:
    """What a program shows when its output is a terminal."""
    terminal, its_side = pty.openpty()
    env = {
        name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TERM")
    } | environment
    with subprocess.Popen(
        command, stdout=its_side, stderr=its_side, stdin=subprocess.DEVNULL, env=env
    ) as process:
        os.close(its_side)
        shown = b""
        try:
            while data := os.read(terminal, 65536):
                shown += data
        except OSError:  # how Linux says that the other side has closed
            pass
        os.close(terminal)
    assert process.returncode == 0, shown
    return shown.decode()
