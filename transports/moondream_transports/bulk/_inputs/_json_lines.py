"""Tables in JSON lines: an object in each line."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, cast

from moondream_transports.bulk._values import Item
from sansio_moondream._repr import short_repr
from sansio_moondream._unicode import well_formed
from sansio_moondream._wire.json import BeyondLimit, decode

from ._lines import read_lines
from ._options import Options, display_name
from ._rows import Rows

_FIRST_ROWS = 100  # that are read to learn the columns
_MAX_DEPTH = 100
_MAX_VALUES = 1_000_000


class JSONLines:
    """The rows of a file in JSON lines."""

    def __init__(self, path: Path, label: str, options: Options) -> None:
        self._path = path
        self._encoding = options.encoding
        names: dict[str, None] = {}
        first: dict[str, Any] | None = None
        fault: ValueError | None = None
        for number, line in islice(read_lines(self._path, self._encoding), _FIRST_ROWS):
            try:
                row = _decode(line)
            except ValueError as error:
                fault = fault or ValueError(f"line {number}: {error}")
            else:
                names |= dict.fromkeys(row)
                first = row if first is None else first
        if first is None and fault is not None:
            raise ValueError(
                f"{display_name(path)} has no line with a JSON object among its first "
                f"{_FIRST_ROWS}: {fault}"
            )
        self._make = None if first is None else Rows(path, label, names, first, options)

    def __iter__(self) -> Iterator[Item]:
        if self._make is None:
            return
        for row_number, (number, line) in enumerate(read_lines(self._path, self._encoding), 1):
            place = f"line {number}"
            try:
                row = _decode(line)
            except ValueError as error:
                yield self._make.problem(row_number, place, error)
            else:
                yield self._make.item(row_number, place, row)

    def count(self) -> int:
        return sum(1 for _ in read_lines(self._path, self._encoding))


def _decode(line: str | ValueError) -> dict[str, Any]:
    if isinstance(line, ValueError):
        raise line
    try:
        row = decode(line.encode(), _MAX_DEPTH, _MAX_VALUES)
    except UnicodeEncodeError:
        raise ValueError("it has bytes that are not in the encoding of the file") from None
    except BeyondLimit as error:
        raise ValueError(f"it is {error}") from None
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except ValueError as error:
        raise ValueError(f"it is no JSON: {error}") from None
    if isinstance(row, dict):
        return cast(dict[str, Any], well_formed(row))
    raise ValueError(f"it should be a JSON object, not {short_repr(row, 60)}")
