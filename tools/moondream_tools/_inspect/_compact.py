"""The files of the page without what only their readers need: comments, and most white space.

They become a third smaller. Nothing else changes: names are kept, and so are the ends of lines that
end a statement.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

# What a script consists of. A slash begins a regular expression where no value ends before it.
_TOKEN: Final = re.compile(
    r"(?P<comment>//[^\n]*|/\*.*?\*/)"
    r"|(?P<string>'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\")"
    r"|(?P<regex>/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\[\n])+/[a-z]*)"
    r"|(?P<name>[\w$#]+)"
    r"|(?P<space>\s+)"
    r"|(?P<other>.)",
    re.DOTALL,
)
# After these words a slash begins a regular expression, though they look like names.
_BEFORE_VALUES: Final = frozenset({
    "await", "case", "delete", "do", "else", "in", "instanceof", "new", "of", "return", "throw",
    "typeof", "void", "yield",
})  # fmt: skip
_TOUCH: Final = re.compile(r"[\w$#]{2}|\+\+|--|/|[^\x00-\x7f]")
"""What would become another token, or is not looked at closer."""
_NO_END, _NO_BEGIN = set("{(,;"), set(".)")
"""No statement ends behind the first, and none begins with the others."""
_STYLE_COMMENT: Final = re.compile(r"/\*.*?\*/", re.DOTALL)
_STYLE_SPACE: Final = re.compile(r"\s*([{};,])\s*|(?<=:)\s+")
_INDENT: Final = re.compile(r"\n\s+")


def compact_script(code: str) -> str:
    """Return the code of a module without comments, and with the white space that it needs."""
    return "".join(_pieces(code)).strip() + "\n"


def compact_style(css: str) -> str:
    """Return a style sheet in the same way. None of its strings has what is removed."""
    css = _STYLE_SPACE.sub(r"\1", _STYLE_COMMENT.sub("", css))
    return css.replace(";}", "}").strip() + "\n"


def compact_html(html: str) -> str:
    """Return a document without indents."""
    return _INDENT.sub("\n", html)


def _pieces(code: str) -> Iterator[str]:
    space = last = ""  # white space that is not yet given; the last character that is
    is_value = False  # whether a value ends before the next token
    braces: list[bool] = []  # those that are open: whether they belong to a template
    at = 0
    while at < len(code):
        if code[at] == "`" or (code[at] == "}" and braces and braces[-1]):
            at, text, opens = _template(code, at)
            if code[at - len(text)] == "}":
                braces.pop()
            if opens:
                braces.append(True)
            yield _needed(space, last, text) + text
            space, last, is_value = "", text[-1], not opens
            continue
        found = _TOKEN.match(code, at)
        assert found is not None
        if found.lastgroup == "regex" and is_value:
            found = re.compile(r"(?P<other>/)").match(code, at)
            assert found is not None
        text, at = found[0], found.end()
        match found.lastgroup:
            case "comment":
                space += "\n" if "\n" in text else " "
                continue
            case "space":
                space += text
                continue
            case "name":
                is_value = text not in _BEFORE_VALUES
            case "other":
                if text == "{":
                    braces.append(False)
                elif text == "}" and braces:
                    braces.pop()
                is_value = text in ")]}"
            case _:
                is_value = True
        yield _needed(space, last, text) + text
        space, last = "", text[-1]


def _needed(space: str, before: str, after: str) -> str:
    """Return the white space that two neighbours need. The end of a line may end a statement."""
    if "\n" in space:
        return "" if before in _NO_END or after[0] in _NO_BEGIN else "\n"
    return " " if space and _TOUCH.search(before + after[0]) else ""


def _template(code: str, at: int) -> tuple[int, str, bool]:
    """Read a part of a template: up to its end, or up to an expression in it.

    Returns where it ends, its text, and whether an expression begins there.
    """
    end = at + 1
    while end < len(code):
        if code[end] == "\\":
            end += 2
        elif code[end] == "`":
            return end + 1, code[at : end + 1], False
        elif code.startswith("${", end):
            return end + 2, code[at : end + 2], True
        else:
            end += 1
    raise ValueError("a template has no end")
