"""The ledger of a bulk run: an SQLite file that says which items ended, and how.

What is true whenever the process or the machine stops, at any point:

1. A row is in the ledger with its answer, or it is not in the ledger. All rows of a `commit` that
   returned are there. Of a `commit` that was under way there are all rows or none.
2. A row that is done never changes. A failed row is replaced by the next outcome of its key, and
   keeps its number. Committing a row once more is therefore harmless. A row of which no request
   could be made has an empty request. In a later run the next outcome of its id and model replaces
   it, because the item was mended then.
3. Rows are numbered from 1 without gaps, by their first commit. They fill one shard after the
   other, and a row stays in its shard.
4. The transaction that changes a row also marks its shard as dirty. `mark_written` removes the mark
   after the file is in place. A crash between the two has the file written once more.
5. The process that opened a ledger is its only user. SQLite holds a lock of the operating system,
   which ends with the process, however the process ends.
6. What the output is made of (`Layout`) stands in the ledger from its first transaction on.

The journal is a write-ahead log that is synced in each commit (`synchronous=FULL`). With an
exclusive lock SQLite needs no shared memory beside it. Several threads may use a ledger, one after
the other: a connection has only one transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Self

import msgspec
from msgspec import Struct

from ._schema import APPLICATION_ID, VERSION, Layout, Statement, creation, rows_of_shard
from ._values import Row, Status

_COLUMNS = ", ".join(Row.__struct_fields__)
_REPLACED = ", ".join(f"{name} = excluded.{name}" for name in Row.__struct_fields__[3:])
_COMMIT = f"""INSERT INTO rows ({_COLUMNS}) VALUES ({", ".join("?" for _ in Row.__struct_fields__)})
    ON CONFLICT (id, request, model) DO UPDATE SET {_REPLACED} WHERE status = '{Status.FAILED}'"""
_TAKE_OVER = """UPDATE OR IGNORE rows SET request = ?
    WHERE id = ? AND request = '' AND model = ? AND number <= ?"""
_ADVICE = {
    sqlite3.SQLITE_CANTOPEN: "it should be a file that can be written, in such a folder",
    sqlite3.SQLITE_READONLY: "it should be a file that can be written, in such a folder",
    sqlite3.SQLITE_CORRUPT: "it is damaged. Copy it and the output, and choose another output; the"
    " command `.recover` of sqlite3 may find what the copy has",
} | dict.fromkeys(
    (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR),
    "all that was committed before is in it. If the disk is full, make room. Then start the run"
    " again: it goes on from there",
)
# Pages, as no cursor may stay open between two calls.
_PAGE = f"""SELECT number, {_COLUMNS} FROM rows WHERE number BETWEEN ? AND ?
    ORDER BY number LIMIT 500"""


class BulkError(Exception):
    """A run cannot begin or go on: the message says why, and what to do.

    What was committed before is still in the ledger.
    """


class LedgerInUse(BulkError):
    """Another run, perhaps of another process, has the ledger open."""


class Found(Struct, frozen=True):
    """What the ledger has of a key: how its item ended, and if the row is new since the opening."""

    status: Status
    is_new: bool


class Ledger:
    """The rows of all runs of one output. Use it in a `with` block, whose end closes it.

    Args:
        path: of the file, whose folder exists.
        layout: of the output. A new ledger is made with it; that of an older one has to be the
            same. None opens an existing ledger, whatever its layout.

    Raises:
        LedgerInUse: it is open elsewhere.
        BulkError: the file is no ledger, or of a newer version, or its output is made of
            something else; or it cannot be read or written.
        FileNotFoundError: there is no such file, and `layout` is None.
    """

    def __init__(self, path: Path, layout: Layout | None = None) -> None:
        self._path = path
        self._file = path.absolute()  # none of the names that are special for SQLite
        self._lock = Lock()
        if layout is None and not path.is_file():
            raise FileNotFoundError(f"there is no ledger file {path}")
        try:
            # `isolation_level=None` leaves the transactions to us.
            self._connection = sqlite3.connect(
                self._file, timeout=0, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise self._error(error) from error
        try:
            self.layout = self._open(layout)
            if layout is not None:
                self.require(layout)
            self._old = self.count()
        except BaseException:
            self._connection.close()
            raise

    def require(self, layout: Layout) -> None:
        """Raise BulkError if the output of the ledger is made of something else."""
        for name in Layout.__struct_fields__:
            wanted, found = getattr(layout, name), getattr(self.layout, name)
            if wanted != found:
                raise BulkError(
                    f"the ledger {self._path} is of a run with {name}={found}, not {wanted}:"
                    " go on with the same, or choose another output"
                )

    def find(self, id: str, request: str, model: str) -> Found | None:
        """Return how the item of a key ended, or None if it has not."""
        found = self._select(
            "SELECT status, number FROM rows WHERE id = ? AND request = ? AND model = ?",
            (id, request, model),
        )
        return Found(Status(found[0][0]), found[0][1] > self._old) if found else None

    def is_first(self, id: str, request: str) -> bool:
        """Return whether it is the first call for these since the ledger was opened.

        The calls are kept in a temporary table, for which SQLite uses a file when it grows.
        """
        try:
            self._select("INSERT INTO seen VALUES (?, ?)", (id, request))
        except sqlite3.IntegrityError:
            return False
        return True

    def commit(self, rows: Iterable[Row]) -> None:
        """Commit rows in one transaction, and mark their shards as dirty.

        Raises:
            BulkError: the ledger cannot be written, or its file is gone. None of the rows is in it.
        """
        # SQLite would write to a deleted file, and the answers would be paid for and lost.
        if not self._file.exists():
            raise BulkError(
                f"the ledger {self._path} was moved or deleted during the run: put it back, and"
                " start the run again. It goes on from what the ledger has"
            )
        ended = list(rows)
        was_empty = self._old == 0  # then there is nothing to take over
        mended = [] if was_empty else [(row.request, row.id, row.model, self._old) for row in ended]
        self._write((_TAKE_OVER, mended), (_COMMIT, map(msgspec.structs.astuple, ended)))

    def dirty_shards(self) -> list[int]:
        """Return the numbers of the shards whose files are older than their rows, in order."""
        return [shard for (shard,) in self._select("SELECT shard FROM dirty ORDER BY shard")]

    def count(self) -> int:
        """Return how many rows there are."""
        ((count,),) = self._select("SELECT ifnull(max(number), 0) FROM rows")
        return int(count)

    def shards(self, rows_per_shard: int | None) -> range:
        """Return the numbers of all shards, for shards of this size. None is one for all rows."""
        return range(-(-self.count() // rows_of_shard(rows_per_shard)))

    def rows(self, shard: int, rows_per_shard: int | None) -> Iterator[Row]:
        """Iterate over the rows of a shard, for shards of this size, in order."""
        size = rows_of_shard(rows_per_shard)
        first, last = shard * size + 1, (shard + 1) * size
        while found := self._select(_PAGE, (first, last)):
            for number, name, request, model, status, *others in found:
                yield Row(name, request, model, Status(status), *others)
                first = number + 1

    def mark_written(self, shard: int) -> None:
        """Remove the mark of a shard whose file is in place.

        Raises:
            BulkError: the ledger cannot be written. The shard stays dirty.
        """
        self._write(("DELETE FROM dirty WHERE shard = ?", [(shard,)]))

    def close(self) -> None:
        """Close the file, and release its lock. Further calls do nothing."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _open(self, layout: Layout | None) -> Layout:
        """Lock the file, and make or check what is in it. A file that is no ledger is not changed.

        Returns the layout that the ledger has.
        """
        self._select("PRAGMA locking_mode = EXCLUSIVE")
        ((application,),) = self._select("PRAGMA application_id")
        ((version,),) = self._select("PRAGMA user_version")
        is_new = application == 0 and not self._select("SELECT 1 FROM sqlite_master")
        if application != APPLICATION_ID and not (is_new and layout is not None):
            raise self._no_ledger()
        if version > VERSION:
            raise BulkError(
                f"the ledger {self._path} has version {version}, and this release of"
                f" sansio-moondream reads version {VERSION}: install a newer one"
            )
        self._select("PRAGMA journal_mode = WAL")
        self._select("PRAGMA synchronous = FULL")
        self._select("PRAGMA temp_store = FILE")
        self._select("CREATE TEMP TABLE seen (id TEXT, request TEXT, UNIQUE (id, request))")
        if is_new and layout is not None:
            self._write(*creation(layout))
        else:
            self._write()  # takes the lock, if reading has not
        found = dict(self._select("SELECT name, value FROM settings"))
        try:
            return msgspec.convert(found, Layout, strict=False)
        except msgspec.ValidationError as error:
            raise self._unusable(error, sqlite3.SQLITE_CORRUPT) from error

    def _select(self, statement: str, values: tuple[object, ...] = ()) -> list[Any]:
        """Execute a statement that is a transaction by itself. Returns the rows that it finds."""
        with self._lock:
            try:
                return self._connection.execute(statement, values).fetchall()
            except sqlite3.IntegrityError:
                raise
            except sqlite3.Error as error:
                raise self._error(error) from error

    def _write(self, *statements: Statement) -> None:
        """Execute statements, each once for each of its values, in one transaction."""
        database = self._connection
        with self._lock:
            try:
                database.execute("BEGIN IMMEDIATE")
                for statement, values in statements:
                    database.executemany(statement, values)
                database.execute("COMMIT")
            except BaseException as error:
                if database.in_transaction:  # a full disk may have ended it
                    database.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise self._error(error) from error
                raise

    def _error(self, error: sqlite3.Error) -> BulkError:
        """Return the error of SQLite as one that says what to do."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without what is beyond the kind
        if code == sqlite3.SQLITE_NOTADB:
            return self._no_ledger()
        if code == sqlite3.SQLITE_BUSY:
            return LedgerInUse(
                f"the ledger {self._path} is in use by another run: wait for its end, or choose"
                " another output"
            )
        return self._unusable(error, code)

    def _unusable(self, error: Exception, code: int) -> BulkError:
        advice = f": {_ADVICE[code]}" if code in _ADVICE else ""
        return BulkError(f"the ledger {self._path} cannot be used: {error}{advice}")

    def _no_ledger(self) -> BulkError:
        return BulkError(
            f"{self._path} is no ledger of a bulk run, and was not changed: name another file"
        )
