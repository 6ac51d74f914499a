"""The public surface is as tests/surface.txt has it, and the file would show each change."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from tests.surface import FILE, Surface

HOW = """\
The public surface has changed. If that is meant: .venv/bin/python -m tests.surface, and a line in
CHANGELOG.md. If a name goes: see "How a name goes" in CONTRIBUTING.md. The difference:
"""


def test_is_as_it_is_written_down():
    written, seen = FILE.read_text("utf-8"), Surface().text()
    difference = difflib.unified_diff(written.splitlines(), seen.splitlines(), lineterm="", n=1)
    assert written == seen, "\n".join([HOW, *difference])


def test_names_of_each_package_are_in_it():
    lines = FILE.read_text("utf-8").splitlines()
    for line in (
        "# sansio_moondream.testing.strategies",
        "# moondream_transports.sdk",
        "# moondream_tools.cli",
        "class EncodedImage(OwnRepr, Pictured, frozen=True)",
        "class Client(Shorthands)",
        "from sansio_moondream.recording import Match",
        "def main(argv: Sequence[str] | None=None) -> int",
    ):
        assert line in lines


FILES = {
    "__init__.py": """
from typing import TYPE_CHECKING

from ._inside import CONSTANT, Kind, call

if TYPE_CHECKING:
    from ._inside import Late

__all__ = ["CONSTANT", "Kind", "Late", "call"]
""",
    "_inside.py": """
CONSTANT: int = 7
_PRIVATE = 8

class _Base:
    field: str
    _hidden: int

    def inherited(self, value: int = 1) -> None:
        self.no_attribute = value

class Kind(_Base, Exception):
    def __init__(self, message: str) -> None:
        self.message: str = message
        self._private = 1

    @property
    def size(self) -> int: ...

    async def wait(self, *, seconds: float = 0.5) -> None: ...

    def _own(self) -> None: ...

class Late: ...

def call(first: int, /, *more: str, name: "str | None" = None) -> bool: ...
""",
    "public.py": """
from ._inside import Kind
from os import path

__all__ = ["Kind"]
""",
    "program.py": """
from ._inside import call

LIMIT = 7

def main() -> int: ...
""",
}
TEXT = """\
# fake

CONSTANT: int = 7

class Kind(_Base, Exception)
    message: str
    field: str
    def inherited(self, value: int=1) -> None
    def __init__(self, message: str) -> None
    @property
    def size(self) -> int
    async def wait(self, *, seconds: float=0.5) -> None

class Late

def call(first: int, /, *more: str, name: 'str | None'=None) -> bool

# fake.program

LIMIT = 7

def main() -> int

# fake.public

from fake import Kind
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "fake"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return folder


def test_of_a_package(package: Path):
    assert Surface([package]).text() == TEXT


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("CONSTANT: int = 7", "CONSTANT: int = 8"),
        ("field: str", "field: bytes"),
        ("value: int = 1", "value: int = 2"),
        ("class Kind(_Base, Exception)", "class Kind(_Base)"),
        ("self.message: str", "self._message: str"),
        ("    @property\n", ""),
        ("async def wait", "def wait"),
        ("seconds: float = 0.5", "seconds: float"),
        ("def call(first: int, /,", "def call(first: int,"),
        ("-> bool", "-> int"),
    ],
)
def test_each_change_is_seen(package: Path, before: str, after: str):
    file = package / "_inside.py"
    file.write_text(file.read_text().replace(before, after))
    assert Surface([package]).text() != TEXT


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("_PRIVATE = 8", "_PRIVATE = 9"),
        ("def _own(self)", "def _other(self)"),
        ("    ...", "    pass"),
    ],
)
def test_nothing_private_is_seen(package: Path, before: str, after: str):
    file = package / "_inside.py"
    file.write_text(file.read_text().replace(before, after))
    assert Surface([package]).text() == TEXT
