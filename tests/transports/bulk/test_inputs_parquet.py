"""The items of a bulk run: Parquet."""

from __future__ import annotations

import datetime as dt
import decimal
import re
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from moondream_transports.bulk import Item, Template, count_items, read_items

GIF_URL = "data:image/gif;base64,R0lGODlh"
PLAIN = {"compression": "none", "use_dictionary": False, "write_statistics": False}


def write(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    pq.write_table(pa.table(columns), path, **options)
    return path


def read(path: Path, **options: Any) -> list[Item]:
    items = read_items(path, **options)
    found = list(items)
    assert count_items(items) == len(found)
    assert list(items) == found
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "t.parquet"


def test_pictures_of_each_kind(path: Path):
    kinds = {
        "path": pa.array(["a b.jpg", "/abs.jpg", GIF_URL]),
        "large": pa.array(["a b.jpg", "/abs.jpg", GIF_URL], pa.large_string()),
        "dictionary": pa.array(["a b.jpg", "/abs.jpg", GIF_URL]).dictionary_encode(),
    }
    if int(pa.__version__.partition(".")[0]) >= 21:  # older ones cannot write it
        kinds["view"] = pa.array(["a b.jpg", "/abs.jpg", GIF_URL], pa.string_view())
    write(path, kinds)
    expected = [path.parent / "a b.jpg", Path("/abs.jpg"), GIF_URL]
    for column in kinds:
        assert [item.picture for item in read(path, picture_column=column)] == expected
    binaries = {
        "binary": pa.array([b"GIF", b"\0\xff"]),
        "large": pa.array([b"GIF", b"\0\xff"], pa.large_binary()),
    }
    write(path, binaries)
    for column in binaries:
        assert [item.picture for item in read(path, picture_column=column)] == [b"GIF", b"\0\xff"]


def test_pictures_of_hugging_face(path: Path):
    structs = [
        {"bytes": b"GIF", "path": "ignored.gif"},
        {"bytes": None, "path": "images/a.jpg"},
        {"bytes": b"", "path": "b.jpg"},
        {"bytes": b"PNG", "path": None},
    ]
    write(path, {"image": structs, "label": [0, 1, 0, 1]})
    assert read(path) == [
        Item("1", b"GIF", {"label": 0}),
        Item("2", path.parent / "images/a.jpg", {"label": 1}),
        Item("3", path.parent / "b.jpg", {"label": 0}),
        Item("4", b"PNG", {"label": 1}),
    ]


def test_rows_without_pictures_are_problems(path: Path):
    write(path, {"id": [4, 5, 6], "image": [{"bytes": None, "path": None}, None, {"bytes": b"x"}]})
    items = read(path)
    assert [item.id for item in items] == ["4", "5", "6"]
    for row, item in enumerate(items[:2], 1):
        assert item.problem == (
            f"{path}, row {row}: the column 'image' is empty, and it should have a picture"
        )
    assert items[2].picture == b"x"


def test_ids(path: Path):
    ints = (pa.int8(), pa.uint64(), pa.float64(), pa.decimal128(9, 2))
    texts = (pa.string(), pa.large_string(), pa.binary())
    for kind in (*ints, *texts):
        ids = pa.array(["7", None, "9"]).cast(kind)
        write(path, {"id": ids, "path": ["a", "b", "c"]}, row_group_size=2)
        items = read(path)
        assert [item.id for item in items] == ["7", f"{path}:2", "9"]
        assert items[1].problem is not None
        assert "row 2: the column 'id' should have an id" in items[1].problem
    write(path, {"id": pa.array([b"\xff" * 16], pa.binary(16)), "path": ["a"]})
    assert "the column 'id' has bytes that are no text" in str(read(path)[0].problem)
    write(path, {"id": pa.array([decimal.Decimal("1.50")]), "path": ["a"]})
    assert "a whole number, not Decimal('1.50')" in str(read(path)[0].problem)


def test_values_become_plain_json(path: Path):
    moment = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    columns = {
        "path": ["a"],
        "text": pa.array(["é"]).dictionary_encode(),
        "whole": pa.array([5], pa.int16()),
        "number": [0.5],
        "nan": [float("nan")],
        "yes": [True],
        "none": pa.nulls(1),
        "list": [[1, None]],
        "struct": [{"a": "b", "c": [b"d"]}],
        "map": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
        "moment": [moment],
        "day": [moment.date()],
        "time": [moment.time()],
        "lasted": [dt.timedelta(seconds=1)],
        "price": [decimal.Decimal("1.50")],
        "bytes": [b"text"],
    }
    write(path, columns)
    (item,) = read(path)
    assert item.fields == {
        "text": "é",
        "whole": 5,
        "number": 0.5,
        "nan": None,
        "yes": True,
        "none": None,
        "list": [1, None],
        "struct": {"a": "b", "c": ["d"]},
        "map": [["k", 1]],
        "moment": "2026-01-02T03:04:05+00:00",
        "day": "2026-01-02",
        "time": "03:04:05",
        "lasted": "0:00:01",
        "price": "1.50",
        "bytes": "text",
    }


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (pa.array([b"\xff"]), "has bytes that are no text"),
        (pa.array([b"\xff"]).view(pa.string()), "cannot be read: 'utf-8' codec can't decode byte"),
        (pa.array([2**50], pa.timestamp("ms")), "cannot be read: "),
    ],
)
def test_values_that_cannot_be_read(path: Path, values: pa.Array, words: str):
    """They matter only if their column is used."""
    write(path, {"path": ["a"], "other": values})
    (item,) = read(path, template=Template("query", question="{other}"))
    assert (item.problem or "").startswith(f"{path}, row 1: the column 'other' {words}")
    assert read(path, template=Template("caption")) == [Item("1", path.parent / "a")]
    assert read(path) == [Item("1", path.parent / "a")]
    (item,) = (
        read(path, picture_column="other") if words != "has bytes that are no text" else [item]
    )
    assert item.problem is not None


