"""Exact versions, with hashes, of what signs and uploads a release: `release/publish.txt`.

The job that has the right to publish installs nothing else.
"""

from __future__ import annotations

from release.commands import ROOT, program, run

PUBLISH = ROOT / "release/publish.txt"
_HEADER = """\
# What signs and uploads a release. Written by: python -m release pins
"""


def write_pins() -> None:
    """Write the newest versions that the group `publish` of pyproject.toml allows.

    Raises:
        CheckFailed: they cannot be found.
    """
    pins = run(
        *(program("uv"), "pip", "compile", "--quiet", "--group", "publish", "--universal"),
        *("--python-version", "3.11", "--generate-hashes", "--no-header", "--no-annotate"),
    )
    PUBLISH.write_text(_HEADER + pins, "utf-8")
