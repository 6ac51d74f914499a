"""The files of a bulk run are replaced whole or not at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from moondream_transports.bulk import OutputFormat, Row
from moondream_transports.bulk._columns import Columns
from moondream_transports.bulk._outputs import write_file
from sansio_moondream import CaptionResult
from tests.transports.bulk.outputs import FORMATS, decoded, encoded, row_of

each_format = pytest.mark.parametrize("format", FORMATS)
CAPTIONS = Columns("caption")


def written(path: Path, rows: int, format: OutputFormat) -> bytes:
    """Write a file of so many captions, and return what is in it."""
    write_file(path, (row_of(CaptionResult("moon"), f"{n}") for n in range(rows)), format, CAPTIONS)
    return path.read_bytes()


def run_child(program: str, path: Path) -> str:
    """Run a program with a path as its argument. Returns what it printed."""
    child = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, str(path)],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert child.returncode == 0, child.stderr
    assert child.stderr == ""
    return child.stdout


@each_format
def test_a_file_is_written_and_replaced(tmp_path: Path, format: OutputFormat) -> None:
    path = tmp_path / f"moons.{format}"
    for rows in (0, 3, 2):
        data = written(path, rows, format)
        assert len(decoded(data, format, CAPTIONS)) == rows
        assert [file.name for file in tmp_path.iterdir()] == [path.name]


@each_format
def test_a_row_that_cannot_be_read_leaves_the_old_file(
    tmp_path: Path, format: OutputFormat
) -> None:
    path = tmp_path / f"moons.{format}"
    before = written(path, 2, format)

    def rows() -> Iterator[Row]:
        yield row_of(CaptionResult("new"))
        yield row_of(CaptionResult(), "broken.jpg", answer=b"{")

    with pytest.raises(ValueError, match="broken.jpg") as caught:
        write_file(path, rows(), format, CAPTIONS)
    assert str(caught.value).startswith(f"{path} is not written: ")
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@each_format
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError("the ledger is gone")])
def test_so_does_any_error_of_the_rows(
    tmp_path: Path, format: OutputFormat, error: BaseException | type[BaseException]
) -> None:
    path = tmp_path / f"moons.{format}"
    before = written(path, 2, format)

    def rows() -> Iterator[Row]:
        yield row_of(CaptionResult("new"))
        raise error

    with pytest.raises((KeyboardInterrupt, RuntimeError)):
        write_file(path, rows(), format, CAPTIONS)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_what_a_killed_run_left_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / ".moons.csv.part").write_bytes(b"half a fi")
    written(tmp_path / "moons.csv", 1, OutputFormat.CSV)
    assert [file.name for file in tmp_path.iterdir()] == ["moons.csv"]


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        written(tmp_path / "nowhere" / "moons.csv", 1, OutputFormat.CSV)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot open a folder")
def test_the_bytes_are_on_the_disk_before_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "moons.csv"
    synced: list[tuple[bool, bool, int]] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        fsync(descriptor)
        is_folder = os.path.samestat(os.fstat(descriptor), tmp_path.stat())
        synced.append((is_folder, path.exists(), os.fstat(descriptor).st_size))

    monkeypatch.setattr(os, "fsync", watched)
    data = written(path, 100, OutputFormat.CSV)
    file, folder = synced
    assert file == (False, False, len(data))
    assert folder[:2] == (True, True)


FULL = """
import errno, json, os, resource, sys
from pathlib import Path

from moondream_transports.bulk import OutputFormat
from moondream_transports.bulk._columns import Columns
from moondream_transports.bulk._outputs import write_file
from sansio_moondream import SegmentResult
from tests.transports.bulk.outputs import row_of

def rows(count):
    return (row_of(SegmentResult(os.urandom(20_000).hex()), f"{n}") for n in range(count))

resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
for format in OutputFormat:
    path = Path(sys.argv[1]) / f"moons.{format}"
    write_file(path, rows(3), format, Columns("segment"))
    before = path.read_bytes()
    try:
        write_file(path, rows(100), format, Columns("segment"))
    except OSError as error:
        assert error.errno == errno.EFBIG, error
        assert str(path) in str(error), error
    else:
        raise AssertionError("there was room")
    assert path.read_bytes() == before
print(json.dumps(sorted(os.listdir(sys.argv[1]))))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of a file's size")
def test_a_full_disk_leaves_the_old_files(tmp_path: Path) -> None:
    child = run_child(FULL, tmp_path)
    assert json.loads(child) == ["moons.csv", "moons.jsonl", "moons.parquet"]


@each_format
def test_rows_are_written_as_they_are_read(tmp_path: Path, format: OutputFormat) -> None:
    path = tmp_path / f"moons.{format}"
    part = tmp_path / f".moons.{format}.part"
    texts = [Random(n).randbytes(750_000).hex() for n in range(12)]
    sizes: list[int] = []

    def rows() -> Iterator[Row]:
        for text in texts:
            yield row_of(CaptionResult(text))
            sizes.append(part.stat().st_size)

    write_file(path, rows(), format, CAPTIONS)
    assert sizes[0] < sizes[-1]
    found = decoded(path.read_bytes(), format, CAPTIONS)
    assert [row["caption"] for row in found] == texts
    if format is OutputFormat.PARQUET:
        assert pq.read_metadata(path).num_row_groups == 2


def test_without_pyarrow_there_are_json_lines_and_csv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ModuleNotFoundError, match=r"sansio-moondream\[bulk\]") as caught:
        written(tmp_path / "moons.parquet", 1, OutputFormat.PARQUET)
    assert caught.value.name == "pyarrow"
    assert list(tmp_path.iterdir()) == []
    assert written(tmp_path / "moons.jsonl", 1, OutputFormat.JSON_LINES).startswith(b'{"id":"0"')
    assert written(tmp_path / "moons.csv", 1, OutputFormat.CSV).startswith(b'"id",')


MANY = r"""
import re, sys
from pathlib import Path

from moondream_transports.bulk import OutputFormat
from moondream_transports.bulk._columns import Columns
from moondream_transports.bulk._outputs import write_file
from sansio_moondream import BBox, SegmentResult
from tests.transports.bulk.outputs import row_of
from msgspec.structs import replace

path = " ".join(f"L {n / 1000:.3f} {n * 7 % 1000 / 1000:.3f}" for n in range(400))
row = row_of(SegmentResult("M 0 0 " + path, BBox(0, 0, 1, 1)))
assert len(row.answer) > 6_000
rows = (replace(row, id=f"{n}") for n in range(100_000))
write_file(Path(sys.argv[1]), rows, OutputFormat.PARQUET, Columns("segment"))
# Not `ru_maxrss`, which has the memory of the process that started this one, too.
(peak,) = re.findall(r"VmHWM:\s+([0-9]+) kB", Path("/proc/self/status").read_text())
print(peak)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_memory_stays_flat_for_100_000_paths(tmp_path: Path) -> None:
    path = tmp_path / "moons.parquet"
    assert int(run_child(MANY, path)) < 250_000
    assert pq.read_metadata(path).num_rows == 100_000


@each_format
def test_encoded_is_what_is_written(tmp_path: Path, format: OutputFormat) -> None:
    rows = [row_of(CaptionResult("moon"), f"{n}") for n in range(2)]
    assert written(tmp_path / "moons", 2, format) == encoded(rows, format, CAPTIONS)
