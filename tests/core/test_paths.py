"""Paths: every command, every spelling, in any fragmentation; and the polygons that they stand for."""

from __future__ import annotations

import math
import pickle
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sansio_moondream import PathChunk
from sansio_moondream.paths import Command, PathError, PathParser, Polygon, flatten, parse_path
from sansio_moondream.testing import at_offsets, run
from tests.helpers import SEGMENT, TRACES

ARITY = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6, "S": 4, "Q": 4, "T": 2, "A": 7, "Z": 0}


def spelled(commands: list[Command]) -> str:
    return " ".join(
        command.letter + "".join(f" {value:g}" for value in command.arguments)
        for command in commands
    )


class TestCommands:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("", ""),
            (" \t\n\f\r", ""),
            ("M0 0", "M 0 0"),
            (" M 0.5,-.25 ", "M 0.5 -0.25"),
            ("m+1-2", "m 1 -2"),
            ("M1e-2 2E+1", "M 0.01 20"),
            ("M.5.5", "M 0.5 0.5"),
            ("M0 1 2 3 4 5", "M 0 1 L 2 3 L 4 5"),
            ("m0 1 2 3,4,5", "m 0 1 l 2 3 l 4 5"),
            ("M0 0H1 2V3 4", "M 0 0 H 1 H 2 V 3 V 4"),
            ("M0 0h.1.2v-1-2", "M 0 0 h 0.1 h 0.2 v -1 v -2"),
            (
                "M0 0C.886,.392,.888,.398,.889,.404L.903,.459z",
                "M 0 0 C 0.886 0.392 0.888 0.398 0.889 0.404 L 0.903 0.459 z",
            ),
            ("M0 0c1 2 3 4 5 6 7 8 9 10 11 12", "M 0 0 c 1 2 3 4 5 6 c 7 8 9 10 11 12"),
            (
                "M0 0S1 2 3 4s5 6 7 8Q1 2 3 4q5 6 7 8T1 2t3 4",
                "M 0 0 S 1 2 3 4 s 5 6 7 8 Q 1 2 3 4 q 5 6 7 8 T 1 2 t 3 4",
            ),
            ("M0 0A1 2 30 0 1 5 6", "M 0 0 A 1 2 30 0 1 5 6"),
            ("M0 0a1 2 30 015 6", "M 0 0 a 1 2 30 0 1 5 6"),
            ("M0 0a1 2 30 1,0.5.6-1-2-3 00 5 6", "M 0 0 a 1 2 30 1 0 0.5 0.6 a -1 -2 -3 0 0 5 6"),
            ("M0 0zm1 1Z Z L2 2", "M 0 0 z m 1 1 Z Z L 2 2"),
            ("M0 0 , 1 1\n,\n2 2", "M 0 0 L 1 1 L 2 2"),
        ],
    )
    def test_spellings(self, text: str, expected: str):
        assert spelled(parse_path(text)) == expected

    @pytest.mark.parametrize(
        ("text", "position", "words"),
        [
            ("L0 0", 0, "M or m should be here, not 'L'"),
            ("z", 0, "M or m should be here, not 'z'"),
            ("0 0", 0, "M or m should be here, not '0'"),
            (",M0 0", 0, "M or m should be here, not a comma"),
            ("M", 1, "it ends, and a number (argument 1 of 2 of M) should follow"),
            ("M 0 ", 4, "it ends, and a number (argument 2 of 2 of M) should follow"),
            ("M0 0 1", 6, "it ends, and a number (argument 2 of 2 of L) should follow"),
            ("M0 0,", 5, "it ends, and a number (argument 1 of 2 of L) should follow"),
            ("M0 0 1-", 6, "a number (argument 2 of 2 of L) should be here, not '-'"),
            ("M0 0 1e", 5, "a command or a number should be here, not '1e'"),
            ("M,0 0", 1, "a number (argument 1 of 2 of M) should be here, not a comma"),
            ("M0,,0", 3, "a number (argument 2 of 2 of M) should be here, not a comma"),
            ("M0 0,L1 1", 5, "a number (argument 1 of 2 of L) should be here, not 'L'"),
            ("M0 0ZZ,1 1", 6, "a command should be here, not a comma"),
            ("M0 0z,1 1", 5, "a command should be here, not a comma"),
            ("M0 0H L 1 1", 6, "a number (argument 1 of 1 of H) should be here, not 'L'"),
            ("M0 0z1 1", 5, "a command should be here, not '1'"),
            ("M0 0L1. 2", 5, "a number (argument 1 of 2 of L) should be here, not '1.'"),
            ("M0 0L--1 2", 5, "a number (argument 1 of 2 of L) should be here, not '-'"),
            ("M0 0Lx", 5, "a number (argument 1 of 2 of L) should be here, not 'x'"),
            ("M0 0B1 1", 4, "a command or a number should be here, not 'B'"),
            ("M0 0L1 nan", 7, "should be here, not 'n'"),
            ("M0 0L\u0661 2", 5, "should be here, not '\u0661'"),
            (
                "M0 0\u017f1 2 3 4",
                4,
                "should be here, not '\u017f'",
            ),  # a long s, whose capital is S
            ("M0 0\xa01 1", 4, "should be here"),
            ('M0 0"/><script>alert(1)</script>', 4, "should be here, not '\"'"),
            ("M0 0A1 1 0 2 0 1 1", 11, "a flag, 0 or 1, should be here, not '2'"),
            ("M0 0A1 1 0 0.5 0 1 1", 12, "a flag, 0 or 1, should be here, not '.'"),
            ("M0 1e39", 3, "a number is more than 3.4e+38"),
            ("M0 -1e999", 3, "a number is more than 3.4e+38"),
            ("M0 " + "0" * 1001 + " 1", 3, "a number has more than 1000 characters"),
        ],
    )
    def test_what_is_none(self, text: str, position: int, words: str):
        with pytest.raises(PathError) as caught:
            parse_path(text)
        assert caught.value.position == position
        assert words in str(caught.value)
        assert str(caught.value).startswith(f"the path is wrong at character {position}: ")
        again = pickle.loads(pickle.dumps(caught.value))
        assert (str(again), again.position) == (str(caught.value), position)
        assert isinstance(again, ValueError)

    def test_a_long_number(self):
        assert parse_path("M" + "0" * 999 + "1 2") == [Command("M", (1.0, 2.0))]


