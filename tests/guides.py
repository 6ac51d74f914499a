"""The files in the guides of docs/: a Python block whose first line is `# NAME.py` is a file of
that name.

The other blocks of its page, and other files, can import it. So a program is in its guide and
nowhere else, and the tests run that."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
# Of the sources: `make docs` builds into a folder beside them.
PAGES = sorted(page for page in (ROOT / "docs").rglob("*.md") if "_build" not in page.parts)
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAME = re.compile(r"# (\w+\.py)\n")


def write_files(page: Path, folder: Path) -> list[Path]:
    """Write the files of a page into a folder, and return their paths."""
    written: list[Path] = []
    for kind, code in BLOCK.findall(page.read_text()):
        if kind == "python" and (name := NAME.match(code)):
            written.append(folder / name[1])
            written[-1].write_text(code)
    return written
