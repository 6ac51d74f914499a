"""docs/reference/errors.md has each error, and whether to retry."""

from __future__ import annotations

import re

import pytest

import sansio_moondream
from sansio_moondream import APIError, MoondreamError
from sansio_moondream import _errors as errors
from tests.guides import ROOT

PAGE = (ROOT / "docs" / "reference" / "errors.md").read_text("utf-8")
ROW = re.compile(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \| (yes|no) \|$", re.MULTILINE)
STATUS = re.compile(r"^(\d{3})(?: or (\d{3}))?: ")


def classes(base: type[MoondreamError]) -> list[type[MoondreamError]]:
    below = [each for each in base.__subclasses__() if each.__module__ == errors.__name__]
    return [base, *(found for each in below for found in classes(each))]


CLASSES = {each.__name__: each for each in classes(MoondreamError)}
ROWS = {name: rest for name, *rest in ROW.findall(PAGE)}


def test_the_page_has_each_class_once():
    assert sorted(name for name, *_ in ROW.findall(PAGE)) == sorted(CLASSES)
    assert {*CLASSES} == {
        name
        for name in sansio_moondream.__all__
        if isinstance(each := getattr(sansio_moondream, name), type)
        and issubclass(each, MoondreamError)
    }


@pytest.mark.parametrize("name", CLASSES)
def test_a_row_is_true(name: str):
    meaning, _, retry = ROWS[name]
    status = STATUS.match(meaning)
    numbers = [int(number) for number in status.groups() if number] if status else []
    error = CLASSES[name]("")
    assert (retry == "yes") == error.retryable
    words = re.findall(r"API|TLS|[A-Z][a-z]+", name)
    assert error.to_dict()["kind"] == "_".join(words).lower()  # as the page says
    assert {errors.api_error_class(number, None, None) for number in numbers} <= {CLASSES[name]}
    assert bool(numbers) == (issubclass(CLASSES[name], APIError) and name not in OTHER_STATUSES)


OTHER_STATUSES = {"APIError", "ServerError"}  # any other one, and 5xx


def test_the_tree_is_that_of_the_classes():
    tree = PAGE.partition("## The tree")[2].partition("## Other")[0]
    (block,) = re.findall(r"```text\n(.*?)```", tree, re.DOTALL)
    shown: dict[str, str | None] = {}
    path: list[str] = []
    for line in block.splitlines():
        depth = len(re.match(r"[ │├└─]*", line)[0]) // 4  # type: ignore[index]  # it may be empty
        names = re.match(r"[ │├└─]*((?:\w+(?:, | > )?)+)", line)
        assert names is not None
        for i, name in enumerate(re.split(r", | > ", names[1])):
            is_below = f"> {name}" in line
            parent = path[depth] if is_below else path[depth - 1] if depth else None
            if not is_below or i == 0:
                path[depth:] = [name]
            shown[name] = parent
    assert shown == {
        name: None if each is MoondreamError else each.__bases__[0].__name__
        for name, each in CLASSES.items()
    }


def test_the_builtin_timeouts_are_marked_in_the_tree():
    timeouts = {name for name, each in CLASSES.items() if issubclass(each, TimeoutError)}
    marked = re.findall(r"^.*also the builtin TimeoutError.*$", PAGE, re.MULTILINE)
    assert {name for line in marked for name in re.findall(r"\w*Timeout\b", line)} == timeouts
