"""From a row of a table to an item."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from moondream_transports.bulk._values import Item, Source
from sansio_moondream._repr import short_repr
from sansio_moondream._requests.checks import has_lone_surrogate

from ._options import MAX_ID, Options, display_name

PICTURE_COLUMNS = (
    "picture",
    "image",
    "picture_path",
    "image_path",
    "path",
    "file",
    "file_name",
    "filename",
    "file_path",
)
URL_COLUMNS = ("image_url", "data_url", "url")  # if they have data URLs
_MAX_PATH = 4096
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_BAD_TEXT = "it has bytes that are not in the encoding of the file: give encoding, such as cp1252"


class Rows:
    """Makes the items of a table from its rows.

    Args:
        path: of the table. Paths in its rows are relative to its folder.
        label: begins the ids that are numbers of rows.
        names: of the columns, each once.
        first: the first row, to see what its columns have.
        options: of `read_items`.

    Raises:
        ValueError: a column is missing.
    """

    def __init__(
        self,
        path: Path,
        label: str,
        names: Collection[str],
        first: Mapping[str, Any],
        options: Options,
    ) -> None:
        self._path = path
        self._name = display_name(path)
        self._label = f"{label}:" if label else ""
        self._id = _id_column(self._name, names, options)
        self._picture = _picture_column(self._name, names, first, options)
        template = options.template
        self._is_selected = template is not None
        if template is None:
            used = set(names) - {self._id, self._picture}
        else:
            try:
                template.check_columns(names)
            except ValueError as error:
                raise ValueError(f"{self._name}: {error}") from None
            used = set(names) & template.columns
            if self._id == "id":
                used.discard("id")  # Item.id has it
        self._fields = [name for name in names if name in used]
        self.used = [name for name in names if name in {*used, self._id, self._picture}]

    def item(self, number: int, place: str, row: Mapping[str, Any]) -> Item:
        """Make the item of a row.

        Args:
            number: of the row, from 1.
            place: where it is in the table, for people: `"line 7"`.
            row: its values by column. A ValueError is raised if its column is used.
        """
        item_id = self._unknown_id(number)
        picture: Source = None
        try:
            if self._id is not None:
                item_id = _id(self._id, _cell(row, self._id))
            if self._picture is not None:
                picture = self._picture_of(self._picture, _cell(row, self._picture))
            fields = dict(self._fields_of(row))
        except ValueError as error:
            return Item(item_id, problem=self._problem(place, error))
        return Item(item_id, picture, fields)

    def _fields_of(self, row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        for name in self._fields:
            try:
                yield name, _plain(name, _cell(row, name))
            except ValueError:
                if self._is_selected:
                    raise  # otherwise it may be a column that nobody needs

    def _picture_of(self, column: str, value: object) -> Source:
        shown = f"the column {short_repr(column, 60)}"
        if isinstance(value, str) and has_lone_surrogate(value):
            raise ValueError(f"{shown}: {_BAD_TEXT}")
        return picture_of(value, self._path.parent, shown)

    def problem(self, number: int, place: str, error: Exception) -> Item:
        """Make the item of a row that cannot be read."""
        return Item(self._unknown_id(number), problem=self._problem(place, error))

    def _unknown_id(self, number: int) -> str:
        # In a table with ids, a number alone could be the id of another row.
        return f"{self._label}{number}" if self._id is None else f"{self._name}:{number}"

    def _problem(self, place: str, error: Exception) -> str:
        return display_name(f"{self._name}, {place}: {error}")


def check_names(table: str, names: Collection[str]) -> None:
    """Check that no two columns have the same name. Raises ValueError."""
    name, count = next(iter(Counter(names).most_common(1)), ("", 0))
    if count > 1:
        raise ValueError(f"{table} has {count} columns with the name {short_repr(name, 60)}")


def check_no_columns(path: Path, options: Options) -> None:
    """Check the options for a source that has pictures and no columns. Raises ValueError."""
    name = display_name(path)
    if not options.pictures:
        raise ValueError(f"{name} has pictures, although pictures=False is given")
    for column in (options.id_column, options.picture_column):
        if column is not None:
            raise ValueError(f"{name} is no table, so it has no column {short_repr(column, 60)}")
    if options.template is not None:
        try:
            options.template.check_columns(())
        except ValueError as error:
            raise ValueError(f"{name} is no table: {error}") from None


def picture_of(value: object, folder: Path, shown: str) -> Source:
    """Return the picture that a cell or a line names. Nothing is read.

    Args:
        value: a path, a data URL, bytes, or an object with `bytes` or `path`.
        folder: that paths are relative to.
        shown: the name of the cell for people.

    Raises:
        ValueError: it names no picture.
    """
    if value is None or (isinstance(value, str | bytes) and not value):
        raise ValueError(f"{shown} is empty, and it should have a picture")
    if isinstance(value, bytes):
        return value
    if isinstance(value, Mapping):
        parts = cast(Mapping[str, Any], value)
        if not {"bytes", "path"} & parts.keys():
            raise ValueError(f"{shown} should have `bytes` or `path`; it has {_listed(parts)}")
        return picture_of(parts.get("bytes") or parts.get("path"), folder, shown)
    if isinstance(value, str):
        return value if value.startswith("data:") else folder / _path(value, shown)
    raise ValueError(f"{shown} should be a path, a data URL or bytes, not {type(value).__name__}")


def _path(text: str, shown: str) -> str:
    if _ADDRESS.match(text):
        raise ValueError(
            f"{shown} is an address, {short_repr(text, 60)}. A run reads no pictures from the "
            "network: download them first"
        )
    if "\0" in text or len(text) > _MAX_PATH:
        raise ValueError(
            f"{shown} should be a path or a data URL, not {len(text):,} characters that begin "
            f"{text[:20]!r}"
        )
    return text


def _id_column(table: str, names: Collection[str], options: Options) -> str | None:
    if options.id_column is None:
        return "id" if "id" in names else None
    return _existing(table, names, options.id_column)


def _picture_column(
    table: str, names: Collection[str], first: Mapping[str, Any], options: Options
) -> str | None:
    if not options.pictures:
        return None
    if options.picture_column is not None:
        return _existing(table, names, options.picture_column)
    by_lower = {name.lower(): name for name in reversed(list(names))}
    for usual in PICTURE_COLUMNS:
        if usual in by_lower:
            return by_lower[usual]
    for usual in URL_COLUMNS:
        if usual in by_lower:
            value: object = first.get(by_lower[usual])
            if isinstance(value, str) and value.startswith("data:"):
                return by_lower[usual]
    raise ValueError(
        f"{table} has no column with pictures. We looked for {', '.join(PICTURE_COLUMNS)}, and "
        f"for data URLs in {', '.join(URL_COLUMNS)}. Its columns: {_listed(names)}. Give "
        "picture_column, or pictures=False for questions without pictures"
    )


def _existing(table: str, names: Collection[str], name: str) -> str:
    if name not in names:
        raise ValueError(
            f"{table} has no column {short_repr(name, 60)}. Its columns: {_listed(names)}"
        )
    return name


def _listed(names: Collection[str]) -> str:
    shown = [short_repr(name, 60) for name in list(names)[:30]]
    return ", ".join(shown + ["…"] * (len(names) > len(shown))) or "none"


def _id(column: str, value: object) -> str:
    match value:
        case bool():
            pass
        case int():
            value = str(value)
        case float() if value.is_integer():  # whole numbers, in a column with nulls
            value = str(int(value))
        case Decimal() if value == value.to_integral_value():
            value = str(int(value))
        case bytes():  # text, in a Parquet file of a program that does not mark it
            value = _plain(column, value)
        case _:
            pass
    valid = isinstance(value, str) and value.strip() and len(value) <= MAX_ID
    if not isinstance(value, str) or not valid or has_lone_surrogate(value):
        raise ValueError(
            f"the column {short_repr(column, 60)} should have an id, text of at most {MAX_ID:,} "
            f"characters or a whole number, not {short_repr(value, 60)}"
        )
    return value


def _cell(row: Mapping[str, Any], name: str) -> Any:
    value = row.get(name)
    if isinstance(value, ValueError):
        raise value
    return value


def _plain(column: str, value: Any) -> Any:
    """Return a cell's value in plain JSON types. Raises ValueError."""
    match value:
        case None | bool() | int():
            return value
        case str():
            if has_lone_surrogate(value):
                raise ValueError(f"the column {short_repr(column, 60)}: {_BAD_TEXT}")
            return value
        case float():
            return value if math.isfinite(value) else None
        case list() | tuple():
            return [_plain(column, item) for item in cast(list[Any], value)]
        case Mapping():
            fields = cast(Mapping[Any, Any], value)
            return {str(name): _plain(column, item) for name, item in fields.items()}
        case datetime() | date() | time():
            return value.isoformat()
        case Decimal() | timedelta():
            return str(value)
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError:
                raise ValueError(
                    f"the column {short_repr(column, 60)} has bytes that are no text"
                ) from None
        case _:
            raise ValueError(
                f"the column {short_repr(column, 60)} has a value of an unknown type, "
                f"{type(value).__name__}"
            )
