"""Walk over the files of a folder.

1. The paths come in the order of their texts, and names that begin with a dot are skipped.
2. A link may lead anywhere. A folder that somebody else has made could send any picture of this
   computer to the server by one, so a link that leads out of the folder is a problem in words,
   unless links are to be followed.
3. A folder that is reached twice, by links, is read once. So the walk ends.
"""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

IsUsed = Callable[[str], bool]
"""Says for a path, relative to the root and with slashes, if it is used. Folders end in a slash."""


class Found(NamedTuple):
    """A path relative to the root, and what keeps it from being used."""

    path: str
    problem: str | None = None


class Tree:
    """A folder, and which of its files and folders are used."""

    def __init__(self, root: Path, is_used: IsUsed, *, follow_links: bool) -> None:
        self._root = root
        self._is_used = is_used
        self._follow_links = follow_links
        self._real_root = Path(os.path.realpath(root))

    def walk(self) -> Iterator[Found]:
        """Return the files that are used, and each path that cannot be read."""
        visited: set[tuple[int, int]] = set()
        levels = [self._entries("", visited)]  # a list, as folders may be nested a thousand deep
        while levels:
            found = next(levels[-1], None)
            if found is None:
                levels.pop()
            elif found.path.endswith("/") and found.problem is None:
                levels.append(self._entries(found.path, visited))
            else:
                yield found

    def _entries(self, folder: str, visited: set[tuple[int, int]]) -> Iterator[Found]:
        names: list[str] = []  # and no more of them: there may be a million
        links: set[str] = set()
        try:
            status = os.stat(self._root / folder)
            if (status.st_dev, status.st_ino) in visited:
                return
            visited.add((status.st_dev, status.st_ino))
            with os.scandir(self._root / folder) as entries:
                for entry in entries:
                    name = f"{entry.name}/" if _is_folder(entry) else entry.name
                    if not name.startswith(".") and self._is_used(folder + name):
                        names.append(name)
                        if entry.is_symlink():
                            links.add(name)
        except OSError as error:
            yield Found(folder, f"it cannot be read: {error.strerror}")
            return
        names.sort()  # with the slashes of folders, so that all paths come in order
        for name in names:
            target = self._outside(folder + name) if name in links else None
            yield Found(
                folder + name,
                target
                and f"it is a link that leads out of {self._root}, to {target}. Allow such links "
                "with follow_links",
            )

    def _outside(self, name: str) -> str | None:
        """Return where a link leads, if that is not in the folder."""
        if self._follow_links:
            return None
        target = os.path.realpath(self._root / name)
        return None if Path(target).is_relative_to(self._real_root) else target


class Pattern:
    """A glob. `**` stands for any number of folders.

    Python's own walks into each link to a folder again and again.
    """

    def __init__(self, text: str) -> None:
        parts = Path(text).parts
        fixed = next(at for at, part in enumerate(parts) if glob.has_magic(part))
        self.root = Path(*parts[:fixed])
        """The folder before the first wildcard."""
        self._parts = parts[fixed:]

    def matches(self, path: str) -> bool:
        """Test if a file matches, or if files in a folder may match."""
        is_folder = path.endswith("/")
        return _fits(path.rstrip("/").split("/"), self._parts, is_folder)


def _fits(path: Sequence[str], parts: Sequence[str], is_folder: bool) -> bool:
    if not path:
        return bool(parts) if is_folder else all(part == "**" for part in parts)
    if not parts:
        return False
    if parts[0] == "**":
        return _fits(path, parts[1:], is_folder) or _fits(path[1:], parts, is_folder)
    return fnmatch.fnmatch(path[0], parts[0]) and _fits(path[1:], parts[1:], is_folder)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False
