"""The modules of the page under Node, and their types."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from moondream_tools._inspect._files import compact, page_files
from tests.guides import ROOT

NODE = ROOT / "tests" / "node"
STATIC = ROOT / "tools" / "moondream_tools" / "_inspect" / "static"
TESTS = ["inspect-trace.test.mjs", "inspect-player.test.mjs", "inspect-differences.test.mjs"]
PROJECT = "inspect.tsconfig.json"

need_node = pytest.mark.skipif(shutil.which("node") is None, reason="needs node: `make ci-tools`")


@need_node
def test_trace_and_player():
    done = subprocess.run(
        ["node", "--test", *TESTS], cwd=NODE, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    source = "".join((NODE / name).read_text() for name in TESTS)
    names = re.findall(r'^test\("(.*)", async', source, re.MULTILINE)
    assert len(names) > 10
    assert [name for name in names if f" - {name}\n" not in done.stdout] == []
    assert "# skipped 0" in done.stdout


@need_node
@pytest.mark.slow
def test_typescript_accepts_the_page(tmp_path: Path):
    """It finds what is wrong in a module that uses those of the page, and nothing in them."""
    tsc = NODE / "node_modules" / "typescript" / "bin" / "tsc"
    if not tsc.exists():
        pytest.skip("needs TypeScript: `make ci-tools`")
    wrong = tmp_path / "wrong.js"
    wrong.write_text(
        f"import {{ inSeconds }} from '{STATIC}/words.js';\ninSeconds('1');\n"
        "/** @param {string} x */ export const f = (x) => x.length;\nexport const g = (x) => x;\n"
    )
    options = {"incremental": False, "tsBuildInfoFile": None}
    project = {
        "extends": f"{NODE}/{PROJECT}",
        "compilerOptions": options,
        "include": [f"{STATIC}/*.js", str(wrong)],
    }
    (tmp_path / "tsconfig.json").write_text(json.dumps(project))
    done = subprocess.run(
        ["node", tsc, "--project", tmp_path, "--pretty", "false"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    found = re.findall(r"^(\S+)\((\d+),\d+\): error (TS\d+)", done.stdout, re.MULTILINE)
    assert [(Path(name).name, *rest) for name, *rest in found] == [
        ("wrong.js", "2", "TS2345"),
        ("wrong.js", "4", "TS7006"),
    ], done.stdout


def test_the_page_is_small():
    """As a browser gets it. Not counted: traces and pictures, which it shows."""
    sizes = {name: len(compact(name).encode()) for name in page_files()}
    assert sum(sizes.values()) < 150_000, sizes
    for path in STATIC.iterdir():
        lines = path.read_text().splitlines()
        assert len(lines) < 300, path.name
        assert max(map(len, lines), default=0) <= 100, path.name
