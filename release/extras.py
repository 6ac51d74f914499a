"""Each extra alone in an empty environment, with the lowest and with the newest versions.

In each environment two things run. First the smoke test in `release/smoke`, a program that does
what the extra is for, with nothing installed but the wheel and the extra. Then the extra's part of
the tests, from the sdist, on the installed wheel; these need pytest and what the tests import.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from release.bounds import LOWEST
from release.commands import ROOT, CheckFailed, program, python_of, run

SMOKE = ROOT / "release/smoke"
PLAIN = "plain"
"""The name of the environment without an extra."""


class Versions(StrEnum):
    """Which versions are installed. The lowest are those of `release/lowest.txt`."""

    LOWEST = "lowest"
    NEWEST = "newest"


@dataclass(frozen=True)
class Part:
    """The part of the tests that runs on an extra.

    Attributes:
        tests: files and folders.
        only: an expression of pytest's option -k.
        needs: what these tests import beside the extra. The lowest versions count for it, too.
        marks: an expression of pytest's option -m.
    """

    tests: tuple[str, ...]
    only: str = ""
    needs: tuple[str, ...] = ()
    marks: str = "not slow"


_TOOLS = ("pytest", "pytest-xdist", "hypothesis", "trustme")  # of tests/conftest.py and its kits
_FAULTS = "tests/transports/test_faults.py"
_EXCEPTIONS = "tests/transports/test_exceptions_table.py"

PARTS = {
    PLAIN: Part(
        ("tests/core/test_stream.py", "tests/transports/test_urllib.py", _FAULTS), "urllib"
    ),
    "httpx2": Part(
        (_FAULTS, "tests/transports/httpx", _EXCEPTIONS), "httpx2", ("trio", "h2", "hypercorn")
    ),
    "httpx": Part((_FAULTS, _EXCEPTIONS), "httpx and not httpx2", ("trio",), marks=""),
    "aiohttp": Part((_FAULTS, "tests/transports/aiohttp", _EXCEPTIONS), "aiohttp and not http2"),
    "anyio": Part((_FAULTS, "tests/transports/test_anyio.py", _EXCEPTIONS), "anyio", ("trio",)),
    "images": Part(
        (
            *("tests/core/test_images.py", "tests/core/test_images_opening.py"),
            *("tests/core/test_images_smaller.py", "tests/core/test_images_turned.py"),
            *("tests/core/test_masks.py", "tests/core/test_pictures.py"),
        ),
        needs=("numpy",),
    ),
    "numpy": Part(("tests/core/test_mask_arrays.py",), needs=("pillow",)),
    "supervision": Part(("tests/core/test_exports_supervision.py",)),
    "bulk": Part(
        ("tests/transports/bulk", "tests/tools/test_bulk.py"),
        needs=("pillow", "numpy", "pycocotools", "trio"),
    ),
    "ray": Part(("tests/transports/bulk/on_ray",), needs=("pillow",)),
    "testing": Part(
        ("tests/core/test_strategies.py", "tests/transports/test_conformance.py"),
        needs=("pillow", "anyio"),
    ),
    "cli": Part(("tests/tools/test_cli_replay.py", "tests/tools/test_record_forwarding.py")),
    "all": Part(
        ("tests/transports",),
        "not test_generate and not test_official_package",  # they need more, and say nothing of it
        ("trio", "h2", "pycocotools"),
    ),
}
"""By extra. A new extra needs a line here, and a program in `release/smoke`."""


def require_complete(extras: Sequence[str]) -> None:
    """Check that each extra has its part of the tests and its smoke test, and no other has.

    Raises:
        CheckFailed: one has none, or there is one for an extra that does not exist.
    """
    expected = {PLAIN, *extras}
    smoke = {path.stem for path in SMOKE.glob("*.py")}
    for what, seen in (("PARTS of release/extras.py", set(PARTS)), ("release/smoke", smoke)):
        if seen != expected:
            raise CheckFailed(
                f"{what} should have one entry for each extra of pyproject.toml, but "
                f"{', '.join(sorted(expected ^ seen))} is in one of the two only"
            )


def install(wheel: Path, extra: str, versions: Versions, environment: Path) -> Path:
    """Make an environment, and install the wheel with one extra in it.

    Args:
        wheel: to install.
        extra: its name, or `PLAIN`.
        versions: of the dependencies.
        environment: a folder that does not exist.

    Returns:
        The interpreter of the environment.

    Raises:
        CheckFailed: something cannot be installed.
    """
    run(program("uv"), "venv", "--quiet", "--no-project", "--python", sys.executable, environment)
    python = python_of(environment)
    suffix = "" if extra == PLAIN else f"[{extra}]"
    _install(python, versions, f"sansio-moondream{suffix} @ {wheel.as_uri()}")
    return python


def _install(python: Path, versions: Versions, *requirements: str) -> None:
    lowest = ("--constraints", LOWEST) if versions is Versions.LOWEST else ()
    run(program("uv"), "pip", "install", "--quiet", "--python", python, *lowest, *requirements)


def installed(python: Path) -> list[str]:
    """Return what is installed in an environment, as `name==version`."""
    lines = run(program("uv"), "pip", "freeze", "--python", python).splitlines()
    return [line for line in lines if not line.startswith("sansio-moondream")]


def smoke_test(extra: str, python: Path) -> None:
    """Run the smoke test of an extra. Warnings are errors.

    Raises:
        CheckFailed: it fails.
    """
    run(python, "-I", "-W", "error", SMOKE / f"{extra}.py")


def run_part(extra: str, versions: Versions, python: Path, tests: Path) -> str:
    """Run the extra's part of the tests.

    Args:
        extra: its name, or `PLAIN`.
        versions: of what the tests need, too.
        python: the interpreter of the environment.
        tests: the folder that `tests_of` has made.

    Returns:
        The last line of pytest, such as "12 passed in 3.45s".

    Raises:
        CheckFailed: a test fails, or none runs.
    """
    part = PARTS[extra]
    _install(python, versions, *_TOOLS, *part.needs)
    output = run(
        *(python, "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", "-p", "no:cacheprovider"),
        *("-m", part.marks, "-k", part.only, *part.tests),
        cwd=tests,
    )
    return output.strip().splitlines()[-1].strip("= ")


def tests_of(sdist: Path) -> Path:
    """Turn an unpacked sdist into a folder of tests that run on an installed wheel.

    pytest puts this folder on the path, where the sources would hide the wheel's package.
    """
    shutil.rmtree(sdist / "sansio_moondream")
    return sdist
