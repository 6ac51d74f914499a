"""Items as rows of Ray Data, and back.

A table of items has two columns: `id`, by which Ray's checkpoint knows them, and `item`, pickled.
So a path that is no UTF-8 and a value of any type arrive as they are. Pictures are not in it if
the items have paths: a worker reads them.
"""

from __future__ import annotations

import hashlib
import logging
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import chdir, closing, nullcontext
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from moondream_transports._map.items import ItemReader
from moondream_transports.bulk._encoders import require_pyarrow
from moondream_transports.bulk._inputs._options import Options
from moondream_transports.bulk._inputs._rows import Rows
from moondream_transports.bulk._values import Item

ITEM = "item"
_LOGGER = logging.getLogger("moondream_transports")
_DATASET = "the dataset"
_SHOWN = 5  # ids that came twice


def item_tables(items: Iterable[Item], rows: int) -> Iterator[Any]:
    """Yield the items as tables of pyarrow, so many rows each. An id that came before is left out.

    Paths of pictures become absolute, as a worker has another folder.

    Raises:
        TypeError: an item is no `Item`.
    """
    pyarrow = require_pyarrow()
    schema = pyarrow.schema([("id", pyarrow.string()), (ITEM, pyarrow.binary())])
    table: list[dict[str, Any]] = []
    for item in _with_new_ids(items):
        if isinstance(item.picture, Path):
            item = replace(item, picture=item.picture.absolute())
        table.append({"id": item.id, ITEM: pickle.dumps(item)})
        if len(table) == rows:
            yield pyarrow.Table.from_pylist(table, schema=schema)
            table = []
    yield pyarrow.Table.from_pylist(table, schema=schema)


def items_of(table: Any) -> list[Item]:
    """Return the items of a table of `item_tables`. They are unpickled: never call it for others.

    Args:
        table: that this program or its cluster has made.
    """
    return [pickle.loads(item) for item in table[ITEM].to_pylist()]


def items_of_rows(table: Any, options: Options) -> list[Item]:
    """Return the items of a table with columns of its own.

    Raises:
        ValueError: a column is missing, or a row has no id. Such a row cannot be a failed one, as
            Ray's checkpoint would not know it, and the next run would add it again.
    """
    names: Sequence[str] = table.column_names
    rows: list[dict[str, Any]] = table.to_pylist()
    make = Rows(Path(_DATASET), "", names, rows[0] if rows else {}, options)
    items: list[Item] = []
    for number, row in enumerate(rows, 1):
        item = make.item(number, f"row {number} of its batch", row)
        if item.problem is not None and item.id == f"{_DATASET}:{number}":  # instead of an id
            raise ValueError(item.problem)
        items.append(item)
    return items


def make_datasource(items: Iterable[Item], rows: int) -> Any:
    """Return a source of Ray Data with these items. One task reads them, as their order counts."""
    from ray.data import Datasource, ReadTask
    from ray.data.block import BlockMetadata

    class ItemSource(Datasource):
        """The items of a bulk run."""

        def get_name(self) -> str:
            return "Items"

        def estimate_inmemory_data_size(self) -> int | None:
            return None

        def get_read_tasks(
            self,
            parallelism: int,
            per_task_row_limit: int | None = None,
            data_context: Any = None,
        ) -> list[Any]:
            return [ReadTask(_reading(items, rows), BlockMetadata(None, None, None, None))]

    return ItemSource()


def _reading(items: Iterable[Item], rows: int) -> Callable[[], Iterator[Any]]:
    """Return what the task does. Paths are relative to the folder of the program."""
    folder = Path.cwd()

    def read() -> Iterator[Any]:
        with chdir(folder) if folder.is_dir() else nullcontext():
            yield from item_tables(items, rows)

    return read


def _with_new_ids(items: Iterable[Item]) -> Iterator[Item]:
    seen: set[bytes] = set()  # digests, as ids may be long
    twice: list[str] = []
    with closing(ItemReader(items)) as reader:
        for item in reader:
            if not isinstance(item, Item):
                raise TypeError(f"each item should be an Item, not {type(item).__name__}")
            digest = hashlib.blake2b(item.id.encode(), digest_size=16).digest()
            if digest in seen:
                twice.append(item.id)
            else:
                seen.add(digest)
                yield item
    if twice:
        _LOGGER.warning(
            "%d items were not asked, as their ids came before: %s",
            len(twice),
            ", ".join(map(repr, twice[:_SHOWN])) + ", ..." * (len(twice) > _SHOWN),
        )
