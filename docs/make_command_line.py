"""Makes docs/reference/command-line.md from the parsers of `moondream-stream`:
python docs/make_command_line.py

A test compares them, so a change of the help is a change of the page. The parsers describe
themselves to a formatter, as they do for `--help`: so the page does not depend on how argparse of
this version of Python lays out its help.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moondream_tools._arguments import make_parser

PAGE = Path(__file__).parent / "reference" / "command-line.md"
INTRODUCTION = """\
# The command line

`moondream-stream COMMAND --help` prints the same. This page is made from the parsers, by
[make_command_line.py](../make_command_line.py).
"""


@dataclass
class Section:
    """A group of arguments."""

    title: str
    texts: list[str] = field(default_factory=list)
    actions: list[argparse.Action] = field(default_factory=list)


class Collector(argparse.HelpFormatter):
    """Collect what a parser says of itself, in place of formatting it."""

    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog)
        self.texts: list[str] = []
        self.sections: list[Section] = []
        self._open: Section | None = None

    def start_section(self, heading: str | None) -> None:
        self._open = Section(heading or "")
        self.sections.append(self._open)

    def end_section(self) -> None:
        self._open = None

    def add_text(self, text: str | None) -> None:
        if text is not None and text != argparse.SUPPRESS:
            (self.texts if self._open is None else self._open.texts).append(text)

    def add_usage(self, *arguments: Any, **options: Any) -> None:
        pass

    def add_arguments(self, actions: Iterable[argparse.Action]) -> None:
        assert self._open is not None
        self._open.actions += [each for each in actions if each.help != argparse.SUPPRESS]

    def format_help(self) -> str:
        return ""


def page() -> str:
    """The text of the page."""
    return "\n".join([INTRODUCTION, *_parser(make_parser(), {})]).rstrip("\n") + "\n"


def _parser(parser: argparse.ArgumentParser, shown: dict[str, str]) -> Iterator[str]:
    """Describe a parser, and then the parsers of its commands.

    A longer table that another command has, too, is not repeated: `shown` has that command.
    """
    collected = collect(parser)
    actions = [action for section in collected.sections for action in section.actions]
    commands = [action for action in actions if isinstance(action.choices, dict)]
    arguments = [_invocation(action) for action in actions if not action.option_strings]
    yield from (f"## {parser.prog}", "")
    yield from ("```text", " ".join([parser.prog, "[OPTIONS]", *arguments]), "```", "")
    for text in collected.texts:
        yield from (_text(text, parser.prog), "")
    for section in collected.sections:
        rows = [each for each in section.actions if each.dest != "help" and each not in commands]
        title = section.title[:1].upper() + section.title[1:]
        table = "\n".join(_table(title, rows, parser.prog))
        if not rows:
            continue
        other = shown.setdefault(table, parser.prog)
        if len(rows) > 3 and other != parser.prog:
            yield from (f"{title}: as in `{other}`.", "")
        else:
            for text in section.texts:
                yield from (_text(text, parser.prog), "")
            yield from (table, "")
    for command in commands:
        assert isinstance(command.choices, dict)
        for subparser in dict.fromkeys(command.choices.values()):
            yield from _parser(subparser, shown)


def collect(parser: argparse.ArgumentParser) -> Collector:
    """Let a parser describe itself."""
    collected: list[Collector] = []

    def formatter(prog: str, **options: Any) -> Collector:
        collected.append(Collector(prog, **options))
        return collected[-1]

    usual, parser.formatter_class = parser.formatter_class, formatter  # type: ignore[assignment]
    parser.format_help()
    parser.formatter_class = usual
    return collected[-1]


def _table(title: str, actions: list[argparse.Action], prog: str) -> Iterator[str]:
    yield from (f"| {title} | |", "| --- | --- |")
    for action in actions:
        about = _text((action.help or "") % {**vars(action), "prog": prog}, prog)
        yield f"| `{_invocation(action)}` | {about} |".replace("\n", " ")


def _invocation(action: argparse.Action) -> str:
    """How an argument is written: `QUESTION`, `[IMAGE ...]`, `--object OBJECT`."""
    name = action.metavar or action.dest.upper()
    if action.metavar is None and action.choices is not None:
        name = "{" + ",".join(map(str, action.choices)) + "}"
    value = " ".join(name) if isinstance(name, tuple) else name
    match action.nargs:
        case 0:
            value = ""
        case "?":
            value = f"[{value}]"
        case "*":
            value = f"[{value} ...]"
        case "+":
            value = f"{value} [{value} ...]"
        case int(count) if not isinstance(name, tuple):
            value = " ".join([value] * count)
    if not action.option_strings:
        return value
    return f"{', '.join(action.option_strings)} {value}".rstrip()


def _text(text: str, prog: str) -> str:
    """Write words of the help as Markdown: its options, placeholders and programs as code."""
    text = text.replace("%(prog)s", prog).strip("\n")
    text = re.sub(r"([|<>*\\])", r"\\\1", text)
    return re.sub(r"(?<![\w`-])(--?[a-z][\w-]*(?:=\w+)?)", r"`\1`", text)


def main() -> None:
    PAGE.write_text(page(), "utf-8")


if __name__ == "__main__":
    main()
