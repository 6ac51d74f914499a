"""What people install works: the wheel and the sdist, each built, put into a clean environment and
used there. `make release-check` does more: release/__main__.py says what.
"""

from __future__ import annotations

import sys
import venv
from pathlib import Path

import pytest

from release import builds, contents, metadata
from release.commands import ROOT, python_of, run

pytestmark = pytest.mark.slow

IN_SDIST = {
    *("LICENSE", "README.md", "CHANGELOG.md", "Makefile", "noxfile.py", "tests/test_packaging.py"),
    *("docs/browser-page/page.js", "fuzz/run.py", "benchmarks/decode.py", "release/lowest.txt"),
    "transports/moondream_transports/relay/static/moondream-relay.js",
    "transports/moondream_transports/relay/static/moondream-relay.d.ts",
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel and the sdist."""
    if not (ROOT / ".git").exists():
        pytest.skip("git lists the sources, and this is no checkout")
    return builds.build(builds.SECOND, tmp_path_factory.mktemp("built"))


@pytest.mark.index
@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_installed_from_scratch(
    kind: str, built: tuple[Path, Path], tmp_path: Path, ambient: dict[str, str]
) -> None:
    artifact = built[kind == "sdist"]
    # Our own pip reaches into the new environment: giving it one of its own takes longer than all
    # the rest.
    environment = tmp_path / "env"
    venv.create(environment, with_pip=False)
    python = python_of(environment)
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet")
    run(*pip, artifact, cwd=tmp_path, **ambient)  # the index may be behind a proxy

    run(python, "-I", "-W", "error", ROOT / "release/smoke/plain.py", cwd=tmp_path)
    moondream_stream = python.with_name("moondream-stream")
    assert "demo" in run(moondream_stream, "--help", cwd=tmp_path)
    assert run(moondream_stream, "demo", "--speed", "max", cwd=tmp_path).strip()


def test_a_build_depends_on_nothing_but_the_sources(
    built: tuple[Path, Path], tmp_path: Path
) -> None:
    for one, other in zip(builds.build(builds.FIRST, tmp_path), built, strict=True):
        assert one != other
        builds.require_equal(one, other)


def test_they_hold_what_they_should(built: tuple[Path, Path]) -> None:
    wheel, sdist = built
    sources = builds.sources()
    in_sdist = builds.members(sdist)
    contents.require_members("sdist", in_sdist, contents.sdist_members(sources))
    assert in_sdist.keys() >= IN_SDIST
    in_wheel = builds.members(wheel)
    version = metadata.version_of(wheel)
    contents.require_members("wheel", in_wheel, contents.wheel_members(sources, version))
    contents.require_kinds(in_wheel)
