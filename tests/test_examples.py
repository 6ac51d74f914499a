"""The projects in examples/ pass their own tests, in an environment that has their libraries.

They are too many for the one of these tests: `make ci-tools` makes `examples/.venv`.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.guides import ROOT

EXAMPLES = ROOT / "examples"
PYTHON = EXAMPLES / ".venv" / "bin" / "python"
PROJECTS = sorted(path.parent.name for path in EXAMPLES.glob("*/README.md"))


def test_the_list_has_every_project():
    listed = re.findall(r"\]\(([\w-]+)/README\.md\)", (EXAMPLES / "README.md").read_text())
    assert sorted(listed) == PROJECTS


@pytest.mark.parametrize("project", PROJECTS)
def test_a_project_has_a_program_a_test_and_its_requirements(project: str):
    folder = EXAMPLES / project
    assert list(folder.glob("test_*.py"))
    assert (folder / "requirements.txt").exists() or (folder / "pyproject.toml").exists()
    for name in re.findall(r"`(\w+\.py)`", (folder / "README.md").read_text()):
        assert (folder / name).exists(), name


@pytest.mark.slow
@pytest.mark.parametrize("project", PROJECTS)
def test_the_tests_of_a_project_pass(project: str, tmp_path: Path):
    if not PYTHON.exists():
        pytest.skip("needs examples/.venv: `make ci-tools`")
    command = ["-m", "pytest", "-q", "-c", os.devnull, "--rootdir", ".", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [PYTHON, *command, "--basetemp", tmp_path / "tests", "."],
        cwd=EXAMPLES / project,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\d+ passed", done.stdout, re.MULTILINE), done.stdout
