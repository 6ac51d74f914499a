"""The items of a bulk run: links in folders, and folders that are hard to walk over."""

from __future__ import annotations

import inspect
import os
import shutil
import sys
from pathlib import Path

import pytest

from moondream_transports.bulk import Template, read_items
from tests.transports.bulk.folders import GIF, NAMES, ids, problems


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
