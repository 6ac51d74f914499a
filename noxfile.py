"""Run the tests on every interpreter that this machine has: make test-all.

Each session is one interpreter, with an environment of its own that the Makefile sets up as it does
.venv. `nox --list` shows which were found. `nox --session "tests(3.13)" -- tests/core` runs a part.
"""

from __future__ import annotations

import nox

from release.interpreters import VERSIONS, find_interpreters

nox.options.default_venv_backend = "none"  # make sets the environments up

FOUND = find_interpreters(VERSIONS)


@nox.session
@nox.parametrize("version", list(FOUND), ids=list(FOUND))
def tests(session: nox.Session, version: str) -> None:
    """All tests that are not slow by nature."""
    python, environment = FOUND[version], f".nox/{version}"
    session.log(f"Python {version} is {python}")
    arguments = [f"PYTHON={python}", f"VENV={environment}", f"ARGS={' '.join(session.posargs)}"]
    session.run("make", "--no-print-directory", "quick", *arguments, external=True)


@nox.session
def missing(session: nox.Session) -> None:
    """Say which versions are not on this machine."""
    for version in VERSIONS:
        if version not in FOUND:
            session.warn(f"Python {version} is not on this machine: not tested with it")
