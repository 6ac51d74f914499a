"""The items of a bulk run: CSV and JSON lines."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from moondream_transports.bulk import Item, Template, count_items, read_items

GIF_URL = "data:image/gif;base64,R0lGODlh"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make `data`, an empty folder of the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    return tmp_path


def read(name: str, content: str | bytes, **options: Any) -> list[Item]:
    """Return the items of a file with this content, in `data`."""
    path = Path("data") / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    items = read_items(path, **options)
    found = list(items)
    assert count_items(items) == len(found)
    assert list(items) == found
    return found


def problem(name: str, content: str | bytes, **options: Any) -> str:
    """Return the problem of the only item that has one."""
    (item,) = [item for item in read(name, content, **options) if item.problem is not None]
    assert item.picture is None
    assert item.problem is not None
    assert item.problem.encode()
    return item.problem


def refused(name: str, content: str | bytes, **options: Any) -> str:
    """Return why a file cannot be used."""
    with pytest.raises(ValueError, match=f"^data/{re.escape(name)}") as raised:
        read(name, content, **options)
    return str(raised.value)


def test_csv():
    rows = (
        "\ufeffid, picture,question\r\n"
        "1,a b.jpg,What?\r\n"
        "\r\n"
        '007,"x\n,"" .jpg","two\r\nlines; \'é\'"\r\n'
        "3,../up.jpg,"
    )
    assert read("t.csv", rows) == [
        Item("1", Path("data/a b.jpg"), {"question": "What?"}),
        Item("007", Path('data/x\n," .jpg'), {"question": "two\r\nlines; 'é'"}),
        Item("3", Path("data/../up.jpg"), {"question": ""}),
    ]


def test_json_lines():
    rows = (
        '\ufeff{"id": 1, "picture": "a b.jpg", "question": "What?", "n": [1, {"a": null}]}\r\n'
        "  \n"
        '{"picture": "/abs.jpg", "id": "x\\ud83c\\udf19", "other": 1.5}\n'
        f'{{"id": "é", "picture": "{GIF_URL}"}}'
    )
    assert read("t.jsonl", rows) == [
        Item(
            "1", Path("data/a b.jpg"), {"question": "What?", "n": [1, {"a": None}], "other": None}
        ),
        Item("x🌙", Path("/abs.jpg"), {"question": None, "n": None, "other": 1.5}),
        Item("é", GIF_URL, {"question": None, "n": None, "other": None}),
    ]
    assert read("t.ndjson", rows) == read("t.jsonl", rows)


@pytest.mark.parametrize("name", ["T.CSV", "t.tsv", "semicolons.csv", "pipes.csv", "given.csv"])
def test_delimiters(name: str):
    delimiter = {"T.CSV": ",", "t.tsv": "\t", "semicolons.csv": ";", "pipes.csv": "|"}.get(
        name, ":"
    )
    options = {"delimiter": ":"} if name == "given.csv" else {}
    content = f"id{delimiter}path\n1{delimiter}a.jpg\n"
    assert read(name, content, **options) == [Item("1", Path("data/a.jpg"))]


def test_a_tab_in_a_header_of_csv():
    assert read("t.csv", "id\tpath\n1\ta,b;c.jpg\n") == [Item("1", Path("data/a,b;c.jpg"))]


@pytest.mark.parametrize(
    "column",
    ["picture", "image", "image_path", "path", "file", "file_name", "filename", "Image", "FILE"],
)
def test_the_column_of_pictures_is_found_by_usual_names(column: str):
    assert read("t.csv", f"other,{column}\nx,a.jpg\n") == [
        Item("1", Path("data/a.jpg"), {"other": "x"})
    ]
    assert read("t.jsonl", json.dumps({column: "a.jpg"})) == [Item("1", Path("data/a.jpg"))]


def test_the_first_usual_name_counts():
    row = {"path": "b.jpg", "url": GIF_URL, "image": "a.jpg"}
    assert read("t.jsonl", json.dumps(row))[0].picture == Path("data/a.jpg")


@pytest.mark.parametrize("column", ["image_url", "url", "URL"])
def test_a_column_of_addresses_is_used_for_data_urls_only(column: str):
    assert read("t.jsonl", json.dumps({column: GIF_URL})) == [Item("1", GIF_URL)]
    assert read("t.csv", f'{column}\n"{GIF_URL}"\n') == [Item("1", GIF_URL)]
    words = refused("t.jsonl", json.dumps({column: "https://example.com/a.jpg"}))
    assert "has no column with pictures. We looked for picture, image, " in words
    assert f"for data URLs in image_url, data_url, url. Its columns: '{column}'. Give" in words


def test_columns_that_are_named():
    content = "key,id,img,path\nk,1,a.jpg,b.jpg\n"
    options = {"id_column": "key", "picture_column": "img"}
    assert read("t.csv", content, **options) == [
        Item("k", Path("data/a.jpg"), {"id": "1", "path": "b.jpg"})
    ]
    for option in options:
        words = refused("t.csv", content, **{**options, option: "nope"})
        assert words == "data/t.csv has no column 'nope'. Its columns: 'key', 'id', 'img', 'path'"


def test_questions_without_pictures():
    template = Template("query")
    content = "question\nWhy?\nHow?\n"
    assert read("t.csv", content, pictures=False, template=template) == [
        Item("1", None, {"question": "Why?"}),
        Item("2", None, {"question": "How?"}),
    ]
    assert "has no column with pictures" in refused("t.csv", content, template=template)


def test_a_template_reads_the_columns_that_it_uses():
    content = "id,path,a,b,question\n7,x.jpg,A,B,Why?\n"
    template = Template("query", question="{a} {id} {path}")
    (item,) = read("t.csv", content, template=template)
    assert item.fields == {"a": "A", "question": "Why?", "path": "x.jpg"}
    caption = Template("caption")
    assert read("t.csv", content, template=caption) == [Item("7", Path("data/x.jpg"))]
    key = Template("detect", object="{a} {id} {b}")
    (item,) = read("t.csv", content, template=key, id_column="b")
    assert key.request(item.__class__(item.id, GIF_URL, item.fields)).object == "A 7 B"  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
def test_a_column_that_the_template_lacks(name: str):
    content = "id,path\n1,a.jpg\n" if name == "t.csv" else '{"id": 1, "path": "a.jpg"}'
    words = refused(name, content, template=Template("detect", object="{label}"))
    assert words.startswith(f"data/{name}: the template uses the column 'label', which")
    assert "Its columns: 'id', 'path'" in words
    words = refused(name, content, template=Template("detect"))
    assert "the skill detect needs object: give it in the template, or in a column" in words


def test_columns_of_json_lines_are_those_of_the_first_hundred_rows():
    lines = ["{}", "broken", *['{"path": "a.jpg"}'] * 97, '{"path": "a.jpg", "label": "cat"}']
    template = Template("detect", object="{label}")
    items = read("t.jsonl", "\n".join(lines), template=template)
    assert [item.fields for item in items[-2:]] == [{"label": None}, {"label": "cat"}]
    refused("t.jsonl", "\n".join(["{}", *lines]), template=template)


def test_numbers_are_the_ids_of_rows_without_ids():
    items = read("t.csv", "path\na.jpg\n\nbroken,row\nb.jpg\n")
    assert [item.id for item in items] == ["1", "2", "3"]
    items = read("t.jsonl", '{"path": "a"}\n\nbroken\n{"path": "b"}')
    assert [item.id for item in items] == ["1", "2", "3"]


def test_several_tables():
    read("a.csv", "path\n1.jpg\n")
    read("b.csv", "id,path\nx,2.jpg\nbroken\n")
    items = list(read_items(["data/a.csv", Path("data/b.csv")]))
    assert [item.id for item in items] == ["data/a.csv:1", "x", "data/b.csv:2"]


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
