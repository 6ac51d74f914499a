"""How names go, on a small package: each old name works, and warns at the line of its user."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import sansio_moondream

FILES = {
    "__init__.py": """
from sansio_moondream._deprecation import renamed

def _late(name):
    if name == "LATE":
        return 7
    raise AttributeError(f"no {name}")

__all__ = ["New"]
__getattr__ = renamed(
    __name__,
    {"Old": "moonlet.new.New", "LIMIT": "moonlet.new.MAX_SIZE"},
    until="0.9",
    otherwise=_late,
)
""",
    "new.py": """
from sansio_moondream._deprecation import deprecated, renamed, renamed_argument

__all__ = ["MAX_SIZE", "New", "ask"]
MAX_SIZE = 10
__getattr__ = renamed(__name__, {"Former": "moonlet.new.New"}, until="0.9")

class New:
    @renamed_argument("patience", "timeout", until="0.9")
    def __init__(self, size: int = 1, *, timeout: float = 1.0) -> None:
        self.size, self.timeout = size, timeout

    @deprecated("use `size`; it goes in 0.9")
    def width(self, factor: int = 1) -> int:
        '''Return the size.'''
        return self.size * factor

    @property
    @deprecated("use `timeout`; it goes in 0.9")
    def patience(self) -> float:
        return self.timeout

    @deprecated("use `ask`; it goes in 0.9")
    async def query(self, question: str) -> str:
        return question

@renamed_argument("text", "question", until="0.9")
async def ask(question: str, *, loud: bool = False) -> str:
    return question.upper() if loud else question
""",
    "old.py": """
from sansio_moondream._deprecation import moved

__getattr__ = moved(__name__, "moonlet.new", until="0.9")
""",
    "shop/__init__.py": "NAME = 'shop'",
    "shop/shelf.py": "",
    "store.py": """
from sansio_moondream._deprecation import moved

