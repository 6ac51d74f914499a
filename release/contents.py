"""What the wheel and the sdist hold: all that they should, and nothing else."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

from release.commands import CheckFailed

PACKAGES = {
    "sansio_moondream": "sansio_moondream",
    "moondream_transports": "transports/moondream_transports",
    "moondream_tools": "tools/moondream_tools",
}
"""The packages of the wheel, each with its folder in the sources."""

DIST_INFO = frozenset({"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"})

IN_PACKAGES = re.compile(
    r".*\.py|.*/py\.typed"
    r"|moondream_tools/recordings/[\w.-]+\.(jsonl|md|jpg)"
    r"|moondream_transports/relay/static/[\w-]+(\.d\.ts|\.js)"
    r"|moondream_tools/_inspect/static/[\w-]+\.(html|js|css)"
)
"""The files that a package may have. Another kind of file needs a line here."""

NOT_IN_SDIST = (".ci/",)
"""Prefixes of the sources that only a checkout needs."""

MOST_BYTES = {"wheel": 3_000_000, "sdist": 9_000_000}
"""Of the files, unpacked. A larger release needs a reason, and a line here."""


def wheel_members(sources: Iterable[str], version: str) -> set[str]:
    """Return the paths that the wheel has to hold."""
    in_packages = {
        f"{package}{path.removeprefix(folder)}"
        for path in sources
        for package, folder in PACKAGES.items()
        if path.startswith(f"{folder}/")
    }
    info = f"sansio_moondream-{version}.dist-info"
    return in_packages | {f"{info}/{name}" for name in DIST_INFO}


def sdist_members(sources: Iterable[str]) -> set[str]:
    """Return the paths that the sdist has to hold."""
    return {path for path in sources if not path.startswith(NOT_IN_SDIST)} | {"PKG-INFO"}


def require_members(name: str, seen: Mapping[str, bytes], expected: set[str]) -> None:
    """Compare the files of an archive with those that it has to hold.

    Raises:
        CheckFailed: files are missing, or there are too many.
    """
    missing, unexpected = sorted(expected - seen.keys()), sorted(seen.keys() - expected)
    if missing or unexpected:
        raise CheckFailed(
            f"the {name} lacks {missing or 'nothing'}, and has {unexpected or 'nothing'} which it "
            "should not: see [tool.hatch.build.targets] in pyproject.toml, and release/contents.py"
        )


def require_kinds(seen: Iterable[str]) -> None:
    """Check that the packages of a wheel hold only files of the kinds that are expected.

    Raises:
        CheckFailed: there is another one.
    """
    strange = [
        name for name in seen if ".dist-info/" not in name and not IN_PACKAGES.fullmatch(name)
    ]
    if strange:
        raise CheckFailed(
            f"the wheel has {strange}: a kind of file that is new in a package needs a line in "
            "release/contents.py"
        )


def require_size(name: str, seen: Mapping[str, bytes]) -> int:
    """Check how much an archive holds. Returns the bytes of its files.

    Raises:
        CheckFailed: it is more than expected.
    """
    total, most = sum(map(len, seen.values())), MOST_BYTES[name]
    if total > most:
        largest = sorted(seen, key=lambda path: -len(seen[path]))[:5]
        raise CheckFailed(
            f"the {name} has {total:,} bytes, and {most:,} are expected at most; its largest files "
            f"are {', '.join(f'{path} ({len(seen[path]):,})' for path in largest)}"
        )
    return total


def by_folder(seen: Iterable[str]) -> list[str]:
    """Return one line for each folder at the top, with the number of its files."""
    counts = Counter(path.partition("/")[0] for path in seen)
    return [f"{count:5}  {folder}" for folder, count in sorted(counts.items())]
