"""Build the wheel and the sdist twice, from sources that differ in nothing but circumstances.

The second build has another folder, umask, time zone, language and hash seed, and younger files.
Its wheel is built from its sdist, as installers build it where they take no wheel. Both builds have
to be equal to the byte: then anybody can build a release again and compare.
"""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from release.commands import ROOT, CheckFailed, run


@dataclass(frozen=True)
class Circumstances:
    """What must not matter to a build.

    Attributes:
        folder: the name of the folder with the sources.
        umask: of the copies and of the build.
        modified_at: of each file, in seconds since 1970.
        variables: of the environment of the build.
    """

    folder: str
    umask: int
    modified_at: int
    variables: dict[str, str] = field(default_factory=dict[str, str])


FIRST = Circumstances("first", 0o022, 1_000_000_000, {"TZ": "UTC", "PYTHONHASHSEED": "1"})
SECOND = Circumstances(
    "the second/ä",
    0o077,
    1_700_000_001,
    {"TZ": "Asia/Kathmandu", "LC_ALL": "C", "PYTHONHASHSEED": "2"},
)


def sources(root: Path = ROOT) -> list[str]:
    """Return the paths of the files that git knows, or would add, relative to the root.

    Raises:
        CheckFailed: the folder is no work tree of git.
    """
    listed = run(
        "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=root
    ).split("\0")
    return sorted(path for path in listed if path and (root / path).is_file())


def build(circumstances: Circumstances, folder: Path) -> tuple[Path, Path]:
    """Copy the sources into a folder and build them there.

    Returns:
        The paths of the wheel, which is built from the sdist, and of the sdist.

    Raises:
        CheckFailed: the build failed.
    """
    before = os.umask(circumstances.umask)
    try:
        copy, dist = folder / circumstances.folder, folder / "dist"
        for path in sources():
            (copy / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / path, copy / path)
            os.utime(copy / path, (circumstances.modified_at, circumstances.modified_at))
        for kind, source in (("sdist", copy), ("wheel", None)):
            run(
                *(sys.executable, "-m", "build", "--no-isolation", f"--{kind}", "--outdir", dist),
                source or unpacked(sdist_in(dist), folder / "unpacked"),
                cwd=folder,
                **circumstances.variables,
            )
    finally:
        os.umask(before)
    return wheel_in(dist), sdist_in(dist)


def build_from_tree(circumstances: Circumstances, folder: Path) -> Path:
    """Build a wheel from the sources that `build` has copied. Returns its path."""
    dist = folder / "from-tree"
    run(
        *(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", dist),
        folder / circumstances.folder,
        cwd=folder,
        **circumstances.variables,
    )
    return wheel_in(dist)


def unpacked(sdist: Path, folder: Path) -> Path:
    """Unpack an sdist into a folder. Returns its only folder."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return _only(folder.iterdir())


def wheel_in(folder: Path) -> Path:
    """Return the only wheel of a folder."""
    return _only(folder.glob("*.whl"))


def sdist_in(folder: Path) -> Path:
    """Return the only sdist of a folder."""
    return _only(folder.glob("*.tar.gz"))


def _only(paths: Iterable[Path]) -> Path:
    (path,) = paths
    return path


def members(archive: Path) -> dict[str, bytes]:
    """Return the files of a wheel or an sdist by path. The folder of an sdist is left out."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return {name: wheel.read(name) for name in wheel.namelist()}
    with tarfile.open(archive) as sdist:
        return {
            member.name.partition("/")[2]: file.read()
            for member in sdist.getmembers()
            if (file := sdist.extractfile(member)) is not None
        }


def require_equal(one: Path, other: Path) -> None:
    """Compare two archives.

    Raises:
        CheckFailed: they differ. The message names the files that do, if it is not only order,
            time or mode.
    """
    if one.read_bytes() == other.read_bytes():
        return
    ours, theirs = members(one), members(other)
    different = sorted(
        name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)
    )
    seen = ", ".join(different[:10]) or "no file, but the order, times or modes of the files"
    raise CheckFailed(
        f"two builds of {one.name} should be equal to the byte, but they differ in: {seen}"
    )
