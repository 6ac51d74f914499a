"""The files of a ledger: which of them to write, and when."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ._columns import Columns
from ._ledger import BulkError, Ledger
from ._outputs import Output, open_output, write_file
from ._schema import Layout
from ._values import OutputFormat, Row

_ROWS_PER_SHARD = 10_000


class Files:
    """Keep the files of an output as new as its ledger.

    Args:
        ledger: that the rows are in.
        output: where the files are.
        columns: of the files.
    """

    def __init__(self, ledger: Ledger, output: Output, columns: Columns) -> None:
        self._ledger = ledger
        self._output = output
        self._columns = columns
        self._size = ledger.layout.rows_per_shard
        self._count = ledger.count()
        self._full = 0 if self._size is None else self._count // self._size

    def write_full(self, committed: int) -> None:
        """Write the shards that have become full by a commit of so many rows.

        Raises:
            BulkError: a file or the ledger cannot be written.
        """
        self._count += committed  # at most: rows that failed before are replaced
        if self._size is None or self._count // self._size == self._full:
            return
        self._count = self._ledger.count()
        full = self._count // self._size
        for shard in range(self._full, full):
            self._write(shard)
        self._full = full

    def write_all(self) -> tuple[Path, ...]:
        """Write the files that are older than their rows, or missing. Returns all files.

        Raises:
            BulkError: a file or the ledger cannot be written.
        """
        dirty = set(self._ledger.dirty_shards())
        files: list[Path] = []
        for shard in self._ledger.shards(self._size):
            file = self._output.file(shard)
            if shard in dirty or not file.exists():
                self._write(shard)
            files.append(file)
        return tuple(files)

    def _write(self, shard: int) -> None:
        rows = self._ledger.rows(shard, self._size)
        _write(self._output.file(shard), rows, self._output.format, self._columns)
        # After a crash before this line the file is written once more.
        self._ledger.mark_written(shard)


def export(
    ledger: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    format: OutputFormat | None = None,
    rows_per_shard: int | None = None,
    masks: bool | None = None,
) -> tuple[Path, ...]:
    """Write the files of a ledger anew, all of them, without asking for anything.

    The ledger is not changed. It is locked meanwhile, so no run can use it.

    Args:
        ledger: the file that a run has made.
        output: a folder or a file, in which the ledger need not be.
        format: as for `run_bulk`.
        rows_per_shard: of each file in a folder. The default is that of the ledger's run.
        masks: whether the files have masks. The default is that of the ledger's run.

    Returns:
        The files.

    Raises:
        BulkError: the ledger cannot be used, a file cannot be written, or the ledger's own output
            would become another one.
        FileNotFoundError: there is no such ledger.
        ValueError: the output has something that is not of this ledger, or `rows_per_shard` is out
            of its range.
    """
    require_number("rows_per_shard", rows_per_shard, 1)
    place = open_output(output, format)
    with Ledger(Path(ledger)) as opened:
        stored = opened.layout
        size = None if place.single else rows_per_shard or stored.rows_per_shard or _ROWS_PER_SHARD
        layout = Layout(stored.skill, place.format, size, stored.masks if masks is None else masks)
        if place.ledger.exists():
            if not place.ledger.samefile(ledger):
                raise ValueError(f"the output {output} has another ledger: choose another output")
            opened.require(layout)
        columns = Columns(layout.skill, layout.masks)
        place.ledger.parent.mkdir(parents=True, exist_ok=True)
        place.remove_unfinished()
        files = [place.file(shard) for shard in opened.shards(size)]
        for shard, file in enumerate(files):
            _write(file, opened.rows(shard, size), place.format, columns)
    return tuple(files)


def _write(path: Path, rows: Iterable[Row], format: OutputFormat, columns: Columns) -> None:
    try:
        write_file(path, rows, format, columns)
    except OSError as error:
        raise BulkError(
            f"the output cannot be written: {error}. All answers are in the ledger. If the disk is"
            " full, make room. Then start the run again: it goes on from there"
        ) from error


def require_number(name: str, value: int | None, least: int) -> None:
    """Raise ValueError for what is neither a whole number of at least `least` nor None."""
    if value is not None and (type(value) is not int or value < least):
        raise ValueError(f"{name} should be a whole number of at least {least}, not {value!r}")
