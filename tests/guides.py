"""The files in the guides of docs/: a Python block whose first line is `# NAME.py` is a file of
that name.

The other blocks of its page, and other files, can import it. So a program is in its guide and
nowhere else, and the tests run that. A page that imports the files of another one says so in a
comment: `<!-- with the files of embed-sdk.md -->`.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(page for page in DOCS.rglob("*.md") if DOCS / "_build" not in page.parents)
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAME = re.compile(r"# (\w+\.py)\n")
OTHER_PAGE = re.compile(r"^<!-- with the files of (\S+\.md) -->$", re.MULTILINE)


def write_files(page: Path, folder: Path) -> list[Path]:
    """Write the files of a page, and those that it imports, into a folder. Return the paths."""
    written = [
        path
        for name in OTHER_PAGE.findall(page.read_text())
        for path in write_files(page.parent / name, folder)
    ]
    for kind, code in BLOCK.findall(page.read_text()):
        if kind == "python" and (name := NAME.match(code)):
            written.append(folder / name[1])
            written[-1].write_text(code)
    return written
