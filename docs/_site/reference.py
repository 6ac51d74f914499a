"""The pages of the API reference: written before each build, from the public names, into
docs/reference/api. `names.py` says which name is on which page.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util import logging

from _site.completeness import problems
from _site.docstrings import to_rst
from _site.names import Name, Page, Reference, read_reference
from tests.surface import Function, is_fixture

_LOGGER = logging.getLogger(__name__)
# The module of a plugin has to say it in its docstring. It is no matter for readers.
_FOR_PYTEST = re.compile(r"^PYTEST_DONT_REWRITE: .*(?:\n.+)*", re.MULTILINE)
FOLDER = Path("reference/api")
_INTRODUCTION = """\
API
===

Every public name, from its docstring. A name with an underscore in front, or in a module with one,
is not public.
"""


def write_pages(reference: Reference, folder: Path) -> None:
    """Write all pages. One that has not changed is left alone, so that it is not read again."""
    texts = {"index": _index(reference)}
    for page in reference.pages:
        for part in (page, *page.parts):
            texts[part.path] = "\n".join(_page(part))
    for path in folder.rglob("*.rst"):
        if path.relative_to(folder).with_suffix("").as_posix() not in texts:
            path.unlink()
    for name, text in texts.items():
        file = folder / f"{name}.rst"
        if not file.exists() or file.read_text("utf-8") != text:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")


def _index(reference: Reference) -> str:
    return "\n".join([_INTRODUCTION, *_tree(page.path for page in reference.pages)])


def _tree(paths: Iterable[str]) -> Iterator[str]:
    yield from (".. toctree::", "   :maxdepth: 2", "", *(f"   {path}" for path in paths), "")


def _page(page: Page) -> Iterator[str]:
    yield from (page.title, "=" * len(page.title), "")
    if page.is_part:
        yield from (f".. py:currentmodule:: {page.module.name}", "")
    else:
        yield from (f".. automodule:: {page.module.name}", "")
    for name in page.names:
        yield from _name(name)
    for fixture in page.fixtures:
        yield from _fixture(fixture)
    if page.elsewhere:
        yield from ("Also here, and described elsewhere:", "")
        yield from (f"- :py:obj:`~{at}.{name}`" for name, at in page.elsewhere.items())
        yield ""
    if page.parts:
        yield from _tree(part.path for part in page.parts)


def _name(name: Name) -> Iterator[str]:
    full = f"{name.module}.{name.name}"
    match name.node:
        case ast.FunctionDef() if is_fixture(name.node):
            yield from _fixture(name.node)
        case ast.ClassDef():
            yield f".. autoclass:: {full}"
            if _has_base(name):
                yield "   :show-inheritance:"
            if members := [member for member in name.members if not member.startswith("__")]:
                yield from (f"   :members: {', '.join(members)}", "   :undoc-members:")
        case ast.Assign() | ast.AnnAssign():
            yield from _value(name)
        case _:
            yield f".. autofunction:: {full}"
    yield ""


def _value(name: Name) -> Iterator[str]:
    """A constant or an alias of a type. Its docstring stands below it."""
    value = ast.unparse(name.node.value) if name.node.value else ""
    if name.is_alias:
        yield from (f".. py:type:: {name.name}", f"   :canonical: {value}")
    else:
        yield f".. py:data:: {name.name}"
        if len(value) <= 70:
            yield f"   :value: {value}"
    yield from ("", *_indented(name.docstring or ""), "")


def _fixture(node: Function) -> Iterator[str]:
    yield from (f".. py:data:: {node.name}", f"   :type: {ast.unparse(node.returns)}", "")
    yield from _indented(ast.get_docstring(node) or "")
    yield ""


def _indented(text: str) -> list[str]:
    return [f"   {line}".rstrip() for line in to_rst(inspect.cleandoc(text), {})]


def _write(app: Sphinx) -> None:
    reference = read_reference()
    for problem in problems(reference):
        _LOGGER.warning(problem, type="reference")
    write_pages(reference, app.srcdir / FOLDER)


@cache
def _fields() -> dict[str, dict[str, str]]:
    return {f"{name.module}.{name.name}": name.fields for name in read_reference().names}


def _has_base(name: Name) -> bool:
    """Whether it is a subclass of a public class."""
    bases = name.node.bases if isinstance(name.node, ast.ClassDef) else []
    return any(
        ast.unparse(base).partition("[")[0] in _classes().keys() - {"Value"} for base in bases
    )


@cache
def _classes() -> dict[str, Name]:
    names = read_reference().names
    return {name.name: name for name in names if isinstance(name.node, ast.ClassDef)}


def _without_signature(
    app: Sphinx,
    what: str,
    name: str,
    obj: object,
    options: object,
    signature: str | None,
    returns: str | None,
) -> tuple[str, None] | None:
    """Hide the signature of a class that something else makes, and one that a base has, too."""
    found = _classes().get(name.rpartition(".")[2])
    if what not in ("class", "exception") or found is None or not signature:
        return None
    is_plain = _has_base(found) and not found.fields and "__init__" not in found.members
    return ("", None) if found.is_made_elsewhere or is_plain else None


def _process(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Give autodoc a docstring as reStructuredText."""
    lines[:] = to_rst(_FOR_PYTEST.sub("", "\n".join(lines)), _fields().get(name, {}))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", _write)
    app.connect("autodoc-process-docstring", _process)
    app.connect("autodoc-process-signature", _without_signature)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
