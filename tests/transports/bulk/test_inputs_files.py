"""The items of a bulk run: folders, pictures, globs, lists."""

from __future__ import annotations

import base64
import inspect
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from moondream_transports.bulk import Item, Template, count_items, read_items

GIF = base64.b64decode("R0lGODlhAQABAIAAAP///////yH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==")
NAMES = ["train/a b.jpg", "train/deep/é.PNG", "train-2.webp", "val/a b.jpg", "z\n,.Gif"]
OTHERS = [".hidden.jpg", ".git/a.jpg", "train/notes.md", "val/labels.csv", "README"]


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make `photos`, a folder of the current one, with pictures and other files."""
    monkeypatch.chdir(tmp_path)
    for name in NAMES + OTHERS:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(GIF)
    return Path("photos")


def ids(*sources: str | Path, **options: bool) -> list[str]:
    items = read_items(sources[0] if len(sources) == 1 else sources, **options)  # type: ignore[arg-type]
    read = list(items)
    assert count_items(items) == len(read)
    assert list(items) == read
    return [item.id for item in read]


def problems(*sources: str | Path, **options: bool) -> dict[str, str]:
    """Return the problem of each item that has one."""
    found = read_items(sources[0] if len(sources) == 1 else sources, **options)  # type: ignore[arg-type]
    return {item.id: item.problem for item in found if item.problem is not None}


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


def test_links_that_lead_out_of_a_folder_are_problems(photos: Path, tmp_path: Path):
    outside = tmp_path / "private"
    outside.mkdir()
    (outside / "me.jpg").write_bytes(GIF)
    (photos / "me.jpg").symlink_to(outside / "me.jpg")
    (photos / "all").symlink_to(outside)
    (photos / "text").symlink_to("/etc/passwd")  # no picture by its name
    found = problems(photos)
    assert list(found) == ["all", "me.jpg"]
    assert found["me.jpg"] == (
        f"photos/me.jpg: it is a link that leads out of photos, to {outside / 'me.jpg'}. Allow "
        "such links with follow_links"
    )
    assert list(problems("photos/**/*.jpg")) == ["all", "me.jpg"]
    assert list(problems("photos/*.jpg")) == ["me.jpg"]
    assert set(ids(photos, follow_links=True)) == {*NAMES, "all/me.jpg", "me.jpg"}
    assert problems(photos, follow_links=True) == {}
    assert ids("photos/me.jpg") == ["photos/me.jpg"]  # it was named


def test_links_of_globs_of_tables(photos: Path, tmp_path: Path):
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "a.csv").write_text("path\n1.jpg\n")
    (photos / "link.csv").symlink_to(tmp_path / "tables" / "a.csv")
    assert ids("photos/*.csv") == ["link.csv:1"]
    (photos / "all").symlink_to(tmp_path / "tables")
    (photos / "val/labels.csv").unlink()
    with pytest.raises(ValueError, match="^photos/all: it is a link that leads out of photos, to"):
        read_items("photos/**/*.csv")
    assert ids("photos/**/*.csv", follow_links=True) == ["all/a.csv:1", "link.csv:1"]


def test_links_within_a_folder(photos: Path):
    (photos / "copy.jpg").symlink_to("train/a b.jpg")
    (photos / "train/deep/up").symlink_to("../..")
    (photos / "train/to-val").symlink_to("../val")
    (photos / "loop.jpg").symlink_to("loop.jpg")
    (photos / "gone.jpg").symlink_to("nowhere.jpg")
    expected = {*NAMES, "copy.jpg", "loop.jpg", "gone.jpg", "train/to-val/a b.jpg"} - {
        "val/a b.jpg"
    }
    for source in ("photos", "photos/**/*"):
        assert set(ids(source)) == expected
        assert problems(source) == {}
    (photos.parent / "link").symlink_to("photos")
    assert set(ids("link")) == expected


def test_a_web_of_links_ends(photos: Path):
    folders = [photos / f"f{number}" for number in range(9)]
    for folder in folders:
        folder.mkdir()
        (folder / "a.jpg").write_bytes(GIF)
    for folder in folders:
        for other in folders:
            (folder / f"to-{other.name}").symlink_to(f"../{other.name}")
    assert len(ids("photos/**/a.jpg")) == 9


def test_folders_that_are_nested_more_deeply_than_python_may_recurse(photos: Path):
    depth = 300
    (photos / ("d/" * depth)).mkdir(parents=True)
    (photos / ("d/" * depth) / "a.jpg").write_bytes(GIF)
    items = iter(read_items(photos))
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 100)
    try:
        read = [item.id for item in items]
    finally:
        sys.setrecursionlimit(limit)
    assert "d/" * depth + "a.jpg" in read


def test_a_folder_that_cannot_be_read(photos: Path):
    items = iter(read_items(photos))
    assert next(items).id == "train-2.webp"
    shutil.rmtree(photos / "val")
    found = {item.id: item.problem for item in items if item.problem is not None}
    assert found == {"val": "photos/val: it cannot be read: No such file or directory"}


def test_names_that_are_no_utf_8(photos: Path):
    name = os.fsdecode(b"caf\xe9.jpg")
    (photos / "val" / name).write_bytes(b"no picture")
    found = [item for item in read_items("photos/val") if item.id.startswith("caf")]
    assert [(item.id, item.picture) for item in found] == [
        ("caf\\udce9.jpg", photos / "val" / name)
    ]
    with pytest.raises(ValueError, match=r"caf\\udce9.jpg: Pillow cannot") as raised:
        Template("caption").request(found[0])
    assert str(raised.value).encode()


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