__getattr__ = moved(__name__, "moonlet.shop", until="0.9")
""",
}


@pytest.fixture
def moonlet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    folder = tmp_path / "moonlet"
    (folder / "shop").mkdir(parents=True)
    for name, text in FILES.items():
        (folder / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("moonlet.new")
    for name in [name for name in sys.modules if name.partition(".")[0] == "moonlet"]:
        del sys.modules[name]


def warned(program: str, tmp_path: Path) -> tuple[dict[str, Any], list[str]]:
    """Run a program of one line. Returns its names, and its warnings, all of them at its line."""
    names: dict[str, Any] = {}
    file = str(tmp_path / "program.py")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        exec(compile(program, file, "exec"), names)
    assert {warning.category for warning in caught} <= {DeprecationWarning}
    assert {(warning.filename, warning.lineno) for warning in caught} <= {(file, 1)}
    return names, sorted({str(warning.message) for warning in caught})


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (
            "import moonlet; kind = moonlet.Old",
            "moonlet.Old is moonlet.new.New now; the old name goes in 0.9",
        ),
        (
            "from moonlet import Old as kind",
            "moonlet.Old is moonlet.new.New now; the old name goes in 0.9",
        ),
        (
            "from moonlet.new import Former as kind",
            "moonlet.new.Former is moonlet.new.New now; the old name goes in 0.9",
        ),
        (
            "from moonlet.old import New as kind",
            "the module moonlet.old is moonlet.new now; the old name goes in 0.9",
        ),
        (
            "import moonlet.old; kind = moonlet.old.New",
            "the module moonlet.old is moonlet.new now; the old name goes in 0.9",
        ),
    ],
)
def test_class_is_the_same_by_its_old_name(
    moonlet: ModuleType, tmp_path: Path, program: str, message: str
):
    names, messages = warned(program, tmp_path)
    assert names["kind"] is moonlet.New
    assert messages == [message]


def test_constant(moonlet: ModuleType, tmp_path: Path):
    names, messages = warned("from moonlet import LIMIT", tmp_path)
    assert names["LIMIT"] == moonlet.MAX_SIZE == 10
    assert messages == ["moonlet.LIMIT is moonlet.new.MAX_SIZE now; the old name goes in 0.9"]


def test_new_names_do_not_warn(moonlet: ModuleType, tmp_path: Path):
    program = "from moonlet.new import *; from moonlet import LATE; new = New(2, timeout=3)"
    names, messages = warned(program, tmp_path)
    assert (names["new"].size, names["new"].timeout, names["LATE"]) == (2, 3, 7)
    assert messages == []


def test_names_that_never_were(moonlet: ModuleType):
    package = importlib.import_module("moonlet")
    with pytest.raises(AttributeError, match="^no nothing$"):
        package.nothing  # noqa: B018
    with pytest.raises(AttributeError, match="^module 'moonlet.new' has no attribute 'nothing'$"):
        moonlet.nothing  # noqa: B018
    with pytest.warns(DeprecationWarning, match="the module moonlet.old is moonlet.new now"):
        old = importlib.import_module("moonlet.old")
    with pytest.raises(AttributeError, match="^module 'moonlet.new' has no attribute 'nothing'$"):
        old.nothing  # noqa: B018


def test_submodules_of_a_package_that_has_moved_are_not_imported_twice(moonlet: ModuleType):
    with pytest.warns(DeprecationWarning, match="the module moonlet.store is moonlet.shop now"):
        store = importlib.import_module("moonlet.store")
    assert store.NAME == "shop"
    with pytest.raises(AttributeError, match="^module 'moonlet.store' has no .* '__path__'$"):
        store.__path__  # noqa: B018
    with pytest.raises(ModuleNotFoundError, match="'moonlet.store' is not a package"):
        importlib.import_module("moonlet.store.shelf")


def test_star_import_of_a_module_that_has_moved(moonlet: ModuleType, tmp_path: Path):
    names, messages = warned("from moonlet.old import *", tmp_path)
    assert (names["New"], names["ask"], names["MAX_SIZE"]) == (moonlet.New, moonlet.ask, 10)
    assert len(messages) == 1


class TestArguments:
    def test_old_name_is_taken(self, moonlet: ModuleType, tmp_path: Path):
        program = "from moonlet.new import New; new = New(2, patience=3)"
        names, messages = warned(program, tmp_path)
        assert (names["new"].size, names["new"].timeout) == (2, 3)
        text = "the argument 'patience' of New.__init__() is called 'timeout' now"
        assert messages == [f"{text}; 'patience' goes in 0.9"]

    def test_both_names(self, moonlet: ModuleType):
        words = r"^New.__init__\(\) got 'timeout', and 'patience', which is its old name$"
        with pytest.raises(TypeError, match=words):
            moonlet.New(timeout=1, patience=2)

    def test_of_a_coroutine_function(self, moonlet: ModuleType):
        with pytest.warns(DeprecationWarning, match="'text' of ask.. is called 'question' now"):
            assert asyncio.run(moonlet.ask(text="a", loud=True)) == "A"
        assert asyncio.run(moonlet.ask("a")) == "a"
        assert inspect.iscoroutinefunction(moonlet.ask)

    def test_awaiting_line_is_named(self, moonlet: ModuleType):
        async def main() -> None:
            await moonlet.ask(text="a")

        with pytest.warns(DeprecationWarning, match="called 'question' now") as caught:
            asyncio.run(main())
        assert [warning.filename for warning in caught] == [__file__]

    def test_signature_has_the_new_name(self, moonlet: ModuleType):
        assert list(inspect.signature(moonlet.New).parameters) == ["size", "timeout"]
        assert list(inspect.signature(moonlet.ask).parameters) == ["question", "loud"]
        with pytest.raises(TypeError, match="unexpected keyword argument 'speed'"):
            moonlet.New(speed=1)


class TestFunctions:
    def test_method_and_property(self, moonlet: ModuleType, tmp_path: Path):
        program = "from moonlet.new import New; width = New(2).width(factor=3)"
        names, messages = warned(program, tmp_path)
        assert (names["width"], messages) == (6, ["use `size`; it goes in 0.9"])
        program = "from moonlet.new import New; seconds = New(timeout=4).patience"
        names, messages = warned(program, tmp_path)
        assert (names["seconds"], messages) == (4, ["use `timeout`; it goes in 0.9"])

    def test_coroutine_function(self, moonlet: ModuleType):
        assert inspect.iscoroutinefunction(moonlet.New.query)
        with pytest.warns(DeprecationWarning, match="use `ask`"):
            assert asyncio.run(moonlet.New().query("a")) == "a"

    def test_help_stays(self, moonlet: ModuleType):
        assert moonlet.New.width.__doc__ == "Return the size."
        assert list(inspect.signature(moonlet.New.width).parameters) == ["self", "factor"]


GOES = re.compile(r"""(?:goes in |until=["'])(\d+)\.(\d+)""")


def overdue(package: Path, version: tuple[int, int]) -> list[str]:
    """The files with names that should be gone in a version."""
    return [
        path.name
        for path in sorted(package.rglob("*.py"))
        for found in GOES.finditer(path.read_text("utf-8"))
        if version >= (int(found[1]), int(found[2]))
    ]


def test_no_name_stays_longer_than_it_was_said(moonlet: ModuleType):
    package = Path(str(moonlet.__file__)).parent
    assert overdue(package, (0, 8)) == []
    assert sorted(set(overdue(package, (0, 9)))) == ["__init__.py", "new.py", "old.py", "store.py"]
    core = Path(sansio_moondream.__file__).parent
    major, minor = re.findall(r"\d+", sansio_moondream.__version__)[:2]
    for folder in (core, core.parent / "transports", core.parent / "tools"):
        assert overdue(folder, (int(major), int(minor))) == []
