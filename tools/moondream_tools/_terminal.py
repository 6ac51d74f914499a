"""Write to a terminal. No text of a server can control it."""

from __future__ import annotations

import os
import re
import shutil
import unicodedata
from typing import Final, TextIO

# C0 and C1 controls without tab and newline, DEL, and characters that move or hide text: marks of
# direction, line separators, the BOM.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)

BOLD: Final = "1"
DIM: Final = "2"
CYAN: Final = "36"
LABEL: Final = 14


def safe(text: str) -> str:
    """Return the text with control characters as escapes (ESC as \\x1b). Tabs and newlines stay."""
    return _CONTROLS.sub(lambda found: ascii(found[0])[1:-1], text)


def on_one_line(text: str, columns: int) -> str:
    """Return the text as one line. The middle of a text wider than `columns` is left out."""
    line = safe(" ".join(text.split()))
    if _columns(line) <= columns:
        return line
    head, tail = line[: columns * 2 // 3 - 1], line[len(line) - columns // 3 :]
    while _columns(head) > columns * 2 // 3 - 1:
        head = head[:-1]
    while _columns(tail) > columns // 3:
        tail = tail[1:]
    return f"{head}…{tail}"


def _columns(text: str) -> int:
    """Return the width on a terminal. Wide East Asian characters and emoji take two columns."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


class Terminal:
    """Write lines to a text stream.

    Only a terminal gets redrawn lines, and styles unless NO_COLOR is set.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.is_terminal = stream.isatty()
        self.is_live = self.is_terminal and os.environ.get("TERM") != "dumb"
        self.has_styles = self.is_live and not os.environ.get("NO_COLOR")
        self._column_is_zero = True

    @property
    def width(self) -> int:
        """The number of columns for text, at most 120."""
        return min(shutil.get_terminal_size().columns, 120) if self.is_live else 100

    def styled(self, text: str, style: str) -> str:
        """Return the text in a style, if the terminal has styles."""
        return f"\x1b[{style}m{text}\x1b[0m" if self.has_styles else text

    def write(self, text: str) -> None:
        """Write text, and flush it."""
        if text:
            self._stream.write(text)
            self._stream.flush()
            self._column_is_zero = text.endswith("\n")

    def line(self, text: str = "") -> None:
        """Write a line, after the end of the current line."""
        self.end_line()
        self.write(text + "\n")

    def end_line(self) -> None:
        """End the current line, if it has text."""
        if not self._column_is_zero:
            self.write("\n")

    def labelled(self, label: str, text: str = "", *, end: str = "\n") -> None:
        """Write a line that begins with a label."""
        self.end_line()
        self.write(f"{self.styled(label.ljust(LABEL), DIM)}{text}{end}")

    def redraw(self, label: str, text: str) -> None:
        """Replace the current line of a terminal by a labelled line, cut to its width."""
        if self.is_live:
            columns = self.width - LABEL - 1
            self.write(f"\r{self.styled(label.ljust(LABEL), DIM)}{text[:columns].ljust(columns)}")

    def restart_line(self) -> None:
        """Go back to the beginning of the line that was redrawn."""
        if self.is_live:
            self._stream.write("\r")
            self._column_is_zero = True
