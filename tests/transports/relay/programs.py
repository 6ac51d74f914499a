"""Run the programs of the pages as their readers do."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LONGEST_WAIT = 30.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def wait_for(port: int) -> None:
    """Return when a server accepts connections."""
    deadline = time.monotonic() + LONGEST_WAIT
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


@contextmanager
def program(command: list[str], port: int, folder: Path, **environment: str) -> Iterator[None]:
    """Run a server, and stop it as a supervisor does."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_for(port)
        yield
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=LONGEST_WAIT)
        assert "Traceback" not in output, output
    finally:
        process.kill()
        process.communicate()


def uvicorn(name: str, port: int) -> list[str]:
    return [sys.executable, "-m", "uvicorn", f"{name}:app", "--port", str(port)]
