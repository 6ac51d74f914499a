"""The items of a bulk run: folders, pictures, globs, lists."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from moondream_transports.bulk import Item, Template, count_items, read_items
from tests.transports.bulk.folders import GIF, NAMES, ids, problems


def test_a_folder_has_its_pictures_in_the_order_of_their_paths(photos: Path):
    expected = ["train-2.webp", "train/a b.jpg", "train/deep/é.PNG", "val/a b.jpg", "z\n,.Gif"]
    assert ids(photos) == ids("photos/") == sorted(expected)
    assert list(read_items(photos)) == [Item(name, photos / name) for name in expected]
    assert ids(photos, recursive=False) == ["train-2.webp", "z\n,.Gif"]
    assert len(problems(photos)) == 0


def test_several_sources_have_ids_that_begin_with_them(photos: Path):
    assert ids("photos/train", "photos/val", "photos/train-2.webp") == [
        "photos/train/a b.jpg",
        "photos/train/deep/é.PNG",
        "photos/val/a b.jpg",
        "photos/train-2.webp",
    ]


def test_the_current_folder(photos: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir("photos/train")
    assert ids(".") == ["a b.jpg", "deep/é.PNG"]
    assert ids(".", "../val") == ["a b.jpg", "deep/é.PNG", "../val/a b.jpg"]
    assert ids("*.jpg", "../val/*") == ["a b.jpg", "../val/a b.jpg"]


def test_pictures_that_are_named(photos: Path):
    (photos / "no suffix").write_bytes(GIF)
    assert ids("photos/train/a b.jpg") == ["photos/train/a b.jpg"]
    assert ids("photos/no suffix", "photos/train-2.webp") == [
        "photos/no suffix",
        "photos/train-2.webp",
    ]


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("photos/*", ["train-2.webp", "z\n,.Gif"]),
        ("photos/**", ["train-2.webp", *NAMES[:2], "val/a b.jpg", "z\n,.Gif"]),
        ("photos/**/*.jpg", ["train/a b.jpg", "val/a b.jpg"]),
        ("photos/*/*.jpg", ["train/a b.jpg", "val/a b.jpg"]),
        ("photos/train/**/*", ["a b.jpg", "deep/é.PNG"]),
        ("photos/**/deep/*", ["train/deep/é.PNG"]),
        ("photos/**/deep/**/*.PNG", ["train/deep/é.PNG"]),
        ("photos/tr*/[ab]*", ["train/a b.jpg"]),
        ("phot?s/val/*", ["photos/val/a b.jpg"]),
        ("**/*.webp", ["photos/train-2.webp"]),
    ],
)
def test_globs(photos: Path, glob: str, expected: list[str]):
    assert ids(glob) == expected
    assert ids(Path(glob)) == expected


def test_a_glob_among_several_sources(photos: Path):
    assert ids("photos/val/*", "photos/train/*.jpg") == [
        "photos/val/a b.jpg",
        "photos/train/a b.jpg",
    ]


def test_a_name_that_looks_like_a_glob(photos: Path):
    (photos / "a[1].jpg").write_bytes(GIF)
    assert ids("photos/a[1].jpg") == ["photos/a[1].jpg"]


def test_globs_of_tables_and_lists(photos: Path):
    for number in (1, 2):
        (photos / f"part-{number}.csv").write_text(f"path\n{number}.jpg\n")
        (photos / "val" / f"{number}.txt").write_text(f"{number}.jpg\n")
    assert ids("photos/*.csv") == ["part-1.csv:1", "part-2.csv:1"]
    assert [item.picture for item in read_items("photos/*.csv")] == [
        photos / "1.jpg",
        photos / "2.jpg",
    ]
    assert ids("photos/part-1.*") == ["part-1.csv:1"]
    assert ids("photos/*.csv", "photos/val") == [
        "photos/part-1.csv:1",
        "photos/part-2.csv:1",
        "photos/val/a b.jpg",
    ]
    assert ids("photos/val/*.txt") == ["photos/val/1.jpg", "photos/val/2.jpg"]


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        ("nowhere", FileNotFoundError, "there is no file or folder nowhere"),
        ("nul\0", FileNotFoundError, "there is no file or folder"),
        ("nowhere/*.jpg", FileNotFoundError, "the glob 'nowhere/.*' matches no pictures"),
        ("photos/*.heic", FileNotFoundError, "matches no pictures, tables or lists"),
        ("photos/README.txt", FileNotFoundError, "no file or folder photos/README.txt"),
        ("", ValueError, "a source is an empty text"),
        ([], ValueError, "no source is given: name a folder"),
        ("photos/train/notes.md", ValueError, "notes.md is no source. A source is a folder"),
        (
            "photos/empty",
            ValueError,
            "photos/empty has no pictures: no file whose name ends in .jpg",
        ),
        (os.devnull, ValueError, "null is no source"),
    ],
)
def test_sources_that_cannot_be_used(
    photos: Path, source: str | list[str], error: type[Exception], words: str
):
    (photos / "empty" / ".cache").mkdir(parents=True)
    (photos / "empty" / "labels.csv").write_text("path\n")
    (photos / "train" / "notes.md").write_text("none")
    with pytest.raises(error, match=words):
        read_items(source)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes in folders")
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.parquet", "a.txt"])
def test_a_pipe_is_refused_before_anything_waits_for_it(photos: Path, name: str):
    os.mkfifo(photos / name)
    for source in (name, f"*{Path(name).suffix}"):
        with pytest.raises(
            ValueError, match=r"a\..* should be a file, as it is read several times"
        ):
            read_items(photos / source)


def test_a_folder_that_has_only_folders(photos: Path):
    with pytest.raises(ValueError, match="has no pictures, apart from the folders in it"):
        read_items(photos.parent, recursive=False)


def test_a_template_that_needs_columns(photos: Path):
    (photos / "list.txt").write_text("a.jpg")
    template = Template("detect", object="{label}")
    for source in ("photos", "photos/*", "photos/list.txt", "photos/train-2.webp"):
        with pytest.raises(ValueError, match="is no table: the template uses the column 'label'"):
            read_items(source, template=template)
        with pytest.raises(ValueError, match="has pictures, although pictures=False is given"):
            read_items(source, pictures=False)
        for option in ("id_column", "picture_column"):
            with pytest.raises(ValueError, match="is no table, so it has no column 'x'"):
                read_items(source, **{option: "x"})  # type: ignore[arg-type]
        assert list(read_items(source, template=Template("query", question="What is {id}?")))


def test_a_list_of_pictures(photos: Path, tmp_path: Path):
    lines = ["\ufefftrain/a b.jpg", "", "  ", f"{tmp_path}/x.png", "./val/../val/é,;.jpg ", "é"]
    (photos / "list.txt").write_bytes("\r\n".join(lines).encode() + b"\ncaf\xe9.jpg")
    items = list(read_items("photos/list.txt"))
    assert [item.id for item in items] == [
        "train/a b.jpg",
        f"{tmp_path}/x.png",
        "val/../val/é,;.jpg ",
        "é",
        "caf\\udce9.jpg",
    ]
    assert [item.picture for item in items] == [
        photos / "train/a b.jpg",
        tmp_path / "x.png",
        photos / "val/../val/é,;.jpg ",
        photos / "é",
        photos / os.fsdecode(b"caf\xe9.jpg"),
    ]
    assert ids("photos/list.txt", "photos/val")[0] == "photos/train/a b.jpg"
    assert count_items(read_items("photos/list.txt")) == 5


def test_a_list_with_broken_lines(photos: Path):
    lines = [b"a.jpg", b"nul\0.jpg", b"https://example.com/a.jpg", b"x" * 4097, b"data:,", b"b.jpg"]
    (photos / "list.txt").write_bytes(b"\n".join(lines))
    assert ids("photos/list.txt") == [
        "a.jpg",
        *(f"photos/list.txt:{line}" for line in (2, 3, 4, 5)),
        "b.jpg",
    ]
    found = list(problems("photos/list.txt").values())
    assert found[0].startswith("photos/list.txt, line 2: the line should be a path or a data URL")
    assert "line 3: the line is an address, 'https://example.com/a.jpg'" in found[1]
    assert found[3].endswith("line 5: the line should be a path. Data URLs belong into a table")
    assert found[2].endswith("not 4,097 characters that begin 'xxxxxxxxxxxxxxxxxxxx'")


def test_a_list_that_is_empty(photos: Path):
    (photos / "list.txt").write_text("\n\n")
    with pytest.raises(ValueError, match="have no items: .* only blank lines"):
        read_items("photos/list.txt")
    assert ids("photos/list.txt", "photos/val") == ["photos/val/a b.jpg"]


def test_items_of_other_kinds_are_counted():
    def generated() -> Iterator[Item]:
        yield Item("1")

    assert count_items([Item("1"), Item("2")]) == 2
    assert count_items(generated()) is None
