"""The interpreters that a machine has.

A name on the path may be a shim that does not answer, as pyenv's are for a version that is not
chosen. So we ask each candidate for its version, and look where pyenv, uv and Debian put them.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

VERSIONS = ("3.11", "3.12", "3.13", "3.14", "3.14t")
"""What the tests are run on, where it is to be had. "t" is a build without the GIL."""

PLACES = (
    "~/.pyenv/versions/*/bin",
    "~/.local/share/uv/python/*/bin",
    "/opt/python/*/bin",
    "/usr/local/bin",
    "/usr/bin",
)
"""Where interpreters lie, beside the path. A star is any folder."""

_ASK = """
import sys, sysconfig, venv, ensurepip
print("%d.%d" % sys.version_info[:2] + "t" * bool(sysconfig.get_config_var("Py_GIL_DISABLED")))
print(sys.executable)
"""
_SECONDS = 30  # for an interpreter to say its version


def find_interpreters(
    versions: Sequence[str], path: str | None = None, places: Iterable[str] = PLACES
) -> dict[str, Path]:
    """Find an interpreter of each version.

    Args:
        versions: such as "3.13" and "3.14t", in the order of the result.
        path: of the folders to look in first, as in the variable PATH, which is the default.
        places: more folders, as patterns.

    Returns:
        The path of the first interpreter that answers, by version. It can make environments. It is
        the interpreter itself, where a shim was found.
        Versions without one are left out.
    """
    folders = (os.environ.get("PATH", "") if path is None else path).split(os.pathsep)
    candidates = [Path(folder) for folder in folders if folder]
    for place in places:
        candidates += _matching(Path(place).expanduser())
    found: dict[str, Path] = {}
    for version in versions:
        for folder in candidates:
            python = folder / f"python{version}"
            if python.is_file() and (answer := _answer_of(python)) and answer[0] == version:
                found[version] = Path(answer[1])
                break
    return found


def _matching(pattern: Path) -> Iterator[Path]:
    """Yield the folders that fit a pattern, the newest version first."""
    root = Path(pattern.anchor or ".")
    yield from sorted(root.glob(str(pattern.relative_to(root))), reverse=True)


def _answer_of(python: Path) -> list[str]:
    """Return the version and the path that an interpreter says, or nothing if it cannot."""
    try:
        done = subprocess.run(
            [python, "-I", "-c", _ASK], capture_output=True, text=True, timeout=_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []
