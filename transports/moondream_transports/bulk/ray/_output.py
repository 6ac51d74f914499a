"""The output of a run on Ray: a folder that all nodes see, with Parquet files and a checkpoint.

1. Ray writes the files, and for each the ids of its rows in the checkpoint: as pending before the
   file, and as committed after it. A run that goes on removes the files whose ids are pending, and
   leaves out the rows whose ids are committed. So each row is in the output once.
2. The checkpoint knows ids and nothing else. So what was asked about them is kept in a file, and
   another question needs another folder.
3. A run has an actor with the name of its output. Ray ends it together with the program that made
   it, and with its workers. Programs of one machine may have a cluster each, so a run locks a file,
   too. So two runs never write to the same output, but for clusters on several machines.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

import msgspec
from msgspec import Struct

from moondream_transports.bulk._encoders import require_pyarrow
from moondream_transports.bulk._ledger import BulkError, LedgerInUse
from moondream_transports.bulk._outputs import LEDGER
from moondream_transports.bulk._values import Counts, Status

from ._asking import Asking
from ._library import NAMESPACE, require_ray

_RUN = "_run.json"
_CHECKPOINT = "_checkpoint"
_LOCK = ".lock"
_COUNTED = ("id", "status", "error_class", "error_message", "input_tokens", "output_tokens")
_PATIENCE = 15.0  # seconds, in which Ray ends what a killed program has left


class Asked(Struct, frozen=True):
    """What the rows of an output were asked. It is the same in all runs.

    Attributes:
        skill: of the requests.
        template: a digest of the template.
        model: of the rows.
        masks: whether the rows have masks.
    """

    skill: str
    template: str
    model: str
    masks: bool


class RayOutput:
    """A folder for the files of a run, its checkpoint, and what was asked.

    Args:
        path: of the folder, which all nodes see. It need not exist.
        asking: of the run.

    Raises:
        BulkError: the folder has rows of another question.
        ValueError: the folder has something that is not of a run on Ray.
    """

    def __init__(self, path: str | os.PathLike[str], asking: Asking) -> None:
        text = os.fspath(path)
        if "://" in text:
            raise ValueError(
                f"the output should be a folder that all nodes see, not the address {text}: mount "
                "it, or use AskBatches in a pipeline of your own"
            )
        self.path = Path(text).absolute()
        self.checkpoint = self.path / _CHECKPOINT
        template = asking.template
        fields = [
            *(template.question, template.object, template.length, template.reasoning),
            *(msgspec.to_builtins(template.spatial_refs), msgspec.to_builtins(template.settings)),
        ]
        digest = hashlib.sha256(msgspec.json.encode(fields)).hexdigest()
        self._asked = Asked(template.skill, digest, asking.model, asking.masks)
        self._check()

    def prepare(self) -> None:
        """Make the folder, and write what is asked. Raises OSError."""
        self.checkpoint.mkdir(parents=True, exist_ok=True)
        part = self.path / f".{_RUN}.part"
        part.write_bytes(msgspec.json.encode(self._asked))
        part.replace(self.path / _RUN)

    @contextmanager
    def locked(self) -> Generator[None]:
        """Keep other runs from this output inside a block. Its folder is made.

        Raises:
            LedgerInUse: another run has it.
            OSError: the folder cannot be made.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / _LOCK).open("a") as file:
            self._lock(file)
            with self._locked_in_the_cluster():
                yield

    @contextmanager
    def _locked_in_the_cluster(self) -> Generator[None]:
        name = f"run-{hashlib.sha256(os.fsencode(self.path)).hexdigest()[:20]}"
        lock = self._take(name)
        try:
            yield
        finally:
            with suppress(Exception):  # the cluster may be gone
                require_ray().kill(lock)

    def read(self) -> dict[Path, Counts]:
        """Count the rows of each file. What a killed run left of a file is left out."""
        pyarrow, columns = require_pyarrow(), list(_COUNTED)
        parquet = import_module("pyarrow.parquet")
        files: dict[Path, Counts] = {}
        for file in sorted(self.path.glob("*.parquet")):
            with suppress(OSError, pyarrow.ArrowException):
                table = parquet.read_table(str(file), columns=columns, partitioning=None)
                files[file] = _count(table.to_pylist())
        return files

    def _take(self, name: str) -> Any:
        ray = require_ray()
        make = ray.remote(_Lock).options(name=name, namespace=NAMESPACE, num_cpus=0)
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                return make.remote()
            except ValueError as error:  # the name is taken
                if time.monotonic() > end:
                    raise self._in_use() from error
            time.sleep(0.2)

    def _lock(self, file: TextIO) -> None:
        if sys.platform != "win32":
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise self._in_use() from error
            except OSError:
                pass  # the file system has no locks

    def _in_use(self) -> LedgerInUse:
        return LedgerInUse(
            f"another run uses the output {self.path}: wait for its end, or take another output"
        )

    def _check(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(f"the output {self.path} should be a folder: a run on Ray writes many")
        names = [name for name in _names(self.path) if not name.startswith(".")]
        if LEDGER in names:
            raise ValueError(
                f"the output {self.path} is of a run on one machine: go on with it there, or take "
                "another folder"
            )
        try:
            earlier = msgspec.json.decode((self.path / _RUN).read_bytes(), type=Asked)
        except FileNotFoundError:
            if names:
                raise ValueError(
                    f"the output folder {self.path} has files, such as {names[0]}, and no {_RUN} "
                    "of an earlier run: take a new folder, or an empty one"
                ) from None
            return
        except (OSError, ValueError) as error:
            raise BulkError(f"{self.path / _RUN} cannot be read: {error}") from error
        if earlier != self._asked:
            now, then = msgspec.to_builtins(self._asked), msgspec.to_builtins(earlier)
            other = next(name for name in now if now[name] != then[name])
            raise BulkError(
                f"the output {self.path} has answers of a run with another {other}, and on Ray "
                "rows are known by their ids alone: take another folder"
            )


class _Lock:
    """An actor that is there as long as a run."""


def count_rows(path: str | os.PathLike[str]) -> int:
    """Return how many rows the output in the folder `path` has. It need not exist."""
    pyarrow, rows = require_pyarrow(), 0
    parquet = import_module("pyarrow.parquet")
    for file in Path(path).glob("*.parquet"):
        with suppress(OSError, pyarrow.ArrowException):
            rows += parquet.read_metadata(str(file)).num_rows
    return rows


def _count(rows: list[dict[str, Any]]) -> Counts:
    counts = Counts()
    for row in rows:
        if row["status"] == Status.DONE:
            counts.done += 1
            counts.input_tokens += row["input_tokens"] or 0
            counts.output_tokens += row["output_tokens"] or 0
        else:
            kind = row["error_class"]
            counts.failed += 1
            counts.failures[kind] = counts.failures.get(kind, 0) + 1
            counts.examples.setdefault(kind, f"{row['id']}: {row['error_message']}")
    return counts


def _names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
