"""Write to a terminal. No text of a server can control it.

Styles, wide characters and the width of a terminal are rich's work (extra `cli`). Without rich, and
where the output is no terminal, the same lines come without styles and are not wrapped.
"""

from __future__ import annotations

import os
import re
import shutil
import unicodedata
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TextIO

if TYPE_CHECKING:
    from ._console import TerminalConsole

# C0 and C1 controls without tab and newline, DEL, and characters that move or hide text: marks of
# direction, line separators, the BOM.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)

_PARTS = re.compile(r"\n|[^\S\n]+|\S+")  # of a text: line ends, spaces, words

BOLD: Final = "bold"
DIM: Final = "dim"
FIELD: Final = "cyan"
LABEL: Final = 14
"""Columns of a label."""
_MAX_WIDTH = 120  # columns: a longer line is hard to read
_PLAIN_WIDTH = 100  # columns of a line for a file or a pipe


def safe(text: str) -> str:
    """Return the text with control characters as escapes (ESC as \\x1b). Tabs and newlines stay."""
    return _CONTROLS.sub(lambda found: ascii(found[0])[1:-1], text)


def on_one_line(text: str, columns: int) -> str:
    """Return the text as one line. The middle of a text wider than `columns` is left out."""
    line = safe(" ".join(text.split()))
    if columns_of(line) <= columns:
        return line
    columns = max(columns, 3)
    head, tail = line[: columns * 2 // 3 - 1], line[len(line) - columns // 3 :]
    while columns_of(head) > columns * 2 // 3 - 1:
        head = head[:-1]
    while columns_of(tail) > columns // 3:
        tail = tail[1:]
    return f"{head}…{tail}"


def columns_of(text: str) -> int:
    """Return the width on a terminal. Wide East Asian characters and emoji take two columns."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


class Terminal:
    """Write lines to a text stream.

    Only a terminal gets redrawn lines, and styles unless NO_COLOR is set.

    Args:
        stream: to write to.
        may_fail: what cannot be written is dropped, as it is no part of an answer.

    Attributes:
        is_terminal: a person reads it.
        is_live: its lines can be redrawn.
        has_styles: it shows colours.
    """

    def __init__(self, stream: TextIO, *, may_fail: bool = False) -> None:
        self._stream = stream
        self._ignored = (OSError,) if may_fail else ()
        self.is_terminal = stream.isatty()
        self.is_live = self.is_terminal and os.environ.get("TERM") not in ("dumb", "unknown")
        self.has_styles = self.is_live and not os.environ.get("NO_COLOR")
        self._styled: dict[tuple[str, str], str] = {}
        self._column_is_zero = True
        self._word = ""  # at the end of the current line, and not complete
        self._column = 0  # where the next character of a flowing text comes

    @cached_property
    def _console(self) -> TerminalConsole | None:
        """The console of a live terminal, or None without rich."""
        if not self.is_live:
            return None
        try:
            from ._console import make_console  # rich is a slow import, and only for terminals
        except ImportError:
            return None
        return make_console(self._stream, has_styles=self.has_styles)

    @property
    def lacks_rich(self) -> bool:
        """Whether this terminal would show more with rich, which is not installed."""
        return self.is_live and self._console is None

    @property
    def width(self) -> int:
        """The number of columns for text."""
        if not self.is_terminal:
            return _PLAIN_WIDTH
        console = self._console
        columns = shutil.get_terminal_size().columns if console is None else console.width
        return min(columns, _MAX_WIDTH)

    def styled(self, text: str, style: str) -> str:
        """Return the text in a style of rich, if the terminal has styles."""
        key = text, style
        if key not in self._styled:  # a line that is redrawn has the same label each time
            self._styled[key] = self._rendered(text, style, soft_wrap=True)
        return self._styled[key]

    def write(self, text: str) -> None:
        """Write text, and flush it."""
        if text:
            with suppress(*self._ignored):
                self._stream.write(text)
                self._stream.flush()
            self._column_is_zero = text.endswith("\n")

    def line(self, text: str = "", style: str = "") -> None:
        """Write a line, after the end of the current line. One with a style is wrapped."""
        self.end_line()
        self.write((self._rendered(text, style, width=self.width) if style else text) + "\n")

    def flow(self, text: str) -> None:
        """Write a part of a text that arrives in parts. A live terminal wraps it between words.

        A word is shown as far as it came. If it then proves too long for its line, it moves to the
        next one.
        """
        if not self.is_live:
            self.write(text)
            return
        shown: list[str] = []
        for part in _PARTS.findall(text):
            if part == "\n":
                self._word, self._column = "", 0
            elif part.isspace():
                self._word = ""
                part = part[: self.width - self._column]  # the rest would begin the next line
                self._column += len(part)
            else:
                before, size = columns_of(self._word), columns_of(part)
                is_first = before == self._column
                if self._column + size >= self.width and not is_first:
                    shown.append("\b" * before + " " * before + "\b" * before + "\n" + self._word)
                    self._column = before
                self._word += part
                self._column += size
            shown.append(part)
        self.write("".join(shown))

    def end_line(self) -> None:
        """End the current line, if it has text."""
        self._word, self._column = "", 0
        if not self._column_is_zero:
            self.write("\n")

    def heading(self, text: str) -> None:
        """Write a line that says what the next lines are about, as `head` and `tail` do."""
        self.line(f"==> {on_one_line(text, max(self.width - 9, 20))} <==", BOLD)

    def labelled(self, label: str, text: str = "", *, style: str = "") -> None:
        """Write a line that begins with a label, in two columns. Only a terminal wraps them."""
        self.end_line()
        width = max(LABEL, len(label) + 1)
        console = self._console
        if console is None:
            lines = text.replace("\n", "\n" + " " * width)
            self.write(f"{label.ljust(width)}{lines}\n")
            return
        from rich.table import Table
        from rich.text import Text

        grid = Table.grid(padding=0)
        grid.add_column(width=width, no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_row(Text(label, DIM), Text(text, style))
        with console.capture() as capture:
            console.print(grid, width=self.width)
        self.write("\n".join(line.rstrip() for line in capture.get().split("\n")))

    def begin_labelled(self, label: str) -> None:
        """Write a label. The text of its line follows as it arrives."""
        self.end_line()
        self.write(self.styled(label.ljust(LABEL), DIM))

    def _rendered(self, text: str, style: str, **options: Any) -> str:
        if self._console is None or not text:
            return text
        from rich.text import Text

        with self._console.capture() as capture:
            self._console.print(Text(text, style), end="", **options)
        return capture.get()

    def redraw(self, label: str, text: str) -> None:
        """Replace the current line of a terminal by a labelled line, cut to its width."""
        if self.is_live:
            columns = max(self.width - LABEL - 1, 0)
            shown = text if columns_of(text) <= columns else on_one_line(text, columns)
            padding = " " * (columns - columns_of(shown))
            self.write(f"\r{self.styled(label.ljust(LABEL), DIM)}{shown}{padding}")

    def restart_line(self) -> None:
        """Go back to the beginning of the line that was redrawn."""
        if self.is_live:
            self._stream.write("\r")
            self._column_is_zero = True
