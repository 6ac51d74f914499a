"""What the tests of folders share: its files, and the items that are read."""

from __future__ import annotations

from pathlib import Path

from moondream_transports.bulk import count_items, read_items
from tests.helpers import PIXEL

GIF = PIXEL.data
NAMES = ["train/a b.jpg", "train/deep/é.PNG", "train-2.webp", "val/a b.jpg", "z\n,.Gif"]
OTHERS = [".hidden.jpg", ".git/a.jpg", "train/notes.md", "val/labels.csv", "README"]


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
