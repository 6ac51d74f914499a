"""The programs of the guides under mypy, strict.

tests/typing has programs that are right, and lines that are wrong. `make lint` runs mypy and
pyright over them: each error that is ignored there has to be one, for both, and there is no other.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.guides import PAGES, ROOT, write_files


def test_the_guides_pass(tmp_path: Path):
    guides = {
        path
        for page in PAGES
        for path in write_files(page, tmp_path)
        if not path.name.startswith(("test_", "conftest"))
    }
    assert guides
    # pyright does not find what files outside the project import from each other.
    command = [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml"]
    run = subprocess.run([*command, *guides], capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stdout + run.stderr
