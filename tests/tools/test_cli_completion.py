"""`moondream-stream completion`, in the shells that are there."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from moondream_tools._arguments import SHELLS
from moondream_tools.cli import Exit

_SECONDS = 30.0


@pytest.fixture
def script(run: Any, tmp_path: Path) -> Path:
    path = tmp_path / "completion"
    ran = run("completion", "bash")
    assert (ran.status, ran.err) == (Exit.OK, "")
    path.write_text(ran.out)
    return path


def typed(shell: list[str], setup: str, keys: str, expected: str, folder: Path) -> str:
    """Type a line and a tab in a shell. Returns what the terminal shows from there on."""
    child, terminal = pty.fork()
    if child == 0:  # pragma: no cover - another process
        os.chdir(folder)
        os.execvpe(shell[0], shell, {**os.environ, "PS1": "READY>", "TERM": "dumb", "HOME": "/"})
    try:
        shown = _wait(terminal, "READY>")
        os.write(terminal, f"{setup}; echo S''OURCED\n".encode())
        _wait(terminal, "SOURCED")
        os.write(terminal, f"{keys}\t".encode())
        shown = _wait(terminal, expected)
    finally:
        os.close(terminal)
        os.waitpid(child, 0)
    return shown


def _wait(terminal: int, words: str) -> str:
    shown = b""
    until = time.monotonic() + _SECONDS
    while words.encode() not in shown:
        assert time.monotonic() < until, shown.decode("utf-8", "replace")
        if select.select([terminal], [], [], 1)[0]:
            shown += os.read(terminal, 65536)
    return shown.decode("utf-8", "replace")


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
class TestBash:
    @pytest.mark.parametrize(
        ("keys", "expected"),
        [
            ("moondream-stream cap", "moondream-stream caption "),
            ("moondream-stream segment --ov", "--overlay "),
            ("moondream-stream caption --length sh", "--length short "),
            ("moondream-stream show rec", "show recorded.jsonl "),
            ("moondream-stream detect rec", "detect recorded.jsonl "),
        ],
    )
    def test_a_tab(self, script: Path, tmp_path: Path, keys: str, expected: str) -> None:
        (tmp_path / "recorded.jsonl").touch()
        typed(["bash", "--norc", "--noprofile", "-i"], f". {script}", keys, expected, tmp_path)


@pytest.mark.skipif(shutil.which("zsh") is None, reason="needs zsh")
def test_zsh(run: Any, tmp_path: Path) -> None:
    (tmp_path / "_moondream-stream").write_text(run("completion", "zsh").out)
    setup = f"fpath=({tmp_path} $fpath); autoload -Uz compinit; compinit -u -D; PS1=READY\\>"
    typed(["zsh", "-f", "-i"], setup, "moondream-stream capt", "caption", tmp_path)


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell(run: Any, shell: str) -> None:
    ran = run("completion", shell)
    assert (ran.status, ran.err) == (Exit.OK, "")
    assert "moondream-stream" in ran.out and "segment" in ran.out


def test_every_command_is_completed(script: Path) -> None:
    code = f". {script}; COMP_WORDS=(moondream-stream ''); COMP_CWORD=1; _shtab_moondream_stream"
    done = subprocess.run(
        ["bash", "-c", f'{code}; echo "${{COMPREPLY[@]}}"'], capture_output=True, text=True
    )
    assert set(done.stdout.split()) >= {"query", "chat", "show", "bulk", "completion"}, done.stderr


def test_without_shtab(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    ran = run("completion", "bash")
    assert (ran.status, ran.out) == (Exit.USAGE, "")
    assert ran.err == (
        "moondream-stream: completion needs shtab: pip install 'sansio-moondream[cli]'\n"
    )