class TestGrowing:
    def test_a_number_waits_for_what_follows_it(self):
        path = PathParser()
        seen = []
        for chunk in ("M 0.1", "5 0", ".2", " ", "L 1 1", "e-", "1", "z", "M0 0 1 1 2", "", " 2"):
            path.append(chunk)
            seen.append((spelled(path.commands), path.position))
        first, third = "M 0.15 0.2", "M 0.15 0.2 L 1 0.1 z"
        assert seen == [
            ("", 0),
            ("", 0),
            ("", 0),
            (first, 10),
            (first, 10),
            (first, 10),
            (first, 10),
            (third, 20),
            (third + " M 0 0 L 1 1", 28),
            (third + " M 0 0 L 1 1", 28),
            (third + " M 0 0 L 1 1", 28),
        ]
        path.end()
        assert spelled(path.commands) == third + " M 0 0 L 1 1 L 2 2"

    def test_flags_and_the_end_of_a_subpath_do_not_wait(self):
        path = PathParser()
        path.append("M0 0A1 1 0 1")
        path.append("0")
        path.append(".5.5z")
        assert spelled(path.commands) == "M 0 0 A 1 1 0 1 0 0.5 0.5 z"

    def test_the_same_error_again(self):
        path = PathParser()
        path.append("M0 0 ")
        for text in ("x", "L1 1", ""):
            with pytest.raises(
                PathError, match="at character 5: a command or a number should be here, not 'x'"
            ):
                path.append(text)
        with pytest.raises(PathError, match="at character 5"):
            path.end()
        assert spelled(path.commands) == "M 0 0"

    def test_nothing_comes_after_the_end(self):
        path = PathParser()
        path.append("M0 0 1")
        path.append(" 1")
        path.end()
        for text in ("5", "L1 1", ""):
            with pytest.raises(RuntimeError, match=r"append\(\) was called after end\(\)"):
                path.append(text)
        path.end()
        assert (spelled(path.commands), path.position) == ("M 0 0 L 1 1", 8)

    def test_nothing_comes_after_an_end_that_was_none(self):
        path = PathParser()
        path.append("M0 0L1")
        for call in (path.end, path.end, lambda: path.append("1")):
            with pytest.raises(PathError, match="at character 6: it ends"):
                call()

    def test_a_number_that_comes_in_many_chunks_is_not_looked_at_for_ever(self):
        path = PathParser()
        path.append("M")
        for _ in range(1000):
            path.append("0")
        with pytest.raises(PathError, match="more than 1000 characters"):
            path.append("0")

    @pytest.mark.parametrize(
        "trace",
        [trace for trace in TRACES if trace.request == SEGMENT and trace.status_code == 200],
        ids=lambda t: t.name,
    )
    def test_what_servers_send(self, trace: Any):
        outcome = run(trace.request, trace.chunks, headers=trace.headers, ending=trace.ending)
        chunks = [event.data for event in outcome.events if isinstance(event, PathChunk)]
        path = PathParser()
        for count, chunk in enumerate(chunks):
            path.append(chunk)
            assert len(path.commands) == (
                count + 1 if chunk.endswith("z") else count
            )  # the last number may go on
        path.end()
        assert len(path.commands) == len(chunks)
        assert all(
            0 <= value <= 1
            for command in parse_path(outcome.snapshot.path)
            for value in command.arguments
        )


