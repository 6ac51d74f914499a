"""What the docstrings of the public names do not say. The build fails on it, and so does a quick
test: it needs no Sphinx.

1. Each public module, class, function, method, property, fixture, constant and alias has a
   docstring. A method may have that of the same method of a base.
2. Each parameter and each field has an entry in Args or Attributes, or the prose of the docstring
   names it in backticks. The docstring of a class, and of its bases, also counts for its methods:
   a parameter that many of them have is described once. "As in `Name`", "as `Name`" and "those of
   `Name`" stand for all that is described there.
3. Values of enumerations need no words: the docstring of the class has what there is to say. The
   parameters of a fixture are pytest's, and those of a constructor that is not public are nobody's.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from _site.docstrings import Docstring
from _site.names import Name, Reference
from tests.surface import Function, Place, is_fixture

_AS_IN = re.compile(r"\b(?:[Aa]s|[Aa]s\s+in|[Tt]hose\s+of)\s+`([\w.]+)`")
_CALLED = ("__init__", "__call__")


def problems(reference: Reference) -> list[str]:
    """Return a line for each thing that is not described."""
    found: list[str] = []
    for page in reference.pages:
        if not page.module.docstring:
            found.append(f"{page.module.name}: no docstring")
        for fixture in page.fixtures:
            if not ast.get_docstring(fixture):
                found.append(f"{page.module.name}.{fixture.name}: no docstring")
    for name in reference.names:
        found += _of_name(reference, name)
    return found


def _of_name(reference: Reference, name: Name) -> Iterator[str]:
    full = f"{name.module}.{name.name}"
    if not name.docstring:
        yield f"{full}: no docstring"
    if isinstance(name.node, Function) and not is_fixture(name.node):
        yield from _undescribed(reference, full, parameters(name.node), name.docstring or "")
    elif isinstance(name.node, ast.ClassDef):
        yield from _of_class(reference, name, name.node)


def _of_class(reference: Reference, name: Name, node: ast.ClassDef) -> Iterator[str]:
    full = f"{name.module}.{name.name}"
    classes = list(_bases(reference, name.place, node))
    about = "\n\n".join(ast.get_docstring(each) or "" for each in classes)
    yield from _undescribed(reference, full, list(name.fields), about)
    for member in name.members:
        methods = [found for each in classes if (found := _method(each, member))]
        if not methods or (member == "__init__" and name.is_made_elsewhere):
            continue  # the first is the value of an enumeration
        docstrings = [text for each in methods if (text := ast.get_docstring(each))]
        if not member.startswith("__") and not docstrings:
            yield f"{full}.{member}: no docstring"
        if not member.startswith("__") or member in _CALLED:
            text = "\n\n".join([*docstrings, about])
            yield from _undescribed(reference, f"{full}.{member}", parameters(methods[0]), text)


def _bases(reference: Reference, place: Place, node: ast.ClassDef) -> Iterator[ast.ClassDef]:
    """The class, and all of its bases that are ours."""
    yield node
    surface = reference.surface
    module = surface.modules[place[0]]
    for base in node.bases:
        name = ast.unparse(base).partition("[")[0]
        if name in module.definitions or name in module.imports:
            found = surface.find(place[0], name)
            if found[0] in surface.modules:
                parent = surface.modules[found[0]].definitions[found[1]][-1]
                if isinstance(parent, ast.ClassDef):
                    yield from _bases(reference, found, parent)


def _method(node: ast.ClassDef, name: str) -> Function | None:
    """The implementation of a method: the last of those with its name."""
    found: Function | None = None
    for item in node.body:
        if isinstance(item, Function) and item.name == name:
            found = item
    return found


def parameters(node: Function) -> list[str]:
    """The names that a caller may give. A first `self` or `cls`, or Hypothesis' `draw`, is none."""
    arguments = node.args
    named = [*arguments.posonlyargs, *arguments.args]
    if named and named[0].arg in ("self", "cls", "draw"):
        del named[0]
    others = [arguments.vararg, *arguments.kwonlyargs, arguments.kwarg]
    names = [each.arg for each in [*named, *others] if each is not None]
    return [name for name in names if not name.startswith("_")]


def _undescribed(reference: Reference, place: str, names: list[str], text: str) -> Iterator[str]:
    described = _described(text)
    for other in _AS_IN.findall(text):
        described |= _described_of(reference, other, place)
    for name in names:
        if name not in described and not name.startswith("_"):
            yield f"{place}: {name} is not described"


def _described(text: str) -> set[str]:
    docstring = Docstring.parse(text)
    return docstring.names("Args", "Attributes") | docstring.mentioned()


def _described_of(reference: Reference, other: str, place: str) -> set[str]:
    """What another name describes: a function, a class, or a method, also of the same class."""
    parts = other.split(".")
    if parts[0].islower() and len(parts) == 1:
        parts = [*place.split(".")[-2:-1], *parts]
    for name in reference.names:
        if name.name in parts[-2:]:
            member = "".join(parts[parts.index(name.name) + 1 :])
            if not isinstance(name.node, ast.ClassDef):
                return _described(name.docstring or "")
            classes = _bases(reference, name.place, name.node)
            nodes = [_method(each, member) if member else each for each in classes]
            text = "\n\n".join(ast.get_docstring(node) or "" for node in nodes if node)
            return _described(text) | (set() if member else {*name.members})
    return set()
