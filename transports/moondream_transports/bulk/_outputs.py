"""The files of a run: where they are, and how they are replaced.

1. A file is written beside its place, under a hidden name that ends in `.part`. It gets its name
   when all of it is on the disk. So its name always has a whole file: the old one or the new one.
2. A ledger has one writer at a time, and so have its files. What is left of a `.part` after a crash
   is of nobody, and `remove_unfinished` removes it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from ._columns import Columns
from ._encoders import ENCODERS, require_pyarrow
from ._values import OutputFormat, Row

LEDGER = "_ledger.sqlite"  # readers of a folder of Parquet files ignore such a name
"""The ledger in a folder. A single file has its own beside it: its name and `.ledger`."""

_CHOICES = (
    "take a file that ends in .parquet, .jsonl or .csv, or a folder (a new one whose name has an "
    "ending needs a slash behind it)"
)
_SHARD = re.compile(r"part-[0-9]{5,}\.(parquet|jsonl|csv)")
_UNFINISHED = re.compile(rf"\.{_SHARD.pattern}\.part")


class Output(Struct, frozen=True):
    """Where the results of a run go: one file, or a folder of shards.

    Attributes:
        path: of the file or the folder.
        format: of the files.
        single: whether all rows go to one file.
    """

    path: Path
    format: OutputFormat
    single: bool

    @property
    def ledger(self) -> Path:
        """The file of the ledger: in the folder, or beside the file. Its folder may not exist."""
        if self.single:
            return self.path.with_name(f"{self.path.name}.ledger")
        return self.path / LEDGER

    def file(self, shard: int) -> Path:
        """Return the path of a shard. The one file has all of them."""
        return self.path if self.single else self.path / f"part-{shard:05}.{self.format}"

    def remove_unfinished(self) -> None:
        """Remove what a killed run left of a file. Nobody else may be writing. Raises OSError."""
        if self.single:
            _unfinished(self.path).unlink(missing_ok=True)
            return
        for file in self.path.glob(".part-*.part"):
            if _UNFINISHED.fullmatch(file.name):
                file.unlink(missing_ok=True)


def open_output(path: str | os.PathLike[str], format: OutputFormat | None = None) -> Output:
    """Decide what an output is, and check that nothing foreign would be lost. Nothing is written.

    Args:
        path: a file that ends in .parquet, .jsonl or .csv, or a folder. Neither has to exist. A
            text that ends in a slash is a folder.
        format: of the files. None takes that of the ending; for a folder that of its shards, or
            Parquet if it has none.

    Raises:
        ValueError: the path has something that is not of an earlier run; its ending is not known;
            or it contradicts the format.
        ModuleNotFoundError: the format is Parquet, and pyarrow is not installed.
    """
    place = Path(path)
    is_folder = place.is_dir() or os.fspath(path).endswith(("/", os.sep))
    if not is_folder and not place.suffix and place.exists():
        raise ValueError(f"the output {place} is no folder: {_CHOICES}")
    find = _folder if is_folder or not place.suffix else _file
    output = find(place, format)
    if output.format is OutputFormat.PARQUET:
        require_pyarrow()
    return output


def write_file(path: Path, rows: Iterable[Row], format: OutputFormat, columns: Columns) -> None:
    """Write rows to a file, or replace the file with them. An error leaves it as it was.

    Rows are encoded as they come, so that the file may be larger than the memory.

    Args:
        path: of the file. Its folder exists.
        rows: in their order.
        format: of the file.
        columns: of the file.

    Raises:
        OSError: the file cannot be written, for example as the disk is full.
        ValueError: a row cannot be read.
        ModuleNotFoundError: the format is Parquet, and pyarrow is not installed.
    """
    part = _unfinished(path)
    part.unlink(missing_ok=True)
    try:
        with part.open("xb") as file:
            for chunk in ENCODERS[format](rows, columns):
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        _sync_folder(path.parent)
    except BaseException as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = os.fspath(path)
        elif isinstance(error, ValueError):
            raise ValueError(f"{path} is not written: {error}") from error
        raise


def _folder(path: Path, format: OutputFormat | None) -> Output:
    names = sorted(file.name for file in path.iterdir()) if path.exists() else []
    foreign = next((name for name in names if not name.startswith(".")), None)
    if foreign is not None and LEDGER not in names:
        raise ValueError(
            f"the output folder {path} has files, such as {foreign}, and no {LEDGER} of an earlier "
            "run: take a new folder, or an empty one"
        )
    shard = next((name for name in names if _SHARD.fullmatch(name)), None)
    earlier = OutputFormat(Path(shard).suffix[1:]) if shard else None
    if shard and format not in (None, earlier):
        raise ValueError(
            f"the output folder {path} has {shard} of an earlier run, and {format} was asked for: "
            "go on without a format, or take another folder"
        )
    return Output(path, earlier or format or OutputFormat.PARQUET, single=False)


def _file(path: Path, format: OutputFormat | None) -> Output:
    ending = path.suffix[1:].lower()
    if ending not in list(OutputFormat):
        raise ValueError(f"the output {path} ends in {path.suffix}: {_CHOICES}")
    if format not in (None, ending):
        raise ValueError(
            f"the output {path} ends in {path.suffix}, and {format} was asked for: go on without a "
            "format, or take another name"
        )
    output = Output(path, OutputFormat(ending), single=True)
    if path.exists() and not output.ledger.exists():
        raise ValueError(
            f"the output {path} exists, and no ledger {output.ledger.name} of an earlier run is "
            "beside it: take another name, as the file would be replaced"
        )
    return output


def _unfinished(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


if sys.platform == "win32":

    def _sync_folder(folder: Path) -> None:
        """Do nothing: Windows cannot open a folder."""
else:

    def _sync_folder(folder: Path) -> None:
        """Wait until the names in a folder are on the disk."""
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
