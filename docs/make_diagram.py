"""Makes the diagram in docs/why/state-machine.md from the table in sansio_moondream/_stream.py:
python docs/make_diagram.py

A test compares the two, so a change of the table is a change of the page.
"""

from __future__ import annotations

from pathlib import Path

from sansio_moondream import TRANSITIONS

PAGE = Path(__file__).with_name("state-machine.md")
BEGIN, END = (
    "<!-- made by docs/make_diagram.py: begin -->\n",
    "<!-- made by docs/make_diagram.py: end -->\n",
)


def diagram() -> str:
    """The table as a Mermaid state diagram, and again as a list for readers without one."""
    arrows = [
        (state, trigger, target)
        for state, targets in TRANSITIONS.items()
        for trigger, target in targets.items()
    ]
    first, ends = (
        next(iter(TRANSITIONS)),
        [state for state, targets in TRANSITIONS.items() if not targets],
    )
    lines = [
        "```mermaid",
        "stateDiagram-v2",
        *(f'    state "{state.value}" as {state.name}' for state in TRANSITIONS),
        f"    [*] --> {first.name}",
        *(
            f"    {state.name} --> {target.name}: {trigger.value}"
            for state, trigger, target in arrows
        ),
        *(f"    {state.name} --> [*]" for state in ends),
        "```",
        "",
        "| in | when | to |",
        "| --- | --- | --- |",
        *(
            f"| `{state.name}` | {trigger.value} | `{target.name}` |"
            for state, trigger, target in arrows
        ),
    ]
    return "\n".join(lines) + "\n"


def page_with_diagram(page: str) -> str:
    """`page` with what is between the two marks replaced."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{diagram()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page_with_diagram(PAGE.read_text()))
