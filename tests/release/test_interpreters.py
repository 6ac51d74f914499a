"""Interpreters are found by path, and asked for their version."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from release.interpreters import find_interpreters

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="the interpreters are scripts of sh"
)


def interpreter(folder: Path, name: str, *lines: str, status: int = 0) -> Path:
    """Make a program that says some lines, whatever it is asked."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    said = "\n".join(f"echo {line}" for line in lines)
    path.write_text(f"#!/bin/sh\n{said}\nexit {status}\n", "utf-8")
    path.chmod(0o755)
    return path


def test_a_shim_that_does_not_answer_is_passed_over(tmp_path: Path) -> None:
    shims, versions = tmp_path / "shims", tmp_path / "versions"
    interpreter(shims, "python3.12", "pyenv: not found", status=127)
    interpreter(shims, "python3.13", "3.13", "/behind/the/shim")
    interpreter(versions / "3.12.1/bin", "python3.12", "3.12", "/right")
    interpreter(versions / "3.13.0/bin", "python3.13", "3.13", "/too/late")
    found = find_interpreters(["3.11", "3.12", "3.13"], str(shims), [f"{versions}/*/bin"])
    assert found == {"3.12": Path("/right"), "3.13": Path("/behind/the/shim")}


def test_another_version_under_the_name(tmp_path: Path) -> None:
    interpreter(tmp_path / "a", "python3.14t", "3.14", "/with/the/gil")
    interpreter(tmp_path / "b", "python3.14t", "3.14t", "/without")
    folders = os.pathsep.join([str(tmp_path / "a"), str(tmp_path / "b"), ""])
    assert find_interpreters(["3.14t"], folders, []) == {"3.14t": Path("/without")}


def test_this_one_is_found() -> None:
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    version += "t" * bool(getattr(sys, "_is_gil_enabled", bool)() is False and "t" in sys.abiflags)
    folder = str(Path(sys.base_prefix, "bin"))
    assert list(find_interpreters([version], folder, [])) == [version]
