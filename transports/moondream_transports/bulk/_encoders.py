"""Rows as the bytes of a file: Parquet, JSON lines, CSV.

The same rows make the same bytes. Only a Parquet file depends on more than them: on the version of
pyarrow, whose name is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from importlib import import_module
from typing import Any, cast

from msgspec import to_builtins
from msgspec.json import Encoder as JSONEncoder

from ._columns import Columns, Type
from ._values import OutputFormat, Row

Encoder = Callable[[Iterable[Row], Columns], Iterator[bytes]]

_ROW_GROUP = 8_000_000
"""Bytes of answers in the ledger, and of masks, after which a row group ends."""
_FEW_VALUES = ["status", "finish_reason", "model", "request", "error_class"]
"""Columns of Parquet that have a dictionary. Elsewhere it would be as long as the column."""
PARQUET_OPTIONS: dict[str, Any] = {"compression": "zstd", "use_dictionary": _FEW_VALUES}
"""How pyarrow writes a Parquet file."""

_to_json = JSONEncoder().encode


def json_lines(rows: Iterable[Row], columns: Columns) -> Iterator[bytes]:
    """Encode each row as a JSON object on a line, with all columns in their order."""
    for row in rows:
        yield _to_json(dict(zip(columns.names, columns.read(row), strict=True))) + b"\n"


def csv(rows: Iterable[Row], columns: Columns) -> Iterator[bytes]:
    """Encode rows as CSV of RFC 4180 in UTF-8, with a header.

    All text is quoted, so that empty text differs from the empty cell of None. Nested values are
    JSON. Text is never changed, not even if a spreadsheet would take it for a formula.
    """
    yield _line(columns.names)
    for row in rows:
        yield _line(columns.read(row))


def parquet(rows: Iterable[Row], columns: Columns) -> Iterator[bytes]:
    """Encode rows as Parquet, in row groups of bounded size, compressed by Zstandard."""
    schema, sink = arrow_schema(columns), _Sink()
    # pyarrow writes to memory, and we write the file: so it never sees the error of a full disk.
    writer = import_module("pyarrow.parquet").ParquetWriter(sink, schema, **PARQUET_OPTIONS)
    for group in _groups(rows, columns):
        writer.write_batch(record_batch(group, schema))
        yield sink.take()
    writer.close()
    yield sink.take()


def arrow_schema(columns: Columns) -> Any:
    """Return the schema of a Parquet file. Raises ModuleNotFoundError without pyarrow."""
    pyarrow = require_pyarrow()
    return pyarrow.schema(
        [(column.name, _arrow_type(pyarrow, column.type)) for column in columns.columns]
    )


def record_batch(read: Iterable[list[Any]], schema: Any) -> Any:
    """Return rows that `Columns.read` has read as a record batch of pyarrow."""
    columns = list(zip(*read, strict=True)) or [()] * len(schema.types)
    arrays = [
        require_pyarrow().array(to_builtins(values, builtin_types=[datetime]), type_)
        for values, type_ in zip(columns, schema.types, strict=True)
    ]
    return require_pyarrow().record_batch(arrays, schema=schema)


ENCODERS: dict[OutputFormat, Encoder] = {
    OutputFormat.PARQUET: parquet,
    OutputFormat.JSON_LINES: json_lines,
    OutputFormat.CSV: csv,
}


def require_pyarrow() -> Any:
    """Import pyarrow.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    try:
        return import_module("pyarrow")
    except ImportError:
        raise ModuleNotFoundError(
            "Parquet files need pyarrow, which is not installed: "
            "pip install 'sansio-moondream[bulk]', or write JSON lines or CSV",
            name="pyarrow",
        ) from None


class _Sink:
    """A file for pyarrow: it holds what was written until it is taken."""

    closed = False

    def __init__(self) -> None:
        self._chunks: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._chunks.append(data)
        return len(data)

    def flush(self) -> None:
        """Do nothing: nothing is buffered beyond what `take` returns."""

    def close(self) -> None:
        self.closed = True

    def take(self) -> bytes:
        data = b"".join(self._chunks)
        self._chunks.clear()
        return data


def _groups(rows: Iterable[Row], columns: Columns) -> Iterator[list[list[Any]]]:
    group: list[list[Any]] = []
    size = 0
    masks = [at for at, name in enumerate(columns.names) if name == "mask"]
    for row in rows:
        group.append(values := columns.read(row))
        size += len(row.answer) + sum(_mask_size(values[at]) for at in masks)
        if size >= _ROW_GROUP:
            yield group
            group, size = [], 0
    if group:
        yield group


def _mask_size(value: Any) -> int:
    return len(cast(dict[str, Any], value)["counts"]) if isinstance(value, dict) else 0


def _arrow_type(pyarrow: Any, type_: Type) -> Any:
    if isinstance(type_, dict):
        return pyarrow.struct([(name, _arrow_type(pyarrow, item)) for name, item in type_.items()])
    if isinstance(type_, list):
        return pyarrow.list_(_arrow_type(pyarrow, type_[0]))
    plain = {
        "text": pyarrow.string,
        "int64": pyarrow.int64,
        "float64": pyarrow.float64,
        "bool": pyarrow.bool_,
    }
    return plain[type_]() if type_ in plain else pyarrow.timestamp("us", tz="UTC")


def _line(values: Iterable[Any]) -> bytes:
    return (",".join(map(_cell, values)) + "\r\n").encode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        text = _to_json(value).decode()
        if isinstance(value, int | float):
            return text
        value = text.strip('"')  # of a time
    return '"' + cast(str, value).replace('"', '""') + '"'
