"""The navigation of the site: one caption for each section of index.md, with the pages that its
list links to. So the list is written once, and reads well on a forge.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the tests read this module where Sphinx is not installed
    from sphinx.application import Sphinx

INDEX = "index"
_SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
_LINK = re.compile(r"^- \[[^\]]+\]\(([^):#]+)\.md\)", re.MULTILINE)
# Pages that are made by the build, after those of the section.
_MADE = {"Reference": ["reference/api/index"]}


def contents(index: str) -> str:
    """Return the sections of a page as hidden trees of contents."""
    _, *parts = _SECTION.split(index)
    trees: list[str] = []
    for caption, text in zip(parts[::2], parts[1::2], strict=True):
        pages = [*_LINK.findall(text), *_MADE.get(caption, ())]
        trees += ["", "```{toctree}", ":hidden:", f":caption: {caption}", "", *pages, "```", ""]
    return "\n".join(trees)


def _add_contents(app: Sphinx, name: str, source: list[str]) -> None:
    if name == INDEX:
        source[0] += contents(source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", _add_contents)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
