"""What is shown to people: nothing that a server sends may steer their terminal."""

from __future__ import annotations

import os
import re
import shutil
import unicodedata
from typing import Final, TextIO

# C0 and C1 controls but for tab and newline, DEL, and what moves or hides text: marks of direction,
# line separators, the BOM.
_STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)

BOLD: Final = "1"
DIM: Final = "2"
CYAN: Final = "36"
LABEL: Final = 14


def safe(text: str) -> str:
    """The text with everything that would act on a terminal spelled out (ESC as \\x1b); tabs and
    newlines stay.
    """
    return _STEERING.sub(lambda found: ascii(found[0])[1:-1], text)


def on_one_line(text: str, columns: int) -> str:
    """The text on a line of at most so many columns, its middle left out where it is longer."""
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
    """How wide a terminal shows it: what is wide in East Asia, emoji included, takes two columns."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


class Terminal:
    """A text stream, and what can be done with it: styles and redrawing only where it is a terminal
    (and NO_COLOR is not set).
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.is_live = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._has_styles = self.is_live and not os.environ.get("NO_COLOR")
        self._column_is_zero = True

    @property
    def width(self) -> int:
        """Columns to fill, for people to read: not more than 120, whatever there is."""
        return min(shutil.get_terminal_size().columns, 120) if self.is_live else 100

    def styled(self, text: str, style: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if self._has_styles else text

    def write(self, text: str) -> None:
        """Show text at once."""
        if text:
            self._stream.write(text)
            self._stream.flush()
            self._column_is_zero = text.endswith("\n")

    def line(self, text: str = "") -> None:
        """Show a line, on a line of its own."""
        self.end_line()
        self.write(text + "\n")

    def end_line(self) -> None:
        if not self._column_is_zero:
            self.write("\n")

    def labelled(self, label: str, text: str = "", *, end: str = "\n") -> None:
        """Show a line with a label before it."""
        self.end_line()
        self.write(f"{self.styled(label.ljust(LABEL), DIM)}{text}{end}")

    def redraw(self, label: str, text: str) -> None:
        """Show a labelled line in place of the one that is being shown; only to people who look on,
        and not too wide for them.
        """
        if self.is_live:
            room = self.width - LABEL - 1
            self.write(f"\r{self.styled(label.ljust(LABEL), DIM)}{text[:room].ljust(room)}")

    def restart_line(self) -> None:
        """Write over the line that was redrawn."""
        if self.is_live:
            self._stream.write("\r")
            self._column_is_zero = True
