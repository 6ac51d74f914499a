"""Paths: any spelling in any fragmentation."""

from __future__ import annotations

import math
from random import Random
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from sansio_moondream.paths import Command, PathError, PathParser, Polygon, flatten, parse_path
from sansio_moondream.testing import at_offsets

ARITY = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6, "S": 4, "Q": 4, "T": 2, "A": 7, "Z": 0}


thousandths = st.integers(-1500, 2500)


@st.composite
def drawings(draw: st.DrawFn) -> list[tuple[str, tuple[int, ...]]]:
    """Draw commands in absolute coordinates, in thousandths."""
    out: list[tuple[str, tuple[int, ...]]] = []
    for letter in ["M", *draw(st.lists(st.sampled_from("MLHVCSQTAZ"), max_size=8))]:
        if letter == "A":
            radii = draw(
                st.tuples(st.integers(0, 800), st.integers(0, 800), st.integers(-360_000, 360_000))
            )
            flags = draw(st.tuples(st.booleans(), st.booleans()))
            out.append(
                (letter, (*radii, *map(int, flags), *draw(st.tuples(thousandths, thousandths))))
            )
        else:
            out.append(
                (
                    letter,
                    tuple(
                        draw(st.lists(thousandths, min_size=ARITY[letter], max_size=ARITY[letter]))
                    ),
                )
            )
    return out


def spell(drawing: list[tuple[str, tuple[int, ...]]], seed: int) -> str:
    """Write commands in one of many spellings.

    They are absolute or relative, spaced or compact, with or without repeated letters.
    """
    rng = Random(seed)
    x = y = start_x = start_y = 0
    text, implied = "", ""
    for letter, values in drawing:
        shown = list(values)
        written = rng.choice([letter, letter.lower()])
        if written.islower():
            if letter == "A":
                shown[5:] = [values[5] - x, values[6] - y]
            else:
                shown = [
                    value - (y if i % 2 or letter == "V" else x) for i, value in enumerate(values)
                ]
        if written == implied and letter not in "MZ" and rng.random() < 0.5:
            text += rng.choice([" ", ",", " , "])
        else:
            text += rng.choice(["", " ", "\n "]) + written + rng.choice(["", " "])
        previous = ""
        for i, value in enumerate(shown):
            is_flag = letter == "A" and i in (3, 4)
            number = str(value) if is_flag else spell_number(value, rng)
            if i > 0:
                after_flag = letter == "A" and i in (4, 5)
                needs_nothing = (
                    number[0] in "-+" or after_flag or (number[0] == "." and not previous.isdigit())
                )
                text += rng.choice(["", " ", ","] if needs_nothing else [" ", ",", "\t,"])
            text += number
            previous = number.lstrip("+-")
        implied = {"M": "L", "m": "l"}.get(written, written)
        if letter == "Z":
            x, y = start_x, start_y
        elif letter == "H":
            x = values[0]
        elif letter == "V":
            y = values[0]
        else:
            x, y = values[-2:]
        if letter == "M":
            start_x, start_y = x, y
    return text


def spell_number(thousandths: int, rng: Random) -> str:
    sign, size = "-" if thousandths < 0 else rng.choice(["", "", "", "+"]), abs(thousandths)
    plain = f"{size // 1000}.{size % 1000:03}"
    compact = plain.rstrip("0").rstrip(".")
    if size < 1000 and "." in compact:
        compact = compact[1:]
    return sign + rng.choice([plain, compact, compact, f"{size}e-3", f"{size}E-03"])


offset_lists = st.lists(st.integers(0, 400), max_size=12)


scraps = st.lists(
    st.sampled_from(
        [
            "M",
            "m0 0",
            "L",
            "z",
            "A1 1 0 0",
            "1",
            "0",
            ".5",
            "-",
            "e",
            "e3",
            ",",
            " ",
            "C",
            "H",
            "q",
            "x",
            '"',
            "é",
        ]
    ),
    max_size=14,
)


texts = (
    st.builds(spell, drawings(), st.integers(0, 1000))
    | scraps.map(lambda scraps: "M0 0" + "".join(scraps))
    | st.text(max_size=10)
)


def read(chunks: list[str]) -> tuple[list[Command], Any]:
    path = PathParser()
    try:
        for chunk in chunks:
            path.append(chunk)
        path.end()
    except PathError as error:
        return path.commands, (str(error), error.position)
    return path.commands, None


@given(texts, offset_lists)
@example("M0E0E0:", [4])  # the second E is no exponent: the number before it has ended
def test_splitting_changes_nothing(text: str, offsets: list[int]):
    chunks = [
        chunk.decode("utf-32-le")
        for chunk in at_offsets(text.encode("utf-32-le"), [4 * offset for offset in offsets])
    ]
    assert "".join(chunks) == text
    assert read(chunks) == read([text]) == read(list(text))


@given(texts)
def test_at_every_moment_it_is_a_path_that_only_gets_longer(text: str):
    whole, error = read([text])
    path, before = PathParser(), 0
    polygons: tuple[Polygon, ...] = ()
    for i, character in enumerate(text[: None if error is None else error[1]]):
        path.append(character)
        assert before <= path.position <= i + 1
        before = path.position
        assert path.commands == whole[: len(path.commands)]
        assert parse_path(text[: path.position]) == path.commands
        polygons = check_extended(polygons, flatten(path.commands))
    check_extended(polygons, flatten(whole))


def check_extended(before: tuple[Polygon, ...], now: tuple[Polygon, ...]) -> tuple[Polygon, ...]:
    if before:
        *done, last = before
        assert list(now[: len(done)]) == done
        assert now[len(done)][: len(last)] == last
    return now


@given(texts)
def test_before_a_fault_all_is_well(text: str):
    commands, error = read([text])
    if error is not None:
        beginning = PathParser()
        beginning.append(text[: error[1]])
        assert beginning.commands == commands[: len(beginning.commands)]
        assert (
            len(commands) - len(beginning.commands) <= 1
        )  # the last number may go on, before a fault as before an end
    else:
        assert parse_path(text) == commands


@given(drawings(), st.integers(0, 1000))
def test_all_spellings_are_one_path(drawing: list[tuple[str, tuple[int, ...]]], seed: int):
    one, other = (
        flatten(parse_path(spell(drawing, seed + i)), scale=(100, 100), tolerance=0.5)
        for i in range(2)
    )
    plain = " ".join(
        letter
        + " ".join(
            str(v if letter == "A" and i in (3, 4) else v / 1000) for i, v in enumerate(values)
        )
        for letter, values in drawing
    )
    for polygons in (one, other):
        check_near(
            polygons, flatten(parse_path(plain), scale=(100, 100), tolerance=0.5), len(drawing)
        )


def check_near(seen: tuple[Polygon, ...], expected: tuple[Polygon, ...], curves: int) -> None:
    assert len(seen) == len(expected)
    for one, other in zip(seen, expected, strict=True):
        assert abs(len(one) - len(other)) <= curves  # rounding may cost each a chord more
        if len(one) == len(other):
            assert all(math.dist(a, b) < 1e-4 for a, b in zip(one, other, strict=True))
