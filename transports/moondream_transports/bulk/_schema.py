"""The tables of a ledger, and what it keeps of its output."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from ._values import OutputFormat

Statement: TypeAlias = tuple[str, Iterable[tuple[Any, ...]]]
"""A statement of SQL, and the values that it is executed with, one after the other."""

APPLICATION_ID = 0x4D6F6F6E  # "Moon", in the header of the file
VERSION = 1
_ONE_SHARD = 2**62  # more rows than a file can have

_CREATE = (
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
    "CREATE TABLE settings (name TEXT PRIMARY KEY, value) WITHOUT ROWID",
    """CREATE TABLE rows (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL,
        request TEXT NOT NULL,
        model TEXT NOT NULL,
        status TEXT NOT NULL,
        answer BLOB NOT NULL,
        attempts INTEGER NOT NULL,
        seconds REAL NOT NULL,
        width INTEGER,
        height INTEGER,
        finished_at REAL NOT NULL,
        UNIQUE (id, request, model)
    )""",
    "CREATE TABLE dirty (shard INTEGER PRIMARY KEY)",
)
# Not `INSERT OR IGNORE`: in a trigger, the conflict clause of the statement that fires it counts.
_MARK_DIRTY = """CREATE TRIGGER {change}_marks_dirty AFTER {change} ON rows
    WHEN (NEW.number - 1) / {rows_per_shard} NOT IN (SELECT shard FROM dirty) BEGIN
    INSERT INTO dirty VALUES ((NEW.number - 1) / {rows_per_shard});
END"""


class Layout(Struct, frozen=True):
    """What the output of a ledger is made of. It does not change from run to run.

    Attributes:
        skill: that is asked for. It decides the columns.
        format: of the files.
        rows_per_shard: of each file in a folder, or None for one file.
        masks: whether the files have masks.
    """

    skill: str
    format: OutputFormat
    rows_per_shard: int | None
    masks: bool


def rows_of_shard(rows_per_shard: int | None) -> int:
    """Return how many rows a shard has. None is one shard for all rows."""
    return _ONE_SHARD if rows_per_shard is None else rows_per_shard


def creation(layout: Layout) -> Iterator[Statement]:
    """Yield the statements that make a ledger."""
    for statement in _CREATE:
        yield statement, [()]
    for change in ("INSERT", "UPDATE"):
        size = rows_of_shard(layout.rows_per_shard)
        yield _MARK_DIRTY.format(change=change, rows_per_shard=size), [()]
    yield "INSERT INTO settings VALUES (?, ?)", msgspec.to_builtins(layout).items()
