"""The documentation site: what its docstrings say, what is on it, and that it builds."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module, util
from pathlib import Path

import pytest

from _site.completeness import problems
from _site.contents import contents
from _site.docstrings import Docstring, to_rst
from _site.names import Reference
from tests.guides import ROOT
from tests.surface import Surface

PUBLIC = '''
"""A package."""

from ._inside import Base, Color, Kind, LIMIT, call

__all__ = ["Base", "Color", "Kind", "LIMIT", "call"]
'''
INSIDE = '''
from enum import Enum

LIMIT = 7
"""How many."""

class Base:
    """A base.

    Attributes:
        field: a field.
    """

    field: str

    def inherited(self, value: int) -> None:
        """Take `value`."""

class Kind(Base):
    """A kind.

    Args:
        message: what happened.
    """

    def __init__(self, message: str, *, field: str) -> None:
        self.message = message

    def inherited(self, value: int) -> None:
        ...

    def own(self, other: int, *rest: str, **more: str) -> None:
        """Do it.

        Args:
            other: a number.
            rest, more: texts.
        """

    @property
    def size(self) -> int:
        """How large it is."""

class Color(Enum):
    """A colour."""

    RED = 1

def call(value: int, _private: int = 0) -> None:
    """Do as `Kind.own`, and as in `Base`, with `value`."""
'''


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "fake"
    folder.mkdir()
    (folder / "__init__.py").write_text(PUBLIC)
    (folder / "_inside.py").write_text(INSIDE)
    return folder


def problems_of(package: Path) -> list[str]:
    return problems(Reference(Surface([package])))


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference()


def test_every_public_name_parameter_and_field_is_described(reference: Reference):
    assert problems(reference) == []


def test_of_a_package_nothing_is_missing(package: Path):
    assert problems_of(package) == []


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ('"""How many."""', "", "fake.LIMIT: no docstring"),
        ('"""A colour."""', "pass", "fake.Color: no docstring"),
        ('"""How large it is."""', "...", "fake.Kind.size: no docstring"),
        ('"""Take `value`."""', "...", "fake.Kind.inherited: no docstring"),
        ("Take `value`", "Take it", "fake.Kind.inherited: value is not described"),
        ("field: a field.", "other: a field.", "fake.Base: field is not described"),
        ("message: what", "text: what", "fake.Kind.__init__: message is not described"),
        ("other: a number.", "another: a number.", "fake.Kind.own: other is not described"),
        ("rest, more: texts", "rest: texts", "fake.Kind.own: more is not described"),
        ("with `value`", "with a value", "fake.call: value is not described"),
        ("value: int, _private", "value: int, much: int, _private", "fake.call: much is not des"),
    ],
)
def test_what_is_missing_is_noticed(package: Path, before: str, after: str, problem: str):
    source = package / "_inside.py"
    text = source.read_text()
    assert before in text
    source.write_text(text.replace(before, after))
    assert [found for found in problems_of(package) if found.startswith(problem)]


def test_a_module_without_a_docstring_is_noticed(package: Path):
    (package / "__init__.py").write_text(PUBLIC.replace('"""A package."""', ""))
    assert problems_of(package) == ["fake: no docstring"]


def test_each_name_of_the_surface_is_on_one_page(reference: Reference):
    lines = (ROOT / "tests" / "surface.txt").read_text("utf-8").split("\n\n")
    fixtures = [line for line in lines if line.startswith("@pytest.fixture")]
    described = [
        name for name in lines if name and not name.startswith(("#", "from ", "@pytest.f"))
    ]
    reference = Reference()
    names = [(name.module, name.name) for name in reference.names]
    shown = sum(len(page.fixtures) for page in reference.pages)
    assert len({*names}) == len(names)
    own = [name for name in names if name[1] == "moondream_server"]  # a fixture and a name
    assert (len(names) - len(own), shown + len(own)) == (len(described), len(fixtures))


def test_a_name_that_no_group_has_is_an_error(tmp_path: Path):
    package = tmp_path / "sansio_moondream"
    package.mkdir()
    (package / "__init__.py").write_text('from ._new import name\n__all__ = ["name"]\n')
    (package / "_new.py").write_text("name = 1\n")
    with pytest.raises(LookupError, match="no group of docs/_site/names.py has name"):
        Reference(Surface([package])).names  # noqa: B018


DOCSTRING = """\
Take *all* `Headers`s, see docs/how-to/map.md:

    code * here

Args:
    first: on two
        lines.
    x, y: fields.

Raises ValueError.

Raises:
    KeyError, TypeError: it is wrong.
"""
RST = """\
Take \\*all\\* `Headers`\\ s, see :doc:`/how-to/map`:

::

    code * here

Raises ValueError.

:param first: on two
    lines.
:raises: `KeyError`, `TypeError`: it is wrong.

.. py:attribute:: x
                  y
   :type: int

   fields.
"""


def test_docstrings_become_restructured_text():
    assert "\n".join(to_rst(DOCSTRING, {"x": "int", "y": "int"})).split() == RST.split()


def test_the_entries_of_a_docstring():
    docstring = Docstring.parse(DOCSTRING)
    assert docstring.names("Args") == {"first", "x", "y"}
    assert docstring.names("Raises") == {"KeyError", "TypeError"}
    assert docstring.mentioned() == {"Headers"}


def test_the_navigation_has_the_sections_of_the_index():
    index = "# Title\n\n- [no](no.md)\n\n## Why\n\n- [a](why/a.md): b\n- [c](why/c.md)\n"
    words = ["```{toctree}", ":hidden:", ":caption:", "Why", "why/a", "why/c", "```"]
    assert contents(index).split() == words


@pytest.mark.slow
def test_the_site_builds_without_a_warning(reference: Reference, tmp_path: Path):
    for module in ("sphinx", "myst_parser", "furo", "sphinx_copybutton"):
        if util.find_spec(module) is None:
            pytest.skip(f"needs {module}: `make ci-tools`")
    options: list[str | Path] = [
        "--jobs",
        "2",
        "--fail-on-warning",
        "--quiet",
        "-d",
        tmp_path / "doctrees",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, ROOT / "docs", tmp_path / "html"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    inventory_file = import_module("sphinx.util.inventory").InventoryFile
    content = (tmp_path / "html" / "objects.inv").read_bytes()
    inventory = inventory_file.loads(content, uri="").data
    found = {name for kind in inventory for name in inventory[kind]}
    assert {f"{name.module}.{name.name}" for name in reference.names} - found == set()
    assert (tmp_path / "html" / "searchindex.js").exists()
