"""The items of a bulk run: tables with broken rows, and broken tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from moondream_transports.bulk import Item, Template, read_items
from tests.transports.bulk.inputs import problem, read, refused

pytestmark = pytest.mark.usefixtures("data_folder")


@pytest.mark.parametrize("value", [True, 1.5, [1], {"a": 1}, None, "", "  ", "x" * 4097])
def test_ids_that_are_none(value: object):
    rows = [{"id": 1, "path": "a.jpg"}, {"id": value, "path": "b.jpg"}]
    content = "\n".join(map(json.dumps, rows))
    words = problem("t.jsonl", content)
    assert words.startswith("data/t.jsonl, line 2: the column 'id' should have an id, text of")
    assert [item.id for item in read("t.jsonl", content)] == ["1", "data/t.jsonl:2"]


def test_ids_that_are_numbers():
    rows = [{"id": value, "path": "a"} for value in (0, -5, 2**70, 3.0, "4")]
    items = read("t.jsonl", "\n".join(map(json.dumps, rows)))
    assert [item.id for item in items] == ["0", "-5", str(2**70), "3", "4"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "the column 'path' is empty, and it should have a picture"),
        ("", "is empty"),
        ("nul\0.jpg", "should be a path or a data URL, not 8 characters that begin 'nul\\x00.jpg'"),
        ("x" * 5000, "not 5,000 characters that begin 'xxxxxxxxxxxxxxxxxxxx'"),
        ("https://example.com/a.jpg", "is an address, 'https://example.com/a.jpg'. A run reads no"),
        ("s3://bucket/a.jpg", "is an address"),
        (5, "should be a path, a data URL or bytes, not int"),
        ([], "should be a path, a data URL or bytes, not list"),
        ({}, "should have `bytes` or `path`; it has none"),
        ({"src": "a"}, "should have `bytes` or `path`; it has 'src'"),
        ({"bytes": None, "path": None}, "is empty"),
    ],
)
def test_pictures_that_are_none(value: object, words: str):
    found = problem("t.jsonl", json.dumps({"id": 1, "path": value}))
    assert found.startswith("data/t.jsonl, line 1: the column 'path' ")
    assert words in found
    if isinstance(value, str):
        assert words in problem("t.csv", f"id,path\n1,{value}\n")


def test_a_picture_of_hugging_face_in_json():
    (item,) = read("t.jsonl", json.dumps({"image": {"bytes": None, "path": "a.jpg"}}))
    assert item.picture == Path("data/a.jpg")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{broken", "it is no JSON: "),
        ('{"path": "a.jpg"', "it is no JSON: "),
        ('{"path": "a.jpg"} x', "it is no JSON: "),
        ('{"path": NaN}', "it is no JSON: NaN is not JSON"),
        ("[1]", "it should be a JSON object, not [1]"),
        ('"text"', "it should be a JSON object, not 'text'"),
        ("[" * 200 + "]" * 200, "it is nested deeper than"),
        ("[" * 10_000, "it is "),
        ("[" + "1," * 1_000_001 + "1]", "it is of more values than"),
        (b'{"path": "caf\xe9.jpg"}', "it has bytes that are not in the encoding of the file"),
        (b"\x00\x01\xff", "it has bytes that are not"),
        (b"\0", "it is no JSON"),
    ],
)
def test_broken_lines_of_json(line: str | bytes, words: str):
    good = b'{"path": "a.jpg"}'
    encoded = line.encode() if isinstance(line, str) else line
    found = problem("t.jsonl", b"\n".join([good, b"", encoded, good]))
    assert found.startswith(f"data/t.jsonl, line 3: {words}")
    alone = refused("t.jsonl", encoded)
    assert alone.startswith(
        "data/t.jsonl has no line with a JSON object among its first 100: line 1: it "
    )


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("1", "line 3: it has 1 cells, and the header has 2"),
        ("1,a.jpg,x", "line 3: it has 3 cells, and the header has 2"),
        ('1,"a"b.jpg', "line 3: it is no CSV: ',' expected after '\"'"),
        ('1,"a\n"b.jpg', "lines 3 to 4: it is no CSV: ',' expected after '\"'"),
        (b"1,caf\xe9.jpg", "line 3: the column 'path': it has bytes that are not in the encoding"),
        (b"\xff,a.jpg", "line 3: the column 'id' should have an id"),
        ("1,a\0b.jpg", "line 3: the column 'path' should be a path or a data URL"),
    ],
)
def test_broken_rows_of_csv(row: str | bytes, words: str):
    encoded = row.encode() if isinstance(row, str) else row
    found = problem("t.csv", b"\n".join([b"id,path", b"0,a.jpg", encoded, b"2,b.jpg"]))
    assert found.startswith(f"data/t.csv, {words}")


def test_a_cell_that_is_used_and_no_text():
    words = problem(
        "t.csv",
        b"id,path,note,label\n1,a,\xff,x\n2,a,x,\xff\n",
        template=Template("detect", object="{label}"),
    )
    assert words.startswith("data/t.csv, line 3: the column 'label': it has bytes")


def test_a_quote_that_is_not_closed_takes_few_rows():
    rows = [f"{number},{number}.jpg" for number in range(3000)]
    rows[1] = '1,"1.jpg'
    content = "\n".join(["id,path", *rows])
    items = read("t.csv", content)
    assert [item.id for item in items[:3]] == ["0", "data/t.csv:2", "1002"]
    assert items[1].problem == (
        "data/t.csv, lines 3 to 1003: it has more than 1,000 lines: a quote is not closed"
    )
    assert items[-1].id == "2999"
    short = problem("t.csv", "\n".join(["id,path", *rows[:9]]))
    assert short == "data/t.csv, lines 3 to 10: it is no CSV: unexpected end of data"


def test_a_row_of_many_lines_is_bounded(monkeypatch: pytest.MonkeyPatch):
    cells = ",".join(f'"{number}\n{number}"' for number in range(100))
    content = f"path{',' * 99}\n{cells}\na.jpg{',' * 99}\n"
    assert [item.id for item in read("t.csv", content)] == ["1", "2"]
    monkeypatch.setattr("moondream_transports.bulk._inputs._csv.MAX_LINE", 200)
    words = read("t.csv", content)[0].problem
    assert words is not None
    assert words.endswith("it has more than 200 characters: a quote is not closed")


def test_columns_without_a_name():
    """pandas writes such a one for its index."""
    assert read("t.csv", ",,path\n0,x,a.jpg\n") == [Item("1", Path("data/a.jpg"))]
    assert "has no column with pictures" in refused("t.csv", ",other\ndata:,x\n")


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.txt"])
def test_lines_that_are_too_long(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("moondream_transports.bulk._inputs._lines.MAX_LINE", 50)
    rows = {
        "t.csv": ("id,path\n", "{},{}.jpg\n"),
        "t.jsonl": ("", '{{"id": {}, "path": "{}.jpg"}}\n'),
        "t.txt": ("", "{1}.jpg\n"),
    }
    head, line = rows[name]
    for length in (200, 101, 100):
        body = line.format(1, "a") + line.format(2, "b" * length) + line.format(3, "c")
        words = problem(name, head + body)
        assert words == (
            f"data/{name}, line {3 if name == 't.csv' else 2}: it has more than 50 characters"
        )


def test_a_line_of_exactly_the_limit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("moondream_transports.bulk._inputs._lines.MAX_LINE", 50)
    for end in ("", "\n"):
        assert [item.id for item in read("t.txt", f"{'a' * 50}{end}")] == ["a" * 50]
    assert "more than 50" in problem("t.txt", "a" * 51)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "data/t.csv has no header with the names of its columns: it is empty"),
        ("\n\n", "data/t.csv has no header"),
        ('"id,path\n1,2', "data/t.csv has no header with the names of its columns: it is no CSV"),
        ("id,path,path\n", "data/t.csv has 2 columns with the name 'path'"),
        ("1,a.jpg\n2,b.jpg\n", "data/t.csv has no column with pictures"),
        (b"\x89PNG\r\n\x1a\n\0\0", "data/t.csv has no column with pictures"),
        ("id,path\n1,é".encode("utf-16"), "data/t.csv is in UTF-16: give that as its encoding"),
        ("id,path\n1,é".encode("utf-16-be"), "data/t.csv has no column with pictures"),
    ],
)
def test_csv_that_cannot_be_used(content: str | bytes, words: str):
    assert refused("t.csv", content).startswith(words)


def test_a_table_without_rows():
    for name, content in (("t.csv", "id,path\n"), ("t.jsonl", ""), ("t.jsonl", "\n \n")):
        with pytest.raises(ValueError, match="the sources have no items"):
            read(name, content)
    read("t.csv", "path\na.jpg")
    assert len(list(read_items(["data/t.csv", "data/t.jsonl"]))) == 1


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "cp1252", "UTF8", "utf-8-sig"])
def test_encodings(encoding: str):
    expected = [Item("é", Path("data/ü.jpg"))]
    assert read("t.csv", "id,path\né,ü.jpg".encode(encoding), encoding=encoding) == expected
    line = '{"id": "é", "path": "ü.jpg"}'.encode(encoding)
    assert read("t.jsonl", line, encoding=encoding) == expected
    assert read("t.txt", "ü.jpg".encode(encoding), encoding=encoding)[0].picture == Path(
        "data/ü.jpg"
    )


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.txt"])
def test_a_file_that_is_not_in_its_encoding(name: str):
    with pytest.raises(ValueError, match=f"data/{name} cannot be read as utf-16"):
        read(name, b"id,path\n1,2\nx", encoding="utf-16-le")


@pytest.mark.parametrize("encoding", ["nonsense", "base64", "hex", "", "a\0b"])
def test_encodings_that_are_none(encoding: str):
    with pytest.raises(ValueError, match="encoding should be the name of an encoding of text"):
        read("t.csv", "path\na", encoding=encoding)


@pytest.mark.parametrize("delimiter", ["", ";;", '"', "\n", " ", "\0"])
def test_delimiters_that_are_none(delimiter: str):
    with pytest.raises(ValueError, match="delimiter should be one character"):
        read("t.csv", "path\na", delimiter=delimiter)


def test_options_that_contradict_each_other():
    with pytest.raises(ValueError, match="picture_column is given, although pictures is False"):
        read("t.csv", "path\na", pictures=False, picture_column="path")
    with pytest.raises(ValueError, match="the skill caption needs pictures"):
        read("t.csv", "path\na", pictures=False, template=Template("caption"))


def test_items_are_read_one_by_one():
    """The rest of a file is not read before it is needed."""
    path = Path("data/t.jsonl")
    path.write_text('{"path": "a"}\n' * 5000)
    items = iter(read_items(path))
    assert next(items).id == "1"
    path.write_text('{"path": "b"}\n')
    assert sum(1 for _ in items) < 2000
