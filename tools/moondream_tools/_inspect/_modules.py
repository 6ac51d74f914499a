"""The modules of the page as one script, for a page in one file.

A module imports with `import { a, b as c } from './x.js'` or `import './x.js'`, and exports with
`export` before a function, a class or a constant. We need no more, so this is no parser: statements
are found at the beginning of a line. What it cannot join is an error, and a test joins the page.

Each module becomes a function that is called once, after those that it imports. So its names stay
its own. What it exports is in the object that the function returns.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

_IMPORT: Final = re.compile(
    r"^import\s+(?:\{(?P<names>[^{}]*)\}\s*from\s+)?"
    r"(?P<quote>['\"])\./(?P<name>[\w.-]+\.js)(?P=quote)[ \t]*;?[ \t]*$",
    re.MULTILINE,
)
_EXPORT: Final = re.compile(
    r"^export[ \t]+(?=(?:async[ \t]+function\b[ \t]*\*?|function\b[ \t]*\*?|class\b|const\b)"
    r"[ \t]*(?P<name>[\w$]+))",
    re.MULTILINE,
)
_COMMENT: Final = re.compile(r"/\*.*?\*/", re.DOTALL)
_NOT_JOINED: Final = re.compile(
    r"^[ \t]*(?:import\b(?!\.)|export\b)[^\n]*|\bimport[ \t]*\([^\n]*|\bimport\.meta\b",
    re.MULTILINE,
)
_NOT_INLINE: Final = re.compile(r"<!--|<script|</script|</style", re.IGNORECASE)


def joined(entries: Sequence[str], read: Callable[[str], str]) -> str:
    """Return a script that does what modules do, with all that they import.

    Args:
        entries: the names of the modules, such as `page.js`, in the order of the page.
        read: returns the text of a module by its name.

    Raises:
        ValueError: a module has something that cannot be joined, or modules import each other.
    """
    parts: dict[str, str] = {}
    for entry in entries:
        _join(entry, read, parts, ())
    return "".join(parts.values())


def require_inline(name: str, text: str) -> str:
    """Return the text of a file, which may stand inside a page. Raises ValueError."""
    if found := _NOT_INLINE.search(text):
        raise ValueError(f"{name} has {found[0]!r}, which would end it inside a page")
    return text


def _join(
    name: str, read: Callable[[str], str], parts: dict[str, str], above: tuple[str, ...]
) -> None:
    """Add a module to the parts, after those that it imports."""
    if name in above:
        raise ValueError(f"modules import each other: {' → '.join([*above, name])}")
    if name in parts:
        return
    code = read(name)
    for found in _IMPORT.finditer(code):
        _join(found["name"], read, parts, (*above, name))
    exported = [found["name"] for found in _EXPORT.finditer(code)]
    body = _EXPORT.sub("", _IMPORT.sub(_constant, code))
    if left := _NOT_JOINED.search(_COMMENT.sub("", body)):
        raise ValueError(f"{name} has {left[0].strip()[:80]!r}, which cannot be joined")
    given = f"return {{ {', '.join(exported)} }};"
    parts[name] = f"const {_variable(name)} = (() => {{\n{body}\n{given}\n}})();\n"


def _constant(found: re.Match[str]) -> str:
    """Return what an import becomes."""
    if found["names"] is None:
        return ""  # the module has run
    names = re.sub(r"\s+as\s+", ": ", found["names"].strip())
    return f"const {{ {names} }} = {_variable(found['name'])};"


def _variable(name: str) -> str:
    """Return the name of a module's object: no name of a module, as these begin with a letter."""
    return "$" + re.sub(r"\W", "_", name.removesuffix(".js"))
