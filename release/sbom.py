"""The bill of materials: the wheel, with its hash, and what it requires, in CycloneDX's form."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from release.commands import ROOT, CheckFailed, program, run


def write_sbom(wheel: Path, version: str, python: Path) -> Path:
    """Write the bill of materials of a wheel beside it.

    Args:
        wheel: is installed in the environment of `python`, without extras.
        version: of the wheel.
        python: the interpreter of the environment.

    Returns:
        The path of the file. Its format is JSON, validated against the schema of CycloneDX 1.6.

    Raises:
        CheckFailed: the file cannot be made, or has other components than the wheel requires.
    """
    made = json.loads(
        run(
            *(program("cyclonedx-py"), "environment", python),
            *("--pyproject", ROOT / "pyproject.toml", "--mc-type", "library"),
            *("--sv", "1.6", "--of", "JSON", "--output-reproducible"),
        )
    )
    completed = complete(made, wheel, version)
    path = wheel.with_name(f"sansio_moondream-{version}.cdx.json")
    path.write_text(json.dumps(completed, indent=2, sort_keys=True) + "\n", "utf-8")
    return path


def complete(bom: dict[str, Any], wheel: Path, version: str) -> dict[str, Any]:
    """Add to a bill what its maker does not know: the version, the address and the hash.

    Raises:
        CheckFailed: a component has no version, no package URL or no licence.
    """
    poor = [
        str(component.get("name"))
        for component in bom.get("components", [])
        if not all(component.get(key) for key in ("version", "purl", "licenses"))
    ]
    if poor or not bom.get("components"):
        raise CheckFailed(
            "each component of the bill of materials should have a version, a package URL and a "
            f"licence, but these lack one: {', '.join(poor) or 'there is no component'}"
        )
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    bom["metadata"]["component"] |= {
        "version": version,
        "purl": f"pkg:pypi/sansio-moondream@{version}",
        "hashes": [{"alg": "SHA-256", "content": digest}],
    }
    return bom


def components(bom: dict[str, Any]) -> list[str]:
    """Return name, version and licences of each component, for people."""
    return [
        f"{component['name']} {component['version']} ({', '.join(map(_licence, licences))})"
        for component in bom["components"]
        if (licences := component["licenses"])
    ]


def _licence(entry: dict[str, Any]) -> str:
    licence = entry.get("license", {})
    return str(entry.get("expression") or licence.get("id") or licence.get("name"))
