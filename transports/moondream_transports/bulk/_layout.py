"""Where the files and the ledger of a run are."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from ._values import OutputFormat

_SUFFIXES = {f".{format_}": format_ for format_ in OutputFormat}


class Layout(Struct, frozen=True):
    """What the output of a run is made of. The ledger keeps it, as it must not change.

    Attributes:
        skill: that the run asks for. It decides the columns.
        format: of the files.
        rows_per_shard: of each file in a folder, or None for one file.
        masks: whether the files have masks.
    """

    skill: str
    format: OutputFormat
    rows_per_shard: int | None
    masks: bool


class Output(Struct, frozen=True):
    """An output: one file, or a folder of shards.

    Attributes:
        path: of the file or the folder.
        format: of the files.
        is_folder: whether it has shards.
    """

    path: Path
    format: OutputFormat
    is_folder: bool

    @property
    def ledger(self) -> Path:
        """The file of the ledger: in the folder, or beside the file."""
        if self.is_folder:
            return self.path / "ledger.sqlite"
        return self.path.with_name(f"{self.path.name}.ledger")

    @property
    def folder(self) -> Path:
        """The folder that the files are in."""
        return self.path if self.is_folder else self.path.parent

    def file(self, shard: int) -> Path:
        """Return the path of a shard."""
        return self.path / f"part-{shard:05}.{self.format}" if self.is_folder else self.path


def find_output(path: Path, format: OutputFormat | None) -> Output:
    """Decide what an output is: a file by its suffix, else a folder.

    Args:
        path: that the user gave.
        format: of the files, or None for that of the suffix. The default of a folder is Parquet.

    Raises:
        ValueError: the suffix is that of another format.
    """
    by_suffix = _SUFFIXES.get(path.suffix.lower())
    if by_suffix is None or path.is_dir():
        return Output(path, format or OutputFormat.PARQUET, is_folder=True)
    if format not in (None, by_suffix):
        raise ValueError(
            f"the output {path} should end in .{format}, the format that was asked for, or be a"
            " folder"
        )
    return Output(path, by_suffix, is_folder=False)
