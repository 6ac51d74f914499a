"""Pictures in files: those of a folder, a picture that is named, and those of a list."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from moondream_transports.bulk._values import Item, Source

from ._lines import read_lines
from ._options import Options, display_name
from ._rows import check_no_columns, picture_of
from ._tree import Tree

PICTURE_SUFFIXES = (
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".png",
    ".webp",
    ".gif",
    ".bmp",
    ".tif",
    ".tiff",
    ".ppm",
    ".pgm",
    ".avif",
)


def is_picture_name(name: str) -> bool:
    """Test if the suffix of a file is that of a picture."""
    return name.lower().endswith(PICTURE_SUFFIXES)


class Picture:
    """A picture that is named as a source."""

    def __init__(self, path: Path, label: str, options: Options) -> None:
        check_no_columns(path, options)
        self._item = Item(label or display_name(path), path)

    def __iter__(self) -> Iterator[Item]:
        yield self._item

    def count(self) -> int:
        return 1


class PictureList:
    """The pictures whose paths are the lines of a file."""

    def __init__(self, path: Path, label: str, options: Options) -> None:
        check_no_columns(path, options)
        self._path = path
        self._folder = Path(display_name(path)).parent if label else Path()
        self._encoding = options.encoding
        next(read_lines(path, options.encoding), None)  # raises what is wrong with the whole file

    def __iter__(self) -> Iterator[Item]:
        for number, line in read_lines(self._path, self._encoding):
            try:
                if isinstance(line, ValueError):
                    raise line
                picture = self._picture_of(line)
            except ValueError as error:
                where = display_name(self._path)
                yield Item(f"{where}:{number}", problem=f"{where}, line {number}: {error}")
            else:
                yield Item(display_name(self._folder / line), picture)

    def _picture_of(self, line: str) -> Source:
        if line.startswith("data:"):
            raise ValueError("the line should be a path. Data URLs belong into a table")
        return picture_of(line, self._path.parent, "the line")

    def count(self) -> int:
        return sum(1 for _ in read_lines(self._path, self._encoding))


class Folder:
    """The pictures in a folder.

    Args:
        path: of the folder.
        label: begins the ids, which are paths in the folder.
        options: of `read_items`.
        tree: the files that are used. None: all pictures, by the suffixes of their names.
    """

    def __init__(self, path: Path, label: str, options: Options, tree: Tree | None = None) -> None:
        check_no_columns(path, options)
        os.scandir(path).close()  # raises what the walk would report as a problem
        self._root = path
        self._label = f"{label}/" if label not in ("", ".") else ""
        self._recursive = options.recursive
        self._tree = tree or Tree(path, self._is_used, follow_links=options.follow_links)
        if tree is None and next(self._tree.walk(), None) is None:
            inside = "" if options.recursive else ", apart from the folders in it"
            raise ValueError(
                f"{display_name(path)} has no pictures{inside}: no file whose name ends in "
                f"{', '.join(PICTURE_SUFFIXES)}. Tables and lists are given by their own names, or "
                "by a glob"
            )

    def __iter__(self) -> Iterator[Item]:
        for path, problem in self._tree.walk():
            name = self._label + display_name(path.rstrip("/") or ".")
            if problem is None:
                yield Item(name, self._root / path)
            else:
                yield Item(name, problem=display_name(f"{self._root / path}: {problem}"))

    def count(self) -> int:
        return sum(1 for _ in self._tree.walk())

    def _is_used(self, path: str) -> bool:
        return self._recursive if path.endswith("/") else is_picture_name(path)
