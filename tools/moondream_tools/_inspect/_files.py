"""The files of the page, from the package."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

from ._compact import compact_html, compact_script, compact_style

TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
}
"""The types of the files, by the ends of their names."""
_STATIC: Final = files("moondream_tools._inspect") / "static"
_COMPACT: Final = {"html": compact_html, "js": compact_script, "css": compact_style}


@cache
def page_files() -> frozenset[str]:
    """Return the names of the files."""
    names = (file.name for file in _STATIC.iterdir() if file.is_file())
    return frozenset(name for name in names if name.rpartition(".")[2] in TYPES)


def source(name: str) -> str:
    """Return a file as its readers have it."""
    return (_STATIC / name).read_text(encoding="utf-8")


def compact(name: str) -> str:
    """Return a file as browsers get it. A changed file is seen when the page is loaded again."""
    return _compact(name.rpartition(".")[2], source(name))


@cache
def _compact(kind: str, text: str) -> str:
    return _COMPACT[kind](text)
