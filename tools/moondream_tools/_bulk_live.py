"""Redraw the progress of a bulk run on a terminal. Needs rich, from the extra `bulk`."""

from __future__ import annotations

from typing import TextIO

from rich.console import Group, RenderableType
from rich.constrain import Constrain
from rich.live import Live as RichLive
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ._bulk_meter import Snapshot
from ._console import make_console

_WIDTH = 100  # columns: a longer line is hard to read
_BAR = 50  # columns: a terminal that is narrower has no place for a bar beside the numbers


class Live:
    """Some lines at the bottom of the terminal, which vanish at the end.

    Args:
        stream: of the terminal.
        has_styles: False shows neither colours nor other styles.
    """

    def __init__(self, stream: TextIO, has_styles: bool) -> None:
        self.console = make_console(stream, has_styles=has_styles)
        # Our own thread redraws: an error of rich's own thread would be a traceback.
        self._live = RichLive(
            console=self.console, auto_refresh=False, transient=True, redirect_stdout=False
        )
        self._live.start()

    def show(self, snapshot: Snapshot) -> None:
        self._live.update(render(snapshot, self.console.width), refresh=True)

    def close(self) -> None:
        self._live.stop()


def render(snapshot: Snapshot, width: int) -> RenderableType:
    """Return the lines for a terminal of this many columns."""
    top = Table.grid(padding=(0, 2, 0, 0), expand=True)
    cells: list[RenderableType] = [Text(snapshot.progress, "bold")]
    top.add_column(no_wrap=True)
    if snapshot.share is not None and width >= _BAR:
        top.add_column(ratio=1)
        cells.append(ProgressBar(1.0, snapshot.share, complete_style="cyan"))
    top.add_column(no_wrap=True, justify="right")
    cells.append(Text(snapshot.left))
    top.add_row(*cells)
    lines: list[RenderableType] = [top, Text(snapshot.facts, "dim")]
    if snapshot.failures:
        lines.append(Text(snapshot.failures, "red"))
    lines.extend(Text(note, "yellow") for note in snapshot.notes)
    return Constrain(Group(*lines), _WIDTH)
