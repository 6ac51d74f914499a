"""Which public name is on which page of the reference. It needs no Sphinx: a quick test reads it.

1. A page has the names of one public module, or one group of them where a module has many.
2. A name is described where it is public first, as in tests/surface.txt. Elsewhere it is a link.
3. A name of a large package that no group has is an error.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property

from _site.docstrings import below
from tests.surface import Definition, Function, Module, Place, Surface, is_fixture

_SHARED = ("_headers", "_limits", "_version")
# The groups of the large packages, by the modules that define the names.
GROUPS = {
    "sansio_moondream": {
        "Requests": ("_requests",),
        "Streams": (
            *("_stream", "_states", "_socket_stream", "_wire.http11", "_wire.http11_plain"),
            *_SHARED,
        ),
        "Events and results": ("_events", "_results", "_geometry", "_metadata"),
        "Errors": ("_errors",),
        "Values as JSON": ("_value", "_kinds"),
        "Servers": ("_server", "_wire.encode"),
    },
    "moondream_transports": {
        "Clients": ("_client", "_map", "_outcome", "_hooks", "_retries", "_limits", "_pictures"),
        "Transports": ("_transport", "_adapters", "_anyio", "_urllib", "_http11"),
        "Recording and replay": ("recording", "replay", "_clock"),
    },
}
# Classes that are public for what their objects do. Something else makes them, as their docstrings
# say, so that the constructor may change.
MADE_ELSEWHERE = {
    "AiohttpStream",
    "AsyncClientStream",
    "AsyncHTTP11Stream",
    "AsyncHttpxStream",
    "AsyncLatest",
    "AsyncRecordingStream",
    "AsyncRelay",
    "AsyncReplayStream",
    "ClientStream",
    "FragmentedRecording",
    "Fragmentations",
    "HTTP11Stream",
    "HttpxStream",
    "Latest",
    "RecordingFile",
    "RecordingStream",
    "Relay",
    "ReplayReader",
    "ReplayStream",
}


@dataclass
class Name:
    """A public name.

    Attributes:
        module: where it is public first.
        place: where it is defined.
        nodes: several if it is overloaded.
        members: the methods and properties of a class, those of its private bases too; the values
            of an enumeration.
        fields: the other attributes of a class, with their types where they are annotated.
    """

    module: str
    name: str
    place: Place
    nodes: list[Definition]
    docstring: str | None
    members: list[str] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)

    @property
    def node(self) -> Definition:
        """The implementation of what is overloaded, or the only definition."""
        return self.nodes[-1]

    @property
    def is_made_elsewhere(self) -> bool:
        return self.name in MADE_ELSEWHERE

    @property
    def is_alias(self) -> bool:
        """Whether it is another name of a type."""
        return isinstance(self.node, ast.AnnAssign) and (
            ast.unparse(self.node.annotation) == "TypeAlias"
        )


@dataclass
class Page:
    """A page of the reference.

    Attributes:
        path: of its file below the folder of the reference, without the suffix.
        elsewhere: the names that are described on the page of another module, with that module.
        fixtures: those of a pytest plugin.
        parts: the pages of its groups, if it is a large package.
    """

    path: str
    title: str
    module: Module
    names: list[Name] = field(default_factory=list)
    elsewhere: dict[str, str] = field(default_factory=dict)
    fixtures: list[Function] = field(default_factory=list)
    parts: list[Page] = field(default_factory=list)

    @property
    def is_part(self) -> bool:
        return self.path != self.module.name


@cache
def read_reference() -> Reference:
    """Read the sources of this repository, once in a process."""
    return Reference()


class Reference:
    """All pages, from the sources of the packages."""

    def __init__(self, surface: Surface | None = None) -> None:
        self.surface = surface or Surface()

    @cached_property
    def pages(self) -> list[Page]:
        """One page for each public module, in the order of tests/surface.txt."""
        shown: dict[Place, str] = {}
        return [self._page(module, shown) for module in self.surface.public_modules]

    @cached_property
    def names(self) -> list[Name]:
        return [name for page in self.pages for part in (page, *page.parts) for name in part.names]

    def _page(self, module: Module, shown: dict[Place, str]) -> Page:
        page = Page(module.name, module.name, module)
        page.fixtures = list(self._fixtures(module))
        page.parts = [
            Page(f"{module.name}/{title.lower().replace(' ', '-')}", title, module)
            for title in GROUPS.get(module.name, ())
        ]
        for name in module.public:
            place = self.surface.find(module.name, name)
            if place in shown:
                page.elsewhere[name] = shown[place]
            else:
                shown[place] = module.name
                part = self._part(page, place) if page.parts else page
                part.names.append(self._name(module.name, name, place))
        for part in (page, *page.parts):
            part.names.sort(key=lambda name: (name.place[0], name.node.lineno))
        return page

    def _name(self, module: str, name: str, place: Place) -> Name:
        source = self.surface.modules[place[0]]
        node = source.definitions[place[1]][-1]
        if isinstance(node, ast.Assign | ast.AnnAssign):
            docstring = below(source.body, node)
        else:
            docstring = ast.get_docstring(node)
        made = Name(module, name, place, source.definitions[place[1]], docstring)
        if isinstance(node, ast.ClassDef):
            is_enum = any(ast.unparse(base).endswith("Enum") for base in node.bases)
            for member, lines in self.surface.members(place, node).items():
                if is_enum or "def " in lines[-1].partition("(")[0]:
                    made.members.append(member)
                else:
                    made.fields[member] = _type(lines[-1])
        return made

    def _part(self, page: Page, place: Place) -> Page:
        for part in page.parts:
            for prefix in GROUPS[page.path][part.title]:
                if f"{place[0]}.".startswith(f"{page.path}.{prefix}."):
                    return part
        raise LookupError(f"no group of docs/_site/names.py has {place[1]} of {place[0]}")

    def _fixtures(self, module: Module) -> Iterator[Function]:
        for plugin in module.plugins:
            for nodes in self.surface.modules[plugin].definitions.values():
                if is_fixture(nodes[0]):
                    yield nodes[0]  # type: ignore[misc]  # only a function is one


def _type(line: str) -> str:
    """The type of a field, from its line: `name: type = default`."""
    return line.partition(": ")[2].partition(" = ")[0]
