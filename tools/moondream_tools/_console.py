"""The console of rich, from the extra `cli`, for a terminal."""

from __future__ import annotations

from typing import TextIO

from rich.console import Console


class TerminalConsole(Console):
    """A console that leaves broken pipes to its caller."""

    def on_broken_pipe(self) -> None:
        """Raise the error again, where rich would end the program."""
        raise BrokenPipeError("the terminal has no reader")


def make_console(stream: TextIO, *, has_styles: bool) -> TerminalConsole:
    """Return the console of a terminal.

    Args:
        stream: of the terminal.
        has_styles: False gives neither colours nor other styles.
    """
    # The texts are a server's: nothing in them is markup, a number to highlight or an emoji code.
    return TerminalConsole(
        file=stream,
        force_terminal=True,
        color_system="auto" if has_styles else None,
        markup=False,
        highlight=False,
        emoji=False,
    )
