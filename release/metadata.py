"""The metadata that an index shows and an installer reads, and the name of the release."""

from __future__ import annotations

import re
from email import message_from_bytes
from email.message import Message
from pathlib import Path

from release.builds import members
from release.commands import ROOT, CheckFailed, program, run

KNOWN_GAPS = {
    "AuthorEmail": ("Author-email", "there is no address that would be read"),
    "Url": ("Project-URL", "the project has no public address yet"),
}
"""Checks of pyroma that cannot pass yet: the field that is missing, and the reason."""

_PASSED = "Final rating: 10/10"


def metadata_of(wheel: Path) -> Message:
    """Return the metadata of a wheel."""
    (text,) = (data for name, data in members(wheel).items() if name.endswith("/METADATA"))
    return message_from_bytes(text)


def version_of(wheel: Path) -> str:
    """Return the version of a wheel, from its metadata."""
    return str(metadata_of(wheel)["Version"])


def require_valid(wheel: Path, sdist: Path) -> None:
    """Check the metadata with the programs that an index and a reviewer would use.

    Raises:
        CheckFailed: one of them complains, or `KNOWN_GAPS` has a gap that is filled.
    """
    require_gaps(wheel)
    run(program("twine"), "check", "--strict", wheel, sdist, NO_COLOR="1")
    rating = run(program("pyroma"), "--min", "10", "--skip-tests", ",".join(KNOWN_GAPS), sdist)
    if _PASSED not in rating:
        raise CheckFailed(f"pyroma should say {_PASSED!r}, but it says:\n{rating}")


def require_gaps(wheel: Path) -> None:
    """Check that each known gap is one, so that pyroma looks at a field from when it is there.

    Raises:
        CheckFailed: the metadata has the field of a gap.
    """
    fields = metadata_of(wheel)
    for name, (field, _) in KNOWN_GAPS.items():
        if field in fields:
            raise CheckFailed(
                f"the metadata has {field} now, so {name} should go from KNOWN_GAPS of "
                "release/metadata.py"
            )


def require_version(wheel: Path, tag: str | None) -> str:
    """Check that the version fits the tag and the changelog.

    Args:
        wheel: its metadata has the version.
        tag: such as "v0.1.0". Without one, no release is meant: any version is right.

    Returns:
        The version.

    Raises:
        CheckFailed: the tag or the changelog names another version.
    """
    version = version_of(wheel)
    if tag is not None:
        if tag != f"v{version}":
            raise CheckFailed(
                f"the tag of version {version} should be v{version}, but it is {tag}: change "
                "sansio_moondream/_version.py or the tag"
            )
        require_in_changelog((ROOT / "CHANGELOG.md").read_text("utf-8"), version)
    return version


def require_in_changelog(changelog: str, version: str) -> None:
    """Check that the changelog has a heading for a version, with a date.

    Raises:
        CheckFailed: it has none.
    """
    heading = rf"^## \[?{re.escape(version)}\]?\s.*\d{{4}}-\d\d-\d\d"
    if not re.search(heading, changelog, re.MULTILINE):
        raise CheckFailed(
            f"CHANGELOG.md should have a heading for {version} with its date, such as "
            f'"## {version} (2026-01-31)", in place of "## Unreleased"'
        )
