"""One line on a terminal that says how far a check is."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager


@contextmanager
def progress(total: int) -> Generator[Callable[[str, int], None], None, None]:
    """Give a function that shows which case runs, and how many have failed.

    It writes to stderr if that is a terminal, else nowhere. The line is erased at the end.
    """
    stream = sys.stderr
    if not stream.isatty():
        yield lambda _id, _failed: None
        return
    width = shutil.get_terminal_size().columns - 1
    number = 0

    def write(text: str) -> None:
        stream.write(f"\r{text[:width]:{width}}")
        stream.flush()

    def show(id: str, failed: int) -> None:
        nonlocal number
        number += 1
        write(f"{number}/{total}, {failed} failed; {id}")

    try:
        yield show
    finally:
        write("")
        stream.write("\r")
        stream.flush()
