"""The lowest versions that pyproject.toml allows, as constraints for an installer.

`release/lowest.txt` is written by `python -m release lowest`. It has what we name ourselves: the
required dependencies, and those of the extras. What they need in turn is of today.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any

from release.commands import ROOT, CheckFailed

LOWEST = ROOT / "release/lowest.txt"
_OURS = "sansio-moondream"
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*(.*)")
_HEADER = """\
# The lowest versions that pyproject.toml allows. Written by: python -m release lowest
"""


def project() -> dict[str, Any]:
    """Return the table `project` of pyproject.toml."""
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return table


def extras() -> list[str]:
    """Return the names of the extras, in the order of pyproject.toml."""
    return list(project()["optional-dependencies"])


def lowest_versions(project: Mapping[str, Any]) -> dict[str, str]:
    """Return the lowest version of each direct dependency, by name.

    Raises:
        CheckFailed: a requirement has no lower bound, or two bounds of one name differ.
    """
    found: dict[str, str] = {}
    for requirement in [
        *project["dependencies"],
        *(one for extra in project["optional-dependencies"].values() for one in extra),
    ]:
        name, version = _lower_bound(requirement)
        if name != _OURS and found.setdefault(name, version) != version:
            raise CheckFailed(
                f"{name} should have one lower bound in pyproject.toml, but it has "
                f"{found[name]} and {version}"
            )
    return found


def _lower_bound(requirement: str) -> tuple[str, str]:
    match = _REQUIREMENT.fullmatch(requirement)
    assert match is not None, requirement
    name, specifiers = match[1].lower(), match[2]
    lower = [part.strip()[2:] for part in specifiers.split(",") if part.strip()[:2] == ">="]
    if name != _OURS and len(lower) != 1:
        raise CheckFailed(
            f"{requirement!r} in pyproject.toml should have one lower bound, such as {name}>=1.0"
        )
    return name, lower[0].strip() if lower else ""


def constraints(project: Mapping[str, Any]) -> str:
    """Return the text of the constraints file."""
    lines = [f"{name}=={version}\n" for name, version in sorted(lowest_versions(project).items())]
    return _HEADER + "".join(lines)


def require_current() -> None:
    """Check that the committed file fits pyproject.toml.

    Raises:
        CheckFailed: it does not.
    """
    if LOWEST.read_text("utf-8") != constraints(project()):
        raise CheckFailed(
            "release/lowest.txt does not fit pyproject.toml: write it with python -m release lowest"
        )
