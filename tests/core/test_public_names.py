"""What is public is listed, importable and explained; what is not stays out of sight."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from types import ModuleType
from typing import Any

import pytest

import sansio_moondream

MODULES = [
    sansio_moondream,
    *(
        importlib.import_module(f"sansio_moondream.{module.name}")
        for module in pkgutil.iter_modules(sansio_moondream.__path__)
        if not module.name.startswith("_")
    ),
    importlib.import_module("sansio_moondream.testing.strategies"),
]
each_module = pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)


def public(module: ModuleType) -> dict[str, Any]:
    names: list[str] = module.__all__
    return {name: getattr(module, name) for name in names}


OBJECTS = {
    f"{module.__name__}.{name}": value
    for module in MODULES
    for name, value in public(module).items()
}
CLASSES = {name: value for name, value in OBJECTS.items() if inspect.isclass(value)}


def order(name: str) -> tuple[int, str]:
    """Sort as ruff does: constants, classes, all others."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


@each_module
def test_the_list_is_sorted_and_says_each_name_once(module: ModuleType):
    assert module.__all__ == sorted(set(module.__all__), key=order)


@each_module
def test_the_list_is_complete(module: ModuleType):
    """Nothing else is there without an underscore, but for submodules.

    Names that are loaded late are there once asked for.
    """
    assert public(module).keys() == {*module.__all__}
    typing = {"Any", "TYPE_CHECKING"}  # for the names that are loaded late
    there = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    } - typing
    assert there == set(module.__all__) - {"__version__"}


@each_module
def test_nothing_private_or_foreign_is_in_the_list(module: ModuleType):
    for name, value in public(module).items():
        assert name == "__version__" or not name.startswith("_")
        if inspect.isclass(value) or inspect.isfunction(value):
            assert value.__module__.startswith("sansio_moondream")
            assert value.__name__ == name


def test_a_star_import_gives_these_and_no_more():
    namespace: dict[str, Any] = {}
    exec("from sansio_moondream import *", namespace)
    assert namespace.keys() - {"__builtins__"} == set(sansio_moondream.__all__)


def test_a_name_that_is_not_there_is_said_as_python_says_it():
    with pytest.raises(
        AttributeError, match=r"module 'sansio_moondream' has no attribute 'HTTP12Exchange'"
    ):
        sansio_moondream.HTTP12Exchange  # noqa: B018


def test_the_version_is_one():
    assert re.fullmatch(r"\d+\.\d+\.\d+([a-z]+\d+)?", sansio_moondream.__version__)


@each_module
def test_modules_say_what_they_are_for(module: ModuleType):
    assert module.__doc__
    assert len(module.__doc__.splitlines()[0]) > 20


def test_everything_has_a_docstring_of_its_own():
    for name, value in OBJECTS.items():
        if inspect.isclass(value) or inspect.isfunction(value):
            docstring = vars(value).get("__doc__", value.__doc__)
            assert docstring, name
            check_sentence(docstring)


METHODS = [
    (f"{class_name}.{name}", member)
    for class_name, class_ in CLASSES.items()
    for base in class_.__mro__
    if base.__module__.startswith("sansio_moondream")
    for name, member in vars(base).items()
    if not name.startswith("_")
    and (inspect.isfunction(member) or isinstance(member, property | classmethod | staticmethod))
]


def test_every_method_too():
    for name, member in METHODS:
        assert member.__doc__, name
        check_sentence(member.__doc__)
    names = {name.removeprefix("sansio_moondream.") for name, _ in METHODS}
    assert names >= {
        "ResponseStream.receive_data",
        "ResponseStream.snapshot",
        "QueryRequest.to_http",
        "EncodedImage.data",
        "Headers.multi_items",
    }


def check_sentence(doc: str) -> None:
    first = inspect.cleandoc(doc).split("\n\n")[0]
    assert first[0].isupper() or first[0] in '`"0123456789', first
    assert first.endswith((".", ":")), first
