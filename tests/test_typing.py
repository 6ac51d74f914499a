"""The public names under mypy and pyright, both strict.

Right programs and the guides pass, and each wrong line is an error. `make lint` runs both over
tests/typing, where each ignored line has to have its error, and then these tests.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.guides import ROOT, write_files

FILES = Path(__file__).parent / "typing"
CHECKERS = {
    "mypy": [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml"],
    "pyright": [sys.executable, "-m", "pyright", "--pythonpath", sys.executable],
}
IGNORE = re.compile(r"  # type: ignore\[.*\]$", re.MULTILINE)


def check(checker: str, *paths: Path) -> tuple[int, str]:
    run = subprocess.run(
        [*CHECKERS[checker], *map(str, paths)], capture_output=True, text=True, cwd=ROOT
    )
    return run.returncode, run.stdout + run.stderr


def test_the_guides_pass(tmp_path: Path):
    guides = [
        path
        for page in sorted((ROOT / "docs").glob("*.md"))
        for path in write_files(page, tmp_path)
        if not path.name.startswith(("test_", "conftest"))
    ]
    assert guides
    returncode, said = check(
        "mypy", *guides
    )  # pyright does not find what files outside the project import from each other
    assert returncode == 0, said


@pytest.mark.parametrize("checker", CHECKERS)
def test_every_wrong_line_is_an_error_and_no_other(checker: str, tmp_path: Path):
    """Remove the comments, and expect an error on each of their lines and on no other."""
    source = (FILES / "wrong.py").read_text()
    (tmp_path / "naked.py").write_text(IGNORE.sub("", source))
    _, said = check(checker, tmp_path / "naked.py")
    found = {int(line) for line in re.findall(r"naked\.py:(\d+)(?::\d+)?(?: -)?:? error", said)}
    assert found == {
        number for number, line in enumerate(source.splitlines(), 1) if IGNORE.search(line)
    }, said
