"""The workflow files of a public forge: they cannot run here, but they can be read."""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".github/workflows"
WORKFLOWS = sorted(FOLDER.glob("*.yml"))
each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
STEP = re.compile(r"^\s*(?:- )?(uses|run): (.*)$", re.MULTILINE)
PINNED = re.compile(r"actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
MAKE = re.compile(r"make(?: [A-Z]+=(?:\w+|\"\$GITHUB_REF_NAME\"))* ([a-z-]+)(?: [A-Z]+=\S+)*")


def steps(kind: str) -> list[str]:
    found = [step for path in WORKFLOWS for step in STEP.findall(path.read_text("utf-8"))]
    return [text for name, text in found if name == kind]


def test_each_action_is_pinned_by_a_digest_with_its_tag() -> None:
    uses = steps("uses")
    assert len(uses) > 5
    assert [text for text in uses if not PINNED.fullmatch(text)] == []
    actions = {text.partition("@")[0] for text in uses}
    assert len(set(uses)) == len(actions)  # one version of each


def test_each_step_is_a_target_of_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    commands = [MAKE.fullmatch(text) for text in steps("run")]
    assert len(commands) > 5
    assert all(commands), steps("run")
    assert {command[1] for command in commands if command} <= targets


@each_workflow
def test_permissions_are_given_job_by_job(path: Path) -> None:
    text = path.read_text("utf-8")
    top, jobs = text.split("\njobs:\n")
    assert "\npermissions: {}\n" in top
    assert jobs.count("\n    permissions:\n") == len(re.findall(r"^  [\w-]+:$", jobs, re.MULTILINE))
    assert "secrets." not in text
    write = re.findall(r"(\S+): write", text)
    assert write == (["id-token"] if path.name == "release.yml" else [])


def test_what_publishes_is_pinned_by_hashes() -> None:
    text = (ROOT / "release/publish.txt").read_text("utf-8")
    requirements = re.findall(
        r"^(?![ #])(\S+)==\S+.*(?:\n +--hash=sha256:[0-9a-f]{64}.*)+", text, re.MULTILINE
    )
    assert {"twine", "pypi-attestations"} <= set(requirements)
    assert len(requirements) == len(re.findall(r"^[a-z]", text, re.MULTILINE))


def test_zizmor_finds_nothing() -> None:
    zizmor = shutil.which("zizmor", path=sysconfig.get_path("scripts"))
    if zizmor is None:
        pytest.skip("zizmor is not installed: make ci-tools")
    done = subprocess.run(
        [zizmor, "--offline", "--pedantic", "--no-config", FOLDER], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
