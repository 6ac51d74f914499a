"""The folders of recordings, beside the files of tests: `recordings/test_file/test_name/`.

1. No two tests share a folder, even on a disk that ignores letter case. A name that is not made of
   lower-case letters, digits, `-` and `_`, is too long, or has a meaning on Windows, gets a digest.
2. A recording that tests share is in `recordings/shared.name/`. No folder of a test file has a dot.

PYTEST_DONT_REWRITE: nothing here asserts, and pytest warns about a plugin that is already imported.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from moondream_transports.recording._files import safe_name

MARK = "moondream_recording"
_PLAIN = re.compile(r"[a-z0-9_-]+")
_RESERVED = re.compile(r"(aux|con|nul|prn|com[0-9]|lpt[0-9])(\.|$)")  # by Windows
_MAX_NAME = 80  # characters, and those of the digest


def shared_name(item: pytest.Item) -> str | None:
    """Return the name of the recording that a test shares, or None.

    Raises TypeError for a mark without one name.
    """
    mark = item.get_closest_marker(MARK)
    if mark is None:
        return None
    if len(mark.args) == 1 and not mark.kwargs and isinstance(mark.args[0], str):
        return mark.args[0]
    raise TypeError(f'the mark should have one name, as in @pytest.mark.{MARK}("moon")')


def folder_of(item: pytest.Item) -> Path:
    """Return the folder of the recordings of a test."""
    recordings = item.path.parent / "recordings"
    if (shared := shared_name(item)) is not None:
        return recordings / f"shared.{unique_name([shared])}"
    nodes = [node for node in item.listchain() if isinstance(node, pytest.Class | pytest.Item)]
    file = unique_name([item.path.name.removesuffix(".py")])
    return recordings / file / unique_name([node.name for node in nodes])  # xdist adds to `nodeid`


def unique_name(parts: Sequence[str]) -> str:
    """Return a readable name of a folder. It differs for other parts, also without letter case."""
    name = ".".join(map(safe_name, parts))
    is_plain = all(_PLAIN.fullmatch(part) and part == safe_name(part) for part in parts)
    if is_plain and len(name) <= _MAX_NAME and not _RESERVED.match(name):
        return name
    digest = hashlib.sha256("::".join(parts).encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{name[:_MAX_NAME]}-{digest}"
