"""Find out what each source is."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TypeAlias

from sansio_moondream._pictures.formats import image_info
from sansio_moondream._repr import short_repr

from ._csv import CSVTable
from ._folder import PICTURE_SUFFIXES, Folder, Picture, PictureList, is_picture_name
from ._json_lines import JSONLines
from ._options import Options, Reader, display_name
from ._parquet import ParquetTable
from ._tree import Pattern, Tree

SourcePath: TypeAlias = str | os.PathLike[str]
_Kind: TypeAlias = Callable[[Path, str, Options], Reader]

_TABLES: dict[str, _Kind] = {
    ".csv": CSVTable,
    ".tsv": CSVTable,
    ".jsonl": JSONLines,
    ".ndjson": JSONLines,
    ".parquet": ParquetTable,
}
_LISTS: dict[str, _Kind] = {".txt": PictureList}
_KINDS = (
    f"a folder, a picture, a glob, a table ({', '.join(_TABLES)}) or a list of paths "
    f"({', '.join(_LISTS)})"
)


def find_readers(sources: SourcePath | Iterable[SourcePath], options: Options) -> list[Reader]:
    """Return a reader for each source. Raises the errors of `read_items`."""
    given = [sources] if isinstance(sources, str | os.PathLike) else list(sources)
    if not given:
        raise ValueError(f"no source is given: name {_KINDS}")
    readers: list[Reader] = []
    for source in given:
        text = os.fspath(source)
        if not text:
            raise ValueError(f"a source is an empty text. It should be the name of {_KINDS}")
        path = Path(text)
        is_sole = len(given) == 1
        if path.exists():
            label = "" if is_sole else display_name(path)
            readers.append(_kind_of(path)(path, label, options))
        elif glob.has_magic(text):
            readers.extend(_of_glob(text, is_sole, options))
        else:
            raise FileNotFoundError(f"there is no file or folder {display_name(path)}")
    return readers


def _of_glob(text: str, is_sole: bool, options: Options) -> list[Reader]:
    """Return the readers of the files that a glob matches.

    They are pictures, or else tables, or else lists: a glob may match the notes that lie beside
    pictures, too.
    """
    pattern = Pattern(text)
    root = pattern.root
    if root.is_dir():
        pictures = _matches(pattern, PICTURE_SUFFIXES, options)
        if any(not path.endswith("/") for path, _ in pictures.walk()):
            return [Folder(root, "" if is_sole else display_name(root), options, pictures)]
        for kinds in (_TABLES, _LISTS):
            found = list(_matches(pattern, kinds, options).walk())
            # A link to a table is no danger: it is read, and not sent.
            if files := [root / path for path, _ in found if not path.endswith("/")]:
                for path, problem in found:
                    if path.endswith("/"):
                        raise ValueError(f"{display_name(root / path)}: {problem}")
                base = root if is_sole else Path()
                return [
                    _kind_of(file)(file, display_name(file.relative_to(base)), options)
                    for file in files
                ]
    raise FileNotFoundError(
        f"the glob {short_repr(text, 200)} matches no pictures, tables or lists. To read folders, "
        "name them, or end the glob in /**/*"
    )


def _matches(pattern: Pattern, suffixes: Collection[str], options: Options) -> Tree:
    """Return the files that a glob matches and that have one of the suffixes."""

    def is_used(path: str) -> bool:
        is_of_kind = path.endswith("/") or Path(path).suffix.lower() in suffixes
        return is_of_kind and pattern.matches(path)

    return Tree(pattern.root, is_used, follow_links=options.follow_links)


def _kind_of(path: Path) -> _Kind:
    if path.is_dir():
        return Folder
    suffix = path.suffix.lower()
    if kind := (_TABLES | _LISTS).get(suffix):
        if not path.is_file():  # a pipe can be read only once
            raise ValueError(f"{display_name(path)} should be a file, as it is read several times")
        return kind
    if is_picture_name(path.name) or _is_picture(path):
        return Picture
    raise ValueError(f"{display_name(path)} is no source. A source is {_KINDS}")


def _is_picture(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return image_info(file.read(16))[0] is not None
