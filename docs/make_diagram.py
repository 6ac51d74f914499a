"""Makes the diagram and the table of docs/why/state-machine.md from the table in
sansio_moondream/_states.py: python docs/make_diagram.py

A test compares them, so a change of the table is a change of the page. The diagram has three
columns: the first state, the states with an answer in them, and the states that nothing leaves.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path
from textwrap import wrap

from sansio_moondream import TRANSITIONS, State, Trigger

HERE = Path(__file__).parent
PAGE = HERE / "why" / "state-machine.md"
PICTURE = HERE / "pictures" / "state-machine.svg"
BEGIN, END = (
    "<!-- made by docs/make_diagram.py: begin -->\n",
    "<!-- made by docs/make_diagram.py: end -->\n",
)

COLUMNS = (10, 386, 670)
WIDTH, HEIGHT, DISTANCE = 140, 48, 84
HEAD = """\
<marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7"
 orient="auto"><path d="M0 0 8 4 0 8z"/></marker>"""
STYLE = """\
text { font: 12px system-ui, sans-serif; fill: #1f2328; text-anchor: middle }
.label { font-size: 11px; text-anchor: start; fill: #57606a }
.card { fill: #ffffff }
.state { fill: #eef2f7; stroke: #8c959f }
.end { stroke-width: 2.5 }
path { fill: none; stroke: #57606a; marker-end: url(#head) }
marker path { fill: #57606a; stroke: none; marker-end: none }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .label { fill: #9ea7b3 }
  .card { fill: #131416 }
  .state { fill: #22272e; stroke: #768390 }
  path { stroke: #9ea7b3 }
  marker path { fill: #9ea7b3 }
}
"""


def table() -> str:
    """The table of the page."""
    arrows = [
        f"| `{state.name}` | {trigger.value} | `{target.name}` |\n"
        for state, targets in TRANSITIONS.items()
        for trigger, target in targets.items()
    ]
    return "".join(["| in | when | to |\n", "| --- | --- | --- |\n", *arrows])


def diagram() -> str:
    """The picture of the page."""
    places = _places()
    height = max(y for _, y in places.values()) + HEIGHT + 46
    width = COLUMNS[-1] + WIDTH + 10
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}">',
        f"<style>\n{STYLE}</style>",
        HEAD,
        f'<rect class="card" width="{width}" height="{height}" rx="6"/>',
    ]
    for state, (x, y) in places.items():
        for i, (trigger, target) in enumerate(TRANSITIONS[state].items()):
            lines += _arrow(trigger, (x, y), places[target], i, height)
    for state, place in places.items():
        lines += _box(state, place)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _places() -> dict[State, tuple[int, int]]:
    """The upper left corner of each state."""
    first, *others = TRANSITIONS
    reading = [state for state in others if TRANSITIONS[state]]
    ends = [state for state in others if not TRANSITIONS[state]]
    low = 20 + (len(reading) - 1) * DISTANCE
    return {
        first: (COLUMNS[0], 20 + low // 2 - 10),
        **{state: (COLUMNS[1], 20 + i * DISTANCE) for i, state in enumerate(reading)},
        **{
            state: (COLUMNS[2], 20 + (2 * i + 1) * low // (2 * len(ends)))
            for i, state in enumerate(ends)
        },
    }


def _box(state: State, place: tuple[int, int]) -> Iterator[str]:
    x, y = place
    kind = "state" if TRANSITIONS[state] else "state end"
    yield f'<rect class="{kind}" x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="8"/>'
    words = wrap(state.value, 20)
    for i, line in enumerate(words):
        baseline = y + HEIGHT / 2 + 4 + (i - (len(words) - 1) / 2) * 15
        yield f'<text x="{x + WIDTH // 2}" y="{baseline:g}">{escape(line)}</text>'


def _arrow(
    trigger: Trigger, start: tuple[int, int], end: tuple[int, int], i: int, height: int
) -> Iterator[str]:
    """One arrow with its words, which stand where it ends in the middle column, else begins."""
    (x, y), (to_x, to_y) = start, end
    if start == end:
        path = f"M{x + 40} {y}c-10 -46 60 -46 50 0"
        words = x + 36, y - 42
    elif (x, to_x) == (COLUMNS[0], COLUMNS[2]):  # below all others
        bottom = height - 14
        path = f"M{x + WIDTH // 2} {y + HEIGHT}V{bottom}H{to_x + WIDTH // 2}V{to_y + HEIGHT}"
        words = x + WIDTH // 2 + 8, bottom - 6
    elif x == COLUMNS[0]:
        begin, middle = y + HEIGHT / 2, to_y + HEIGHT / 2
        path = f"M{x + WIDTH} {begin:g}L{to_x - 204} {middle:g}H{to_x}"
        words = to_x - 202, middle - 5
    else:
        begin, middle = y + HEIGHT * (i + 1) / 3, to_y + HEIGHT / 2
        path = f"M{x + WIDTH} {begin:g}H{x + WIDTH + 98}L{to_x} {middle:g}"
        words = x + WIDTH + 6, begin - 4
    yield f'<path d="{path}"/>'
    yield f'<text class="label" x="{words[0]:g}" y="{words[1]:g}">{escape(trigger.value)}</text>'


def page_with_table(page: str) -> str:
    """`page` with what is between the two marks replaced."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page_with_table(PAGE.read_text("utf-8")), "utf-8")
    PICTURE.write_text(diagram(), "utf-8")
