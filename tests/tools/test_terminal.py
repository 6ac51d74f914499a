"""What a terminal gets: styles by rich, wrapped text, short paths; and a terminal without rich."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from moondream_tools._render import TextOutput
from moondream_tools._terminal import DIM, Terminal
from moondream_tools.cli import Exit
from sansio_moondream import (
    BBox,
    Completed,
    DetectResult,
    Metadata,
    PathChunk,
    SegmentResult,
    TextDelta,
)
from tests.tools.command_line import SHIPPED, in_a_terminal, program

STYLE = re.compile("\x1b\\[[0-9;]*m")
PATH = "M0 0 " + "L0.123 0.456 " * 400


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True

    @property
    def rows(self) -> list[str]:
        """What is seen at the end: a return begins its row again, a backspace goes back."""
        rows: list[str] = []
        for line in STYLE.sub("", self.getvalue()).split("\n"):
            row: list[str] = []
            at = 0
            for character in line:
                if character == "\r":
                    at = 0
                elif character == "\b":
                    at -= 1
                else:
                    row[at : at + 1] = [character]
                    at += 1
            rows.append("".join(row).rstrip())
        return rows


@pytest.fixture(params=[40, 80, 200])
def columns(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    width: int = request.param
    monkeypatch.setenv("COLUMNS", str(width))
    return width


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Screen()


def pieces(text: str, size: int) -> Iterator[str]:
    return (text[at : at + size] for at in range(0, len(text), size))


class TestFlow:
    TEXT = "A moon hangs over the sea, which is calm, and nobody rows across it. " * 6 + "\n\nTwo."

    @pytest.mark.parametrize("size", [1, 3, 1000])
    def test_words_are_not_broken(self, screen: Screen, columns: int, size: int) -> None:
        out = Terminal(screen)
        for piece in pieces(self.TEXT, size):
            out.flow(piece)
        out.end_line()
        assert max(map(len, screen.rows)) < min(columns, 120)
        assert " ".join(" ".join(screen.rows).split()) == " ".join(self.TEXT.split())
        assert len(screen.rows) > len(self.TEXT) / min(columns, 120)
        assert screen.rows[-2:] == ["Two.", ""]
        assert screen.rows.count("") == 2

    def test_each_part_is_written_at_once(self, screen: Screen, columns: int) -> None:
        out = Terminal(screen)
        for size in range(1, len("A moon")):
            out.flow("A moon"[size - 1 : size])
            assert screen.getvalue() == "A moon"[:size]

    def test_a_word_longer_than_a_line_is_left_to_the_terminal(
        self, screen: Screen, columns: int
    ) -> None:
        out = Terminal(screen)
        for piece in pieces("x" * 500, 7):
            out.flow(piece)
        assert screen.getvalue() == "x" * 500

    def test_a_file_gets_the_text_as_it_is(self) -> None:
        file = io.StringIO()
        Terminal(file).flow(self.TEXT)
        assert file.getvalue() == self.TEXT


class TestPaths:
    def shown(self, screen: Screen, **options: Any) -> list[str]:
        output = TextOutput(Terminal(screen), Terminal(io.StringIO()), **options)
        for piece in pieces(PATH, 12):
            output.event(PathChunk(piece, 1))
        output.event(Completed(SegmentResult(PATH, BBox(0, 0, 1, 1))))
        return screen.rows

    def test_are_short(self, screen: Screen, columns: int) -> None:
        rows = self.shown(screen, brief=True)
        assert [row.split("  ")[0] for row in rows if not row.startswith(" ")] == [
            "coarse path",
            "box",
            "path",
            "",
        ]
        assert max(map(len, rows)) <= min(columns, 120)
        assert "(5,205 characters)" in " ".join(" ".join(rows).split())

    def test_are_whole_if_asked(self, screen: Screen) -> None:
        assert "".join(self.shown(screen)).count("L0.123 0.456") == 800

    def test_on_the_command_line(self, image: str) -> None:
        command = program("segment", image, "moon", "--replay", str(SHIPPED), "--speed", "max")
        for options, least, most in (([], 300, 20_000), (["--whole-path"], 5000, 100_000)):
            shown = in_a_terminal([*command, *options], {"TERM": "dumb"})
            assert least < len(shown) < most
            assert ("…" in shown) is (options == [])


def test_styles(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    out = Terminal(screen)
    out.labelled("box", "x")
    out.line("42 tokens", DIM)
    assert STYLE.search(screen.getvalue())
    assert screen.rows == ["box           x", "42 tokens", ""]
    for name, value in (("NO_COLOR", "1"), ("TERM", "dumb")):
        monkeypatch.setenv(name, value)
        plain = Screen()
        Terminal(plain).labelled("box", "x", style="red")
        assert plain.getvalue() == "box           x\n"


def test_two_columns_wrap(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    Terminal(screen).labelled("question", "What is it that we see here?")
    assert screen.rows == ["question      What is it that", " " * 14 + "we see here?", ""]


def test_nothing_is_markup(screen: Screen) -> None:
    out = Terminal(screen)
    out.labelled("[red]label[/]", ":moon: [bold]text[/bold] 42")
    out.line("[red]line[/]", DIM)
    assert screen.rows == ["[red]label[/] :moon: [bold]text[/bold] 42", "[red]line[/]", ""]


def test_nothing_found() -> None:
    out, notes = io.StringIO(), io.StringIO()
    output = TextOutput(Terminal(out), Terminal(notes))
    output.event(Completed(DetectResult((), Metadata("7"))))
    assert (out.getvalue(), notes.getvalue()) == ("", "No object was found.\nrequest 7\n")


def test_without_rich(
    run: Any, image: str, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "moondream_tools._console", None)
    monkeypatch.setattr(sys, "stdout", screen)
    ran = run("detect", image, "moon", "--replay", SHIPPED, "--speed", "max")
    assert ran.status == Exit.OK
    assert screen.getvalue().startswith("box 1         x ")
    assert "\x1b" not in screen.getvalue()
    assert ran.err.endswith(
        "moondream-stream: this terminal shows more with rich: "
        "pip install 'sansio-moondream[cli]'\n"
    )


def test_text_of_a_query_comes_as_it_arrives(screen: Screen) -> None:
    output = TextOutput(Terminal(screen), Terminal(io.StringIO()), brief=True)
    output.event(TextDelta("A mo"))
    assert screen.getvalue() == "A mo"
