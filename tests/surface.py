"""The public surface: the names, signatures, bases and fields of every public module, as text.

    .venv/bin/python -m tests.surface      write tests/surface.txt

tests/test_surface.py compares the file with the source, so that each change of the surface is
meant, and a reviewer sees it in the diff. It is read from the source, without importing it:
annotations and defaults are shown as they are written, on each version of Python.

1. A public module has no part of its name with a leading underscore. Its public names are those of
   `__all__`, or else what it defines.
2. A name is shown where it is public first, in the order of `PACKAGES`. Elsewhere it is an import.
3. Members of a base that is not public are shown in the class. So are the public attributes that
   `__init__` sets. `...` stands for a value that is long, and for the version.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parent.parent
FILE = ROOT / "tests/surface.txt"
PACKAGES = [
    ROOT / "sansio_moondream",
    ROOT / "transports/moondream_transports",
    ROOT / "tools/moondream_tools",
]
_LONG = 70
_NOT_SHOWN = {"__repr__", "__rich_repr__", "__post_init__", "__del__", "__slots__", "__all__"}

Place = tuple[str, str]  # where a name is defined: its module, and its name there
Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = ast.ClassDef | Function | ast.Assign | ast.AnnAssign


class Module:
    """One file. It is parsed when it is needed."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self._path = path
        self._package = name if path.name == "__init__.py" else name.rpartition(".")[0]

    @cached_property
    def _tree(self) -> ast.Module:
        return ast.parse(self._path.read_text("utf-8"))

    @property
    def body(self) -> list[ast.stmt]:
        return self._tree.body

    @property
    def docstring(self) -> str | None:
        return ast.get_docstring(self._tree)

    @cached_property
    def definitions(self) -> dict[str, list[Definition]]:
        """What is defined at the top: several nodes if it is overloaded."""
        found: dict[str, list[Definition]] = {}
        for node in _statements(self.body):
            if isinstance(node, ast.ClassDef | Function | ast.Assign | ast.AnnAssign):
                for name in _names(node):
                    found.setdefault(name, []).append(node)
        return found

    @cached_property
    def imports(self) -> dict[str, Place]:
        found: dict[str, Place] = {}
        for node in _statements(self.body):
            if isinstance(node, ast.ImportFrom):
                parts = self._package.split(".")
                above = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
                source = ".".join(filter(None, [above, node.module]))
                found |= {alias.asname or alias.name: (source, alias.name) for alias in node.names}
        return found

    @cached_property
    def public(self) -> list[str]:
        """The names of `__all__`, or all that are defined here."""
        for node in self.definitions.get("__all__", []):
            assert node.value is not None  # type: ignore[union-attr]  # it is no class
            names: list[str] = ast.literal_eval(node.value)  # type: ignore[union-attr]
            return names
        return [name for name in self.definitions if not name.startswith("_")]

    @cached_property
    def plugins(self) -> list[str]:
        """The modules of a pytest plugin."""
        for node in self.definitions.get("pytest_plugins", []):
            names: list[str] = ast.literal_eval(node.value)  # type: ignore[union-attr, arg-type]
            return names
        return []


