"""What the tests of inputs share: the items of a file, and what is wrong with it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from moondream_transports.bulk import Item, count_items, read_items

GIF_URL = "data:image/gif;base64,R0lGODlh"


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
