"""The items of a bulk run: the same from tables of all formats, and any bytes."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moondream_transports.bulk import Item, Template, count_items, read_items

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ids = st.one_of(st.integers(), texts)
cells = st.one_of(st.none(), texts)
rows = st.lists(
    st.fixed_dictionaries({"id": ids.map(str), "path": cells, "label": cells}),
    min_size=1,
    max_size=8,
)


def write(folder: Path, rows: list[dict[str, Any]]) -> list[Path]:
    """Write the same table in each format."""
    paths = [folder / f"t.{suffix}" for suffix in ("csv", "jsonl", "parquet")]
    with paths[0].open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["id", "path", "label"])
        writer.writeheader()
        writer.writerows(rows)
    paths[1].write_text("\n".join(map(json.dumps, rows)))
    columns = {name: pa.array([row[name] for row in rows], pa.string()) for name in rows[0]}
    pq.write_table(pa.table(columns), paths[2], row_group_size=3)
    return paths


def comparable(path: Path) -> list[tuple[Any, ...]]:
    """Return the items of a table, without what depends on its format."""
    template = Template("detect")
    return [
        (
            item.id.replace(str(path), "FILE"),
            item.picture,
            item.fields.get("label") or None,
            (item.problem or "").partition(": ")[2],
            item.problem or template.digest(item),
        )[: 4 if item.problem else 5]
        for item in read_items(path, template=Template("detect", object="a {label}"))
    ]


@given(rows)
def test_all_formats_give_the_same_items(rows: list[dict[str, Any]]):
    with tempfile.TemporaryDirectory() as folder:
        found = [comparable(path) for path in write(Path(folder), rows)]
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == len(rows)


HEADS = {
    "csv": [b"", b"id,path,label\n", b'id,"pa', b"\xef\xbb\xbfpath\n"],
    "jsonl": [b"", b'{"path":"a"}\n', b'{"id":1,"url":"data:,"}\n', b"\xef\xbb\xbf{}"],
    "txt": [b"", b"a.jpg\n"],
    "parquet": [b"", b"PAR1"],
}
pieces = st.one_of(
    st.binary(max_size=30),
    st.sampled_from([b'"', b"\n", b"\r", b",", b"{", b'{"path":', b"\\", b"\0", b"[", b"data:"]),
)


@pytest.mark.parametrize("suffix", HEADS)
@given(data=st.data())
def test_any_bytes_give_items_or_an_error_in_words(suffix: str, data: st.DataObject):
    content = data.draw(st.sampled_from(HEADS[suffix])) + b"".join(
        data.draw(st.lists(pieces, max_size=12))
    )
    encoding = data.draw(st.sampled_from(["utf-8", "utf-16", "cp1252"]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"t.{suffix}"
        path.write_bytes(content)
        words = None
        found: list[Item] = []
        try:
            items = read_items(path, encoding=encoding)
            found = list(items)
            assert count_items(items) == len(found)
        except ValueError as error:
            words = str(error)
        assert words is None or str(path) in words or "the sources have no items" in words
        template = Template("caption")
        for item in found:
            item.id.encode()
            (item.problem or "").encode()
            assert (item.picture is None) == (item.problem is not None)
            assert len(template.digest(item)) == (64 if item.problem is None else 0)


PROGRAM = """
import resource, sys
from moondream_transports.bulk import read_items

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

items = iter(read_items(sys.argv[1]))
for _ in range(1000):
    next(items)
before = peak()
rows = 1000 + sum(1 for item in items if item.problem is None)
print(rows, peak() - before)
"""


def read_in_a_program(path: Path) -> tuple[int, int]:
    """Return the number of items, and by how many MB the memory grew behind the first 1,000."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)], capture_output=True, text=True
    )
    assert done.stderr == ""
    rows, grown = map(int, done.stdout.split())
    return rows, grown


def write_many(folder: Path, suffix: str, count: int) -> Path:
    path = folder / f"t.{suffix}"
    numbers = range(count)
    if suffix == "parquet":
        names = [f"pictures/{number}.jpg" for number in numbers]
        pq.write_table(pa.table({"id": numbers, "path": names}), path)
        return path
    row = {
        "csv": "{0},pictures/{0}.jpg\n",
        "jsonl": '{{"id": {0}, "path": "pictures/{0}.jpg"}}\n',
        "txt": "pictures/{}.jpg\n",
    }[suffix]
    with path.open("w") as file:
        file.write("id,path\n" if suffix == "csv" else "")
        file.writelines(row.format(number) for number in numbers)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet", "txt"])
def test_many_rows_take_constant_memory(suffix: str, tmp_path: Path):
    rows, grown = read_in_a_program(write_many(tmp_path, suffix, 200_000))
    assert rows == 200_000
    assert grown < 25  # all of them would take some 80. A million took no more, as measured once


@pytest.mark.slow
def test_pictures_in_parquet_take_the_memory_of_a_group(tmp_path: Path):
    """200 MB of pictures, in groups as Hugging Face writes them."""
    picture = bytes(range(256)) * 800
    with pq.ParquetWriter(
        path := tmp_path / "t.parquet",
        schema := pa.schema({"image": pa.struct({"bytes": pa.binary(), "path": pa.string()})}),
        use_dictionary=False,
        compression="none",
    ) as writer:
        for _ in range(11):
            rows = [{"bytes": picture, "path": None}] * 100
            writer.write_table(pa.table({"image": rows}, schema))
    rows_read, grown = read_in_a_program(path)
    assert rows_read == 1100
    assert grown < 60


def test_a_row_for_each_of_many_lines(tmp_path: Path):
    for suffix in ("csv", "jsonl", "parquet", "txt"):
        path = write_many(tmp_path, suffix, 300)
        expected = [f"pictures/{number}.jpg" for number in range(300)]
        found = list(read_items(path))
        assert [item.picture for item in found] == [tmp_path / name for name in expected]
        assert found[-1] == Item(
            expected[-1] if suffix == "txt" else "299", tmp_path / expected[-1]
        )