class Surface:
    """All modules of some packages."""

    def __init__(self, packages: Iterable[Path] = PACKAGES) -> None:
        self.modules: dict[str, Module] = {}
        for package in packages:
            for path in sorted(package.rglob("*.py")):
                parts = path.relative_to(package.parent).with_suffix("").parts
                name = ".".join(parts).removesuffix(".__init__")
                self.modules[name] = Module(name, path)

    @cached_property
    def public_modules(self) -> list[Module]:
        return [module for name, module in self.modules.items() if "._" not in name]

    @cached_property
    def _public(self) -> set[Place]:
        return {
            self.find(module.name, name) for module in self.public_modules for name in module.public
        }

    def text(self) -> str:
        shown: dict[Place, str] = {}
        lines: list[str] = []
        for module in self.public_modules:
            lines += [f"# {module.name}", ""]
            for name in sorted(module.public):
                place = self.find(module.name, name)
                if place in shown:
                    lines += [f"from {shown[place]} import {name}", ""]
                else:
                    shown[place] = module.name
                    nodes = self.modules[place[0]].definitions[place[1]]
                    lines += [line for node in nodes for line in self._lines(place, node)]
                    lines.append("")
            for plugin in module.plugins:
                for nodes in self.modules[plugin].definitions.values():
                    if is_fixture(nodes[0]):
                        lines += [*_function(nodes[0]), ""]  # type: ignore[arg-type]
        return "\n".join(lines)

    def find(self, module: str, name: str) -> Place:
        """Follow imports to where a name is defined."""
        while name not in self.modules[module].definitions:
            module, name = self.modules[module].imports[name]
            if module not in self.modules:
                break
        return module, name

    def _lines(self, place: Place, node: Definition) -> Iterator[str]:
        if isinstance(node, Function):
            yield from _function(node)
        elif isinstance(node, ast.ClassDef):
            bases = ", ".join(map(ast.unparse, [*node.bases, *node.keywords]))
            yield from map(_decorator, node.decorator_list)
            yield f"class {node.name}({bases})" if bases else f"class {node.name}"
            for member in self.members(place, node).values():
                yield from (f"    {line}" for line in member)
        else:
            yield from _value(node, place[1])

    def members(self, place: Place, node: ast.ClassDef) -> dict[str, list[str]]:
        """Return the lines of each public member of a class, by its name."""
        members: dict[str, list[str]] = {}
        for base in node.bases:
            name = ast.unparse(base).partition("[")[0]
            module = self.modules[place[0]]
            if name in module.definitions or name in module.imports:
                found = self.find(place[0], name)
                if found not in self._public and found[0] in self.modules:
                    parent = self.modules[found[0]].definitions[found[1]][-1]
                    if isinstance(parent, ast.ClassDef):
                        members |= self.members(found, parent)
        for item in _statements(node.body):
            if isinstance(item, Function) and _is_shown(item.name):
                previous = members.get(item.name, [])
                is_more = any(line.startswith("@overload") for line in previous)
                members[item.name] = [*(previous if is_more else []), *_function(item)]
            if isinstance(item, Function) and item.name == "__init__":
                members = dict(_attributes(item)) | members
            if isinstance(item, ast.Assign | ast.AnnAssign):
                members |= {name: _value(item, name) for name in _names(item) if _is_shown(name)}
        return members


def _statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Those of a body, and those below its conditions."""
    for node in body:
        if isinstance(node, ast.If | ast.Try):
            yield from _statements([*node.body, *node.orelse])
        else:
            yield node


def is_fixture(node: Definition) -> bool:
    """Whether it is a fixture of pytest."""
    return "pytest.fixture" in " ".join(map(_decorator, _decorators(node)))


def _names(node: Definition) -> list[str]:
    if isinstance(node, ast.ClassDef | Function):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _is_shown(name: str) -> bool:
    is_dunder = name.startswith("__") and name.endswith("__")
    return name not in _NOT_SHOWN and (is_dunder or not name.startswith("_"))


def _decorators(node: Definition) -> list[ast.expr]:
    return node.decorator_list if isinstance(node, ast.ClassDef | Function) else []


def _decorator(node: ast.expr) -> str:
    return f"@{ast.unparse(node)}"


def _function(node: Function) -> list[str]:
    word = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    returned = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    signature = f"{word} {node.name}({ast.unparse(node.args)}){returned}"
    return [*map(_decorator, node.decorator_list), signature]


def _value(node: ast.Assign | ast.AnnAssign, name: str) -> list[str]:
    annotation = f": {ast.unparse(node.annotation)}" if isinstance(node, ast.AnnAssign) else ""
    value = ast.unparse(node.value) if node.value else ""
    if len(value) > _LONG or name.startswith("__"):
        value = "..."
    return [f"{name}{annotation}{f' = {value}' if value else ''}"]


def _attributes(init: Function) -> Iterator[tuple[str, list[str]]]:
    """The public attributes that `__init__` sets on `self`."""
    for node in ast.walk(init):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            kind = f": {ast.unparse(node.annotation)}" if isinstance(node, ast.AnnAssign) else ""
            for target in targets:
                match target:
                    case ast.Attribute(ast.Name("self"), name) if _is_shown(name):
                        yield name, [f"{name}{kind}"]


def main() -> None:
    FILE.write_text(Surface().text(), "utf-8")


if __name__ == "__main__":
    main()
