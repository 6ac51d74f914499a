"""The items of a bulk run: CSV and JSON lines, their columns, and which are used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from moondream_transports.bulk import Item, Template, read_items
from tests.transports.bulk.inputs import GIF_URL, read, refused

pytestmark = pytest.mark.usefixtures("data_folder")


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
