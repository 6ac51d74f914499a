"""The names of the folders: readable, and different for different tests on every disk."""

from __future__ import annotations

import re
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moondream_transports._plugin.folders import unique_name

PLAIN = [["test_one"], ["test_moon", "test_one"], ["a" * 80], ["test-2"]]
CHANGED = [
    ["test_One"],
    ["test_oNe"],
    ["TestMoon", "test_one"],
    ["testmoon", "test_One"],
    ["test_\u6708"],
    ["test_\u65e5"],
    ["a" * 81],
    ["a" * 80 + "b"],
    ["a" * 80 + "c"],
    ["a" * 50, "b" * 50],
    ["test_moon.test_one"],
    ["test_one-"],
    ["-test_one"],
    ["test_one[a b]"],
    ["test_one[a-b]"],
    ["con"],
    ["nul", "test_one"],
    [""],
    ["\ud800"],
]


def test_plain_names_stay() -> None:
    for parts in PLAIN:
        assert unique_name(parts) == ".".join(parts)


@pytest.mark.parametrize("parts", CHANGED)
def test_others_get_a_digest(parts: list[str]) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_.-]{1,80}-[0-9a-f]{8}", unique_name(parts))


def test_all_differ_on_a_disk_that_ignores_letter_case() -> None:
    names = [unique_name(parts).lower() for parts in (*PLAIN, *CHANGED)]
    for one, other in combinations(names, 2):
        assert one != other


NAMES = st.lists(st.text(st.sampled_from("aAbB.:[ -_\u6708"), max_size=4), min_size=1, max_size=3)


@given(NAMES, NAMES)
def test_other_names_have_other_folders(one: list[str], other: list[str]) -> None:
    is_same = "::".join(one) == "::".join(other)
    assert (unique_name(one).lower() == unique_name(other).lower()) is is_same
