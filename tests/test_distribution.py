"""What people install works: the wheel and the sdist, each built, put into a clean environment and
used there.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
IN_SDIST = [
    "LICENSE",
    "README.md",
    "CHANGELOG.md",
    "Makefile",
    "docs/",
    "fuzz/",
    "benchmarks/",
    "tests/core/",
    "tests/test_packaging.py",
    "docs/browser-page/page.js",
    "transports/moondream_transports/relay/static/moondream-relay.js",
    "transports/moondream_transports/relay/static/moondream-relay.d.ts",
]
NOT_IN_SDIST = ["node_modules/", "wheels/", ".venv/", "__pycache__/"]

pytestmark = pytest.mark.slow

SMOKE_TEST = r"""
import sys
from importlib.metadata import entry_points, version
from importlib.resources import files
from urllib.request import urlopen

import moondream_tools
import moondream_transports
import sansio_moondream
from sansio_moondream import Completed, QueryRequest, ResponseStream, TextDelta

for package in (sansio_moondream, moondream_transports, moondream_tools):
    assert package.__file__.startswith(sys.prefix), package.__file__
    assert files(package).joinpath("py.typed").is_file(), package
for name in ("moondream-relay.js", "moondream-relay.d.ts"):
    assert files(moondream_transports).joinpath("relay", "static", name).is_file(), name
assert sansio_moondream.__version__ == version("sansio-moondream")

stream = ResponseStream(QueryRequest(question="What is this?"))
stream.receive_response(200, [("content-type", "text/event-stream")])
stream.receive_data(b'data: {"chunk": "A moon", "completed": false, "token_index": 0}\n\n')
stream.receive_data(b'data: {"chunk": ".", "completed": true, "answer": "A moon."}\n\n')
stream.receive_eof()
match list(stream.events()):
    case [TextDelta(text="A moon"), TextDelta(text="."), Completed()]:
        assert stream.result().text == "A moon."
    case other:
        raise AssertionError(other)

with moondream_tools.FakeServer() as server:
    server.answer(text="A moon.")
    with urlopen(server.url + "/query", b'{"question": "?"}') as response:
        assert b'"A moon."' in response.read()
(plugin,) = entry_points(group="pytest11")  # pytest itself is not here
assert plugin.value == plugin.name == "moondream_tools.pytest_plugin"
"""


def run(*command: str | Path, cwd: Path, **more: str) -> str:
    # Isolated from the environment that runs the tests: nothing of the repository may be found by
    # accident.
    env = {
        name: value
        for name, value in (os.environ | more).items()
        if not name.startswith(("PYTHON", "COV_", "COVERAGE_"))
    }
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"{command} gave {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.index
@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_installed_from_scratch(kind: str, tmp_path: Path, ambient: dict[str, str]) -> None:
    run(
        sys.executable,
        "-m",
        "build",
        "--no-isolation",
        f"--{kind}",
        "--outdir",
        tmp_path / "dist",
        ROOT,
        cwd=tmp_path,
    )
    (artifact,) = (tmp_path / "dist").iterdir()

    # Our own pip reaches into the new environment: giving it one of its own takes longer than all
    # the rest.
    environment = tmp_path / "env"
    venv.create(environment, with_pip=False)
    bin_dir = environment / ("Scripts" if os.name == "nt" else "bin")
    python = bin_dir / "python"
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--quiet",
        artifact,
        cwd=tmp_path,
        **ambient,  # the index may be behind a proxy
    )

    run(python, "-I", "-W", "error", "-c", SMOKE_TEST, cwd=tmp_path)
    assert "demo" in run(bin_dir / "moondream-stream", "--help", cwd=tmp_path)
    assert run(bin_dir / "moondream-stream", "demo", "--speed", "max", cwd=tmp_path).strip()


def test_sdist_holds_all_that_is_needed_to_test_it(tmp_path: Path) -> None:
    run(
        sys.executable,
        "-m",
        "build",
        "--no-isolation",
        "--sdist",
        "--outdir",
        tmp_path,
        ROOT,
        cwd=tmp_path,
    )
    (artifact,) = tmp_path.iterdir()
    with tarfile.open(artifact) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    assert [
        wanted for wanted in IN_SDIST if not any(name.startswith(wanted) for name in names)
    ] == []
    assert [name for name in names if any(unwanted in name for unwanted in NOT_IN_SDIST)] == []