class TestPolygons:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("", []),
            ("M0 0", []),
            ("M0 0L1 1z", []),  # encloses nothing
            ("M0 0L1 0 1 1", [[(0, 0), (1, 0), (1, 1)]]),
            ("M0 0L1 0 1 1z", [[(0, 0), (1, 0), (1, 1)]]),
            ("M0 0H1V1h-1v-1", [[(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)]]),
            (
                "m1 1h1v1zh2v2zm2 3h1v1z",
                [[(1, 1), (2, 1), (2, 2)], [(1, 1), (3, 1), (3, 3)], [(3, 4), (4, 4), (4, 5)]],
            ),
            ("M9 9M0 0m1 0 1 0 0 1", [[(1, 0), (2, 0), (2, 1)]]),
            (
                "M0 0L1 0A0 1 0 0 0 1 1A1 0 0 0 0 0 0",
                [[(0, 0), (1, 0), (1, 1), (0, 0)]],
            ),  # arcs without a radius are lines
            (
                "M0 0L1 0L1 1A2 2 0 1 1 1 1",
                [[(0, 0), (1, 0), (1, 1), (1, 1)]],
            ),  # and so are those that go nowhere
        ],
    )
    def test_lines(self, text: str, expected: list[Any]):
        assert [list(polygon) for polygon in flatten(parse_path(text))] == expected

    def test_place(self):
        assert flatten(parse_path("M0 0H1V1z"), scale=(4, 3), offset=(10, 20)) == (
            ((10, 20), (14, 20), (14, 23)),
        )

    @pytest.mark.parametrize(
        ("text", "same"),
        [
            ("M0 0C0 1 1 1 1 0S2-1 2 0", "M0 0C0 1 1 1 1 0C1-1 2-1 2 0"),
            ("M0 0C0 1 1 1 1 0s1-1 1 0", "M0 0C0 1 1 1 1 0C1-1 2-1 2 0"),
            ("M0 0S2-1 2 0", "M0 0C0 0 2-1 2 0"),
            (
                "M0 0Q1 1 2 1S3 1 3 0",
                "M0 0Q1 1 2 1C2 1 3 1 3 0",
            ),  # the last curve was of the other kind
            ("M0 0Q1 1 2 0T4 0 6 0", "M0 0Q1 1 2 0Q3-1 4 0Q5 1 6 0"),
            ("M0 0q1 1 2 0t2 0 2 0", "M0 0Q1 1 2 0Q3-1 4 0Q5 1 6 0"),
            ("M0 0C0 1 1 1 1 0T2 1L2 0", "M0 0C0 1 1 1 1 0L2 1L2 0"),
            ("M0 0Q1 1 2 0L2 0T3 3L0 3", "M0 0Q1 1 2 0L2 0L3 3L0 3"),
            ("M0 0Q3 0 3 3L0 3", "M0 0C2 0 3 1 3 3L0 3"),
            ("M0 0A1 1 0 0 1 2 0", "M0 0A.5.5 0 0 1 2 0"),  # too small a radius is made to reach
            ("M0 0A2 1 90 0 1 2 2L0 2", "M0 0A1 2 0 0 1 2 2L0 2"),
            ("M0 0A-2 1 0 0 1 2 1L0 2", "M0 0A2-1 180 0 1 2 1L0 2"),
        ],
    )
    def test_curves(self, text: str, same: str):
        (one,), (other,) = (
            flatten(parse_path(text), tolerance=0.01),
            flatten(parse_path(same), tolerance=0.01),
        )

        def hull(polygon: Polygon) -> list[float]:
            return [edge(values) for values in zip(*polygon, strict=True) for edge in (min, max)]

        assert hull(one) == pytest.approx(hull(other), abs=0.02)
        assert area(one) == pytest.approx(area(other), abs=0.03)
        assert math.dist(one[-1], other[-1]) < 1e-9

    @pytest.mark.parametrize(
        ("large", "sweep", "share"), [(0, 1, 0.25), (1, 1, 0.75), (0, 0, 0.25), (1, 0, 0.75)]
    )
    @pytest.mark.parametrize("tilt", [0, 30, -135])
    def test_the_four_arcs_between_two_points(
        self, large: int, sweep: int, share: float, tilt: float
    ):
        (polygon,) = flatten(parse_path(f"M1 0A1 1 {tilt} {large} {sweep} 0 1"), tolerance=1e-5)
        around = (0, 0) if (large == 0) == (sweep == 1) else (1, 1)
        assert all(abs(math.dist(point, around) - 1) < 1e-9 for point in polygon)
        sector = share * math.pi - 0.5 if large == 0 else share * math.pi + 0.5
        assert area(polygon) == pytest.approx(sector if sweep else -sector, abs=1e-3)

    @pytest.mark.parametrize("text", ["M0 0C0 1 1 1 1 0", "M0 0Q.5 1 1 0", "M0 0A.6.3 20 1 1 1 0"])
    @pytest.mark.parametrize("scale", [(1, 1), (640, 480), (10, 4000)])
    @pytest.mark.parametrize("tolerance", [0.1, 0.01])
    def test_chords_are_within_the_tolerance(
        self, text: str, scale: tuple[float, float], tolerance: float
    ):
        commands = parse_path(text)
        (coarse,), (fine,) = (
            flatten(commands, scale=scale, tolerance=within)
            for within in (tolerance, tolerance / 9)
        )
        assert len(coarse) < len(fine)
        for point in fine:
            nearest = min(_distance(point, a, b) for a, b in pairwise(coarse))
            assert nearest <= tolerance * 1.01

    @pytest.mark.parametrize(
        "text",
        [
            "M0 0C3e38 3e38-3e38 3e38 1 0",
            "M0 0A1e-29 3e38 7 1 1 3e38 1",
            "M0 0A3e38 3e38 7 1 1 1e-38 1L1 1",
            "M3e38 0" + "l3e38 0" * 100,
        ],
    )
    def test_absurd_numbers_end(self, text: str):
        for scale in ((1, 1), (1e300, 1e-300)):
            assert sum(map(len, flatten(parse_path(text), scale=scale))) < 2000

    @pytest.mark.parametrize(
        ("text", "is_beyond"),
        [
            ("M0 0C-1-1-9 9 0 9", True),  # left of the picture
            ("M5 0q9 0 9 3", True),  # right of it
            ("M0 0C-5-5 9-4 9 0", True),  # above
            ("M-1 3q3 9 6 0", True),  # below
            ("M-3 0a2 1 0 0 0 0 2", True),
            ("M7 0a2 1 0 0 1 0 2", True),
            ("M1-2a1 1 0 0 0 2 0", True),
            ("M1 5a1 1 0 1 1 2 0", True),
            ("M0 0C9-1-9 9 0 9", False),  # through it
            ("M-1-1Q-1 9 9 9", False),  # around it: beyond two edges, but wholly beyond neither
            ("M-3 0a5 1 0 0 1 0 2", False),
        ],
    )
    @pytest.mark.parametrize(
        ("scale", "offset"), [((1, 1), (0, 0)), ((2, 3), (0, 0)), ((-1, -1), (4, 3))]
    )
    def test_what_is_beyond_the_picture_is_a_chord(
        self, text: str, is_beyond: bool, scale: tuple[int, int], offset: tuple[int, int]
    ):
        """In a picture of 4 x 3, larger, and turned around."""
        size = (4 * abs(scale[0]), 3 * abs(scale[1]))
        (whole,) = flatten(parse_path(text + "l1 1"), scale=scale, offset=offset)
        assert len(whole) > 5
        expected = (whole[0], *whole[-2:]) if is_beyond else whole
        assert flatten(parse_path(text + "l1 1"), scale=scale, offset=offset, size=size) == (
            expected,
        )


