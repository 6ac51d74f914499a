"""The items of a bulk run, read from files.

    sources -> readers -> items

`_sources` finds out what each source is. Each kind has a reader: `_folder` for pictures in files,
`_csv`, `_json_lines` and `_parquet` for tables, whose rows `_rows` turns into items.

1. What makes a whole source unusable is an error before the first item. What is wrong with one line
   or row is a problem of its item, and the others are not affected.
2. Items are read one by one. The memory that this takes does not depend on their number, apart from
   the names of the files of one folder, and the paths that a glob matches.
3. The same sources give the same items in the same order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized

from moondream_transports.bulk._template import Template
from moondream_transports.bulk._values import Item

from ._options import Options, Reader
from ._sources import SourcePath, find_readers

__all__ = ["SourcePath", "count_items", "read_items"]


class _Items:
    """The items of several readers. They can be read more than once."""

    def __init__(self, readers: Sequence[Reader]) -> None:
        self._readers = readers

    def __iter__(self) -> Iterator[Item]:
        for reader in self._readers:
            yield from reader

    def count(self) -> int:
        return sum(reader.count() for reader in self._readers)


def read_items(
    sources: SourcePath | Iterable[SourcePath],
    *,
    template: Template | None = None,
    id_column: str | None = None,
    picture_column: str | None = None,
    pictures: bool = True,
    recursive: bool = True,
    follow_links: bool = False,
    delimiter: str | None = None,
    encoding: str = "utf-8",
) -> Iterable[Item]:
    """Read the items of a bulk run, one by one, in an order that stays the same.

    A source is a folder with pictures, a picture, a glob, a table (`.csv`, `.tsv`, `.jsonl`,
    `.ndjson` or `.parquet`) or a list of pictures (`.txt`, a path in each line). The paths in a
    file are relative to that file.

    The id of an item is what its row has in the id column. Without such a column it is the number
    of the row, from 1, and for a picture its path in the folder. With several sources, such an id
    begins with its source, as in `"train/cat.jpg"` and `"train.csv:1"`.

    Args:
        sources: one or more of them. Their items come one after another.
        template: of the run. Then only the columns that it uses are read, and an error says if one
            is missing. Without it, `Item.fields` has all columns.
        id_column: of a table. None: the column `id`, if there is one.
        picture_column: of a table. It has paths, data URLs, bytes, or structs of `bytes` and
            `path` as Hugging Face's. None: the first of some usual names that a table has.
        pictures: False if the questions have no pictures. A table needs no column for them then.
        recursive: read the folders in a folder, too.
        follow_links: read what links in a folder lead to even if it is outside of that folder.
        delimiter: of CSV files. None: the one of comma, semicolon, tab and `|` that is most often
            in the header.
        encoding: of CSV files, of JSON lines and of lists.

    Returns:
        The items. They may be iterated again, and `count_items` counts them.

    Raises:
        ValueError: a source has no items, is of no known kind, or is not what its name says; or a
            column is missing. The message names the file.
        OSError: there is no such file, or it cannot be read.
        ModuleNotFoundError: a Parquet file needs pyarrow, which is not installed.
    """
    options = Options(
        template=template,
        id_column=id_column,
        picture_column=picture_column,
        pictures=pictures,
        recursive=recursive,
        follow_links=follow_links,
        delimiter=delimiter,
        encoding=encoding,
    )
    items = _Items(find_readers(sources, options))
    if next(iter(items), None) is None:
        raise ValueError("the sources have no items: their tables and lists have only blank lines")
    return items


def count_items(items: Iterable[Item]) -> int | None:
    """Count `items` without using them up. None: that is not possible, as for a generator.

    Those of `read_items` are counted by looking at their folders and files once more. A Parquet
    file knows its number of rows.
    """
    if isinstance(items, _Items):
        return items.count()
    return len(items) if isinstance(items, Sized) else None
