"""What the trials share: servers, programs with a watchdog, and the ways in which a value is shown.

Every test in this folder states the right behaviour for an input that broke something once. The
name of the test says what went wrong.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from moondream_transports.conformance._fault_server import LAST_CHUNK, Peer, chunk, head
from moondream_transports.conformance._secrets import KEY
from tests.helpers import END, delta

__all__ = ["KEY", "PROXY_VARIABLES", "ROOT", "answer", "measured", "ran", "words"]

ROOT = Path(__file__).parents[2]
PROXY_VARIABLES = [
    spelled
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
    for spelled in (name, name.lower())
]


def answer(peer: Peer) -> None:
    """Answer each request of a connection with a whole stream."""
    while True:
        peer.answer(head(), chunk(delta("A moon")), chunk(END), LAST_CHUNK)


def words(error: BaseException | None) -> Iterator[str]:
    """All that an error and its causes say in words and fields. Locals of frames do not count."""
    while error is not None:
        yield f"{error!r} {error} {error.args!r} {vars(error)!r} {getattr(error, '__notes__', '')}"
        headers = getattr(error, "headers", None)
        if headers is not None:
            yield repr(headers.multi_items())
        error = error.__cause__ or error.__context__


class Ran(NamedTuple):
    """How a run of the command line ended: `status` is None where the watchdog ended it."""

    status: int | None
    out: str
    err: str


def ran(
    *arguments: object,
    seconds: float = 10.0,
    memory: int | None = None,
    until_line: bool = False,
    env: dict[str, str] | None = None,
) -> Ran:
    """Run the command line to its end, or kill it after so many seconds.

    Args:
        seconds: what the watchdog allows.
        memory: the most address space that the program may have, in bytes.
        until_line: stop it, by a signal, as soon as it wrote a line to standard output.
        env: added to the environment.
    """
    command = [sys.executable, "-m", "moondream_tools.cli", *map(str, arguments)]
    if memory is not None:
        command = ["sh", "-c", f'ulimit -v {memory // 1024}; exec "$@"', "sh", *command]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(env or {})},
    )
    killed = threading.Event()

    def kill() -> None:
        killed.set()
        process.kill()

    watchdog = threading.Timer(seconds, kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        first = process.stdout.readline() if until_line else ""
        if first:
            process.terminate()
        out, err = process.communicate()
    finally:
        watchdog.cancel()
    return Ran(None if killed.is_set() else process.returncode, first + out, err)


def measured(case: str, size: int, *, seconds: float = 60.0) -> dict[str, Any]:
    """Run a case of `tests.trials.measure` in a process of its own, and give what it measured."""
    command = [sys.executable, "-m", "tests.trials.measure", case, str(size)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


@contextmanager
def environment_of(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Iterator[None]:
    """No proxy in the environment but these."""
    with monkeypatch.context() as patch:
        for name in PROXY_VARIABLES:
            patch.delenv(name, raising=False)
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


def shown_by_rich(value: object) -> str:
    """What `rich.print` shows."""
    rich = pytest.importorskip("rich.console")
    out = io.StringIO()
    rich.Console(file=out, width=10_000).print(value)
    return out.getvalue()


def rich_traceback(value: object) -> str:
    """What rich shows of an exception that passed a frame with this value in a local."""
    rich = pytest.importorskip("rich.traceback")
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        return shown_by_rich(rich.Traceback(show_locals=True, locals_max_string=10_000))


def found_in(texts: Collection[str] | Iterator[str], *secrets: str) -> list[str]:
    """Those of the texts that have one of the secrets in them."""
    return [text for text in texts if any(secret in text for secret in secrets)]