def area(polygon: Polygon) -> float:
    """Positive where it runs clockwise on the screen, on which y goes down."""
    return (
        sum(
            ax * by - bx * ay
            for (ax, ay), (bx, by) in zip(polygon, (*polygon[1:], polygon[0]), strict=True)
        )
        / 2
    )


def _distance(point: tuple[float, float], a: tuple[float, float], b: tuple[float, float]) -> float:
    """From a point to the line between two."""
    length = math.dist(a, b) ** 2
    share = (
        ((point[0] - a[0]) * (b[0] - a[0]) + (point[1] - a[1]) * (b[1] - a[1])) / length
        if length
        else 0
    )
    share = min(max(share, 0), 1)
    return math.dist(point, (a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])))


# --- Any path, spelled in any way

thousandths = st.integers(-1500, 2500)


@st.composite
def drawings(draw: st.DrawFn) -> list[tuple[str, tuple[int, ...]]]:
    """Commands in absolute coordinates, in thousandths."""
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
    """One way of many to write it: absolute or relative, spaced or compact, letters repeated or
    not.
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


cuts = st.lists(st.integers(0, 400), max_size=12)
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


def grown(chunks: list[str]) -> tuple[list[Command], Any]:
    path = PathParser()
    try:
        for chunk in chunks:
            path.append(chunk)
        path.end()
    except PathError as error:
        return path.commands, (str(error), error.position)
    return path.commands, None


@given(texts, cuts)
@example("M0E0E0:", [4])  # the second E is no exponent: the number before it has ended
def test_splitting_changes_nothing(text: str, offsets: list[int]):
    chunks = [
        chunk.decode("utf-32-le")
        for chunk in at_offsets(text.encode("utf-32-le"), [4 * offset for offset in offsets])
    ]
    assert "".join(chunks) == text
    assert grown(chunks) == grown([text]) == grown(list(text))


@given(texts)
def test_at_every_moment_it_is_a_path_that_only_gets_longer(text: str):
    whole, error = grown([text])
    path, before = PathParser(), 0
    polygons: tuple[Polygon, ...] = ()
    for i, character in enumerate(text[: None if error is None else error[1]]):
        path.append(character)
        assert before <= path.position <= i + 1
        before = path.position
        assert path.commands == whole[: len(path.commands)]
        assert parse_path(text[: path.position]) == path.commands
        polygons = check_grown(polygons, flatten(path.commands))
    check_grown(polygons, flatten(whole))


def check_grown(before: tuple[Polygon, ...], now: tuple[Polygon, ...]) -> tuple[Polygon, ...]:
    if before:
        *done, growing = before
        assert list(now[: len(done)]) == done
        assert now[len(done)][: len(growing)] == growing
    return now


@given(texts)
def test_before_a_fault_all_is_well(text: str):
    commands, error = grown([text])
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