def test_only_the_columns_that_are_used_are_read(path: Path):
    """A column that is broken and not used does no harm."""
    columns = {
        "path": ["a.jpg"] * 9,
        "between": ["x" * 100] * 9,
        "other": [f"{number}-{'x' * 200}" for number in range(9)],
    }
    write(path, columns, **PLAIN)
    data = path.read_bytes()
    start = data.index(b"0-xxx") - 30
    path.write_bytes(data[:start] + b"\xff" * 29 + data[start + 29 :])
    assert all(item.problem is None for item in read(path, template=Template("caption")))
    assert all(item.problem is not None for item in read(path))


def test_a_broken_group_of_rows_is_a_problem_of_its_rows(path: Path):
    write(
        path,
        {"id": list(range(9)), "path": [f"{number}-{'x' * 200}.jpg" for number in range(9)]},
        row_group_size=3,
        **PLAIN,
    )
    data = path.read_bytes()
    start = data.index(b"3-xxx") - 30
    path.write_bytes(data[:start] + b"\xff" * 29 + data[start + 29 :])
    items = read(path)
    assert [item.id for item in items] == [
        *"012",
        *(f"{path}:{row}" for row in (4, 5, 6)),
        *"678",
    ]
    for row, item in enumerate(items[3:6], 4):
        assert (item.problem or "").startswith(f"{path}, row {row}: it cannot be read: ")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" * 9, b"id,path\n1,a.jpg\n"])
def test_files_that_are_no_parquet(path: Path, content: bytes):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))} is no Parquet file: "):
        read_items(path)


def test_columns(path: Path):
    write(path, {"id": ["x"], "url": [GIF_URL], "meta.label": ["cat"], "meta": [{"label": "dog"}]})
    template = Template("detect", object="{meta.label}")
    assert read(path, template=template) == [Item("x", GIF_URL, {"meta.label": "cat"})]
    write(path, {"id": ["x"], "url": ["https://example.com"], "label": ["cat"]})
    with pytest.raises(ValueError, match="no column with pictures.* Its columns: 'id', 'url', 'la"):
        read_items(path)
    with pytest.raises(ValueError, match="uses the column 'kind', which"):
        read_items(path, picture_column="url", template=Template("detect", object="{kind}"))
    question = Template("query", question="Who are you?")
    assert read(path, pictures=False, template=question) == [Item("x")]
    write(path, {"label": ["cat", "dog"]})
    assert read(path, pictures=False, template=question) == [Item("1"), Item("2")]
    pq.write_table(pa.Table.from_arrays([pa.array(["a"])] * 2, ["path", "path"]), path)
    with pytest.raises(ValueError, match="has 2 columns with the name 'path'"):
        read_items(path)


def test_a_file_without_rows(path: Path, tmp_path: Path):
    write(path, {"url": pa.array([], pa.string()), "path": pa.array([], pa.string())})
    with pytest.raises(ValueError, match="the sources have no items"):
        read_items(path)
    more = write(tmp_path / "more.parquet", {"path": ["a"]})
    assert [item.id for item in read_items([path, more])] == [f"{more}:1"]


def test_without_pyarrow(path: Path, monkeypatch: pytest.MonkeyPatch):
    write(path, {"path": ["a"]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ModuleNotFoundError, match=r"needs pyarrow.*sansio-moondream\[bulk\]"):
        read_items(path)
