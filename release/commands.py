"""Start other programs, isolated from the environment of this one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parent.parent
_LEFT_OUT = ("PYTHON", "COV_", "COVERAGE_", "PYTEST_", "VIRTUAL_ENV", "MAKE", "MFLAGS")
_LAST_LINES = 40


class CheckFailed(Exception):
    """A check of the release failed. The message says what was expected and what was seen."""


def run(*command: str | Path, cwd: Path = ROOT, **variables: str) -> str:
    """Run a program to its end.

    Args:
        command: the program and its arguments.
        cwd: the folder to run it in.
        variables: of its environment, beside those of this process.

    Returns:
        What it wrote to standard output.

    Raises:
        CheckFailed: its exit status is not 0. The message has the end of its output.
    """
    inherited = {name: text for name, text in os.environ.items() if not name.startswith(_LEFT_OUT)}
    done = subprocess.run(
        command, cwd=cwd, env=inherited | variables, capture_output=True, text=True
    )
    if done.returncode:
        lines = (done.stdout + done.stderr).splitlines()[-_LAST_LINES:]
        shown = " ".join(map(str, command))
        raise CheckFailed("\n    ".join([f"{shown}\ngave {done.returncode}:", *lines]))
    return done.stdout


def program(name: str) -> Path:
    """Return the path of a program that the group `release` installs.

    Raises:
        CheckFailed: it is not installed.
    """
    found = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    if found is None:
        raise CheckFailed(f"{name} is not installed here: make release-check installs it")
    return Path(found)


def python_of(environment: Path) -> Path:
    """Return the interpreter of a virtual environment."""
    return environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
