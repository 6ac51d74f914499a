"""Tables in Parquet files, with pyarrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from moondream_transports.bulk._values import Item
from sansio_moondream._errors import shorten
from sansio_moondream._pictures.opening import require
from sansio_moondream._repr import short_repr

from ._options import Options, display_name
from ._rows import URL_COLUMNS, Rows, check_names

_BATCH_ROWS = 16  # each may have a picture of several megabytes
_BUFFER_BYTES = 1 << 20  # otherwise a column of a whole group of rows is read at once


class ParquetTable:
    """The rows of a Parquet file. Only the columns that are used are read.

    A group of rows that cannot be read is a problem of each of its rows. The next group is read.
    """

    def __init__(self, path: Path, label: str, options: Options) -> None:
        require("pyarrow", "pyarrow", extra="bulk")
        self._path = path
        name = display_name(path)
        # pyarrow has many classes of errors, and several of them are builtin ones.
        self._errors = (import_module("pyarrow").ArrowException, OSError, ValueError, OverflowError)
        with path.open("rb") as opened:
            try:
                file = _parquet_file(opened)
                names: list[str] = file.schema_arrow.names
                self._count: int = file.metadata.num_rows
            except self._errors as error:
                raise ValueError(f"{name} is no Parquet file: {shorten(str(error))}") from error
            check_names(name, names)
            urls = [column for column in names if column.lower() in URL_COLUMNS]
            self._make = Rows(path, label, names, self._first(file, urls), options)
        self._used = self._make.used or names[:1]  # pyarrow counts no rows without columns

    def __iter__(self) -> Iterator[Item]:
        number = 0
        with self._path.open("rb") as opened:
            file = _parquet_file(opened)
            for group in range(file.num_row_groups):
                end = number + file.metadata.row_group(group).num_rows
                fault = ValueError("it is missing")
                for row in self._rows(file, group, self._used):
                    if isinstance(row, ValueError):
                        fault = row
                        break
                    number += 1
                    yield self._make.item(number, f"row {number}", self._values(row))
                while number < end:
                    number += 1
                    yield self._make.problem(number, f"row {number}", fault)

    def count(self) -> int:
        return self._count

    def _values(self, cells: dict[str, Any]) -> dict[str, Any]:
        """Return the values of a row, and an error for each that Python cannot have.

        That is a text that is no UTF-8, or a moment that needs nanoseconds.
        """
        values: dict[str, Any] = {}
        for name, cell in cells.items():
            try:
                values[name] = cell.as_py()
            except self._errors as error:
                column = f"the column {short_repr(name, 60)}"
                values[name] = ValueError(f"{column} cannot be read: {shorten(str(error))}")
        return values

    def _first(self, file: Any, names: Sequence[str]) -> dict[str, Any]:
        """Return the values of the first row, as far as they can be read."""
        if not names or not file.num_row_groups:
            return {}
        row = next(self._rows(file, 0, names), None)
        return self._values(row) if isinstance(row, dict) else {}

    def _rows(
        self, file: Any, group: int, names: Sequence[str]
    ) -> Iterator[dict[str, Any] | ValueError]:
        """Return the rows of a group, as scalars of pyarrow, and an error where they end early."""
        try:
            for batch in file.iter_batches(
                _BATCH_ROWS, row_groups=[group], columns=names, use_threads=False
            ):
                columns = {name: batch.column(name) for name in names}
                for index in range(batch.num_rows):
                    yield {name: column[index] for name, column in columns.items()}
        except self._errors as error:
            yield ValueError(f"it cannot be read: {shorten(str(error))}")


def _parquet_file(opened: Any) -> Any:
    parquet = import_module("pyarrow.parquet")
    return parquet.ParquetFile(opened, buffer_size=_BUFFER_BYTES, pre_buffer=False)
