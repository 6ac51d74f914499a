"""Docstrings in the style of Google: what they have entries for, and the same as reStructuredText.

It needs no Sphinx, so that a quick test can use it. The docstrings are written for `help()` and for
editors. They use of Markdown what reads well there: names in backticks, lists, indented code.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

_SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Yields):")
_ENTRY = re.compile(r"    (?! )(\*{0,2}\w[\w.]*(?:, \*{0,2}\w[\w.]*)*): ?(.*)")
_PAGE = re.compile(r"\bdocs/([\w/-]+)\.md")
_CODE = re.compile(r"(`[^`]+`)")


class Entry(NamedTuple):
    """What a section says of some names: those of parameters, attributes or errors."""

    names: list[str]
    text: list[str]


class Docstring(NamedTuple):
    """A docstring in parts. What stands below its sections is prose, too."""

    prose: list[str]
    sections: dict[str, list[str]]

    @classmethod
    def parse(cls, text: str) -> Docstring:
        prose: list[str] = []
        sections: dict[str, list[str]] = {}
        lines = prose
        for line in text.splitlines():
            if match := _SECTION.fullmatch(line):
                lines = sections.setdefault(match[1], [])
            else:
                if line and not line.startswith("    "):
                    lines = prose
                lines.append(line)
        return cls(prose, sections)

    def entries(self, *sections: str) -> Iterator[Entry]:
        """The entries of some sections, in their order."""
        for section in sections:
            entry: Entry | None = None
            for line in self.sections.get(section, ()):
                if match := _ENTRY.fullmatch(line):
                    if entry is not None:
                        yield entry
                    names = [name.replace("*", "") for name in match[1].split(", ")]
                    entry = Entry(names, [match[2]])
                elif entry is not None:
                    entry.text.append(line.strip())
            if entry is not None:
                yield entry

    def names(self, *sections: str) -> set[str]:
        return {name for entry in self.entries(*sections) for name in entry.names}

    def mentioned(self) -> set[str]:
        """The words that are written as code in the prose."""
        codes = _CODE.findall("\n".join(self.prose))
        return {word for code in codes for word in re.findall(r"\w+", code)}


def below(body: list[ast.stmt], node: ast.stmt) -> str | None:
    """Return the string that stands below an assignment and describes it."""
    match body[body.index(node) + 1 :][:1]:
        case [ast.Expr(ast.Constant(str(text)))]:
            return text
        case _:
            return None


def to_rst(text: str, fields: Mapping[str, str]) -> Iterator[str]:
    """Write a docstring as reStructuredText.

    Args:
        text: the docstring, without indentation.
        fields: the fields of a class, with their types. Their entries become attributes.
    """
    docstring = Docstring.parse(text)
    yield from _prose(docstring.prose)
    yield ""
    entries = list(docstring.entries("Args", "Attributes"))
    for entry in entries:
        if not fields.keys() & {*entry.names}:
            for name in entry.names:  # Sphinx would take the first of two for a type
                yield from _field(f":param {name}:", entry.text)
    if "Returns" in docstring.sections:
        yield from _field(":returns:", [line.strip() for line in docstring.sections["Returns"]])
    if "Yields" in docstring.sections:
        yield from _field(":returns:", [line.strip() for line in docstring.sections["Yields"]])
    for entry in docstring.entries("Raises"):
        names = ", ".join(f"`{name}`" for name in entry.names)
        yield from _field(f":raises: {names}: ", entry.text)
    yield ""
    for entry in entries:
        if fields.keys() & {*entry.names}:
            yield from _attributes(entry, fields)


def _field(name: str, text: list[str]) -> Iterator[str]:
    first, *rest = [_inline(line) for line in text]
    yield f"{name} {first}".rstrip()
    yield from (f"    {line}".rstrip() for line in rest)


def _attributes(entry: Entry, fields: Mapping[str, str]) -> Iterator[str]:
    first, *others = entry.names
    yield f".. py:attribute:: {first}"
    yield from (f"                  {name}" for name in others)
    kinds = {fields.get(name, "") for name in entry.names}
    if len(kinds) == 1 and (kind := kinds.pop()):
        yield f"   :type: {kind}"
    yield ""
    yield from (f"   {_inline(line)}".rstrip() for line in entry.text)
    yield ""


def _prose(lines: list[str]) -> Iterator[str]:
    """Prose, with indented code as blocks of code."""
    in_code = False
    for i, line in enumerate(lines):
        if line.startswith("    ") and not in_code and i and not lines[i - 1]:
            in_code = True
            yield from ("::", "")
        elif line and not line.startswith("    "):
            in_code = False
        yield line if in_code else _inline(line)


def _inline(line: str) -> str:
    """Escape what only reStructuredText gives a meaning, outside of code.

    Code may be followed by a letter: `Headers`s. The name of a page becomes a link.
    """
    parts = _CODE.split(line)
    parts[::2] = [re.sub(r"([*|\\]|_\b)", r"\\\1", part) for part in parts[::2]]
    parts[::2] = [_PAGE.sub(r":doc:`/\1`", part) for part in parts[::2]]
    for i in range(1, len(parts), 2):
        parts[i] = parts[i].replace("\\", "\\\\")
        if parts[i + 1][:1].isalnum():
            parts[i] += "\\ "
        if parts[i - 1][-1:].isalnum():
            parts[i] = "\\ " + parts[i]
    return "".join(parts)
