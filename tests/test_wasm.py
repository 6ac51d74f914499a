"""A part of the decode tests once more, under WebAssembly: see tests/wasm/run.mjs. `make test-wasm`
runs all of them.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

WASM = Path(__file__).parent / "wasm"
CORE = Path(__file__).parent / "core"
SOME_TESTS = [
    "tests/wasm/probe.py",
    *(f"tests/core/{path.name}" for path in sorted(CORE.glob("test_stream*.py"))),
    *(f"tests/core/test_{name}.py" for name in ("records", "inflate", "limits", "machine")),
]


@pytest.mark.wasm
def test_decoding_under_webassembly() -> None:
    node = shutil.which("node")
    # The stamps are set last: an installation that was interrupted does not count.
    if (
        node is None
        or not (WASM / "node_modules" / ".stamp").exists()
        or not (WASM / "wheels" / ".stamp").exists()
    ):
        pytest.skip("needs `make ci-tools`, and node")
    run = subprocess.run(
        [node, WASM / "run.mjs", *SOME_TESTS], capture_output=True, text=True, timeout=600
    )
    assert run.returncode == 0, run.stdout + run.stderr
