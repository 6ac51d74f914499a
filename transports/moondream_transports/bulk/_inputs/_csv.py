"""Tables in CSV (RFC 4180): a header, then rows. A quoted cell may have line ends."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from moondream_transports.bulk._values import Item

from ._lines import MAX_LINE, Lines, open_lines
from ._options import Options, display_name
from ._rows import Rows, check_names

_DELIMITERS = (",", ";", "\t", "|")
_MAX_LINES = 1000  # of a row. A quote that is not closed would take all the rows behind it


class _RowLines:
    """The lines of a CSV file for a reader of rows. It bounds each row."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._characters = 0
        self.start = 0
        """The number of the first line of the row."""

    def begin_row(self) -> None:
        self.start = self._lines.number + 1
        self._characters = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._lines.number >= self.start + _MAX_LINES:
            raise ValueError(f"it has more than {_MAX_LINES:,} lines: a quote is not closed")
        line = next(self._lines)
        self._characters += len(line)
        if self._characters > MAX_LINE:
            raise ValueError(f"it has more than {MAX_LINE:,} characters: a quote is not closed")
        return line


class CSVTable:
    """The rows of a CSV file."""

    def __init__(self, path: Path, label: str, options: Options) -> None:
        self._path = path
        self._encoding = options.encoding
        name = display_name(path)
        self._delimiter = options.delimiter or self._guess()
        rows = self._rows()
        match next(rows, (1, 1, ValueError("it is empty"))):
            case _, _, list() as header:
                self._names = [cell.strip() for cell in header]
            case _, _, fault:
                raise ValueError(f"{name} has no header with the names of its columns: {fault}")
        named = [cell for cell in self._names if cell]  # pandas has a column without a name
        check_names(name, named)
        first = next((row for _, _, row in rows if not isinstance(row, ValueError)), None)
        values = dict(zip(self._names, first or (), strict=False))
        self._make = Rows(path, label, named, values, options)

    def __iter__(self) -> Iterator[Item]:
        rows = self._rows()
        next(rows, None)
        for number, (start, end, row) in enumerate(rows, 1):
            place = f"line {start}" if end <= start else f"lines {start} to {end}"
            if isinstance(row, ValueError):
                yield self._make.problem(number, place, row)
            elif len(row) != len(self._names):
                cells = f"it has {len(row)} cells, and the header has {len(self._names)}"
                yield self._make.problem(number, place, ValueError(cells))
            else:
                yield self._make.item(number, place, dict(zip(self._names, row, strict=True)))

    def count(self) -> int:
        return sum(1 for _ in self._rows()) - 1

    def _rows(self) -> Iterator[tuple[int, int, list[str] | ValueError]]:
        """Return each row that is not blank, with its first and last line."""
        # The limit of the csv module holds for the whole process, and its default is below the
        # size of a picture. So we only ever raise it.
        csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE))
        with open_lines(self._path, self._encoding, keep_ends=True) as lines:
            row_lines = _RowLines(lines)
            reader = csv.reader(row_lines, delimiter=self._delimiter, strict=True)
            while True:
                row_lines.begin_row()
                row: list[str] | ValueError
                try:
                    row = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    row = ValueError(f"it is no CSV: {error}")
                except UnicodeError:
                    raise
                except ValueError as error:
                    row = error
                if row:
                    yield row_lines.start, lines.number, row

    def _guess(self) -> str:
        """Return the delimiter that is most often in the header."""
        if self._path.suffix.lower() == ".tsv":
            return "\t"
        with open_lines(self._path, self._encoding) as lines:
            try:
                header = next(lines, "")
            except ValueError:
                return ","  # the header is refused later
        return max(_DELIMITERS, key=header.count)
