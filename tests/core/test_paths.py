"""Paths: every command in every spelling, and what is read of an unfinished path."""

from __future__ import annotations

import gc
import pickle
from functools import partial
from typing import Any

import pytest

from sansio_moondream import PathChunk
from sansio_moondream.paths import MAX_COMMANDS, Command, PathError, PathParser, parse_path
from sansio_moondream.testing import run
from tests.helpers import SEGMENT, TRACES


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

    def test_more_commands_than_an_outline_has(self):
        """The commands are counted while they are parsed: they cost no more than the maximum."""
        most = "M0 0" + "z" * (MAX_COMMANDS - 1)
        assert len(parse_path(most)) == MAX_COMMANDS
        for one_more, position in ((most + " z", len(most)), (most + "L1 1 ", len(most))):
            path = PathParser()
            for character in one_more[:-1]:
                path.append(character)
            for parse in (partial(path.append, one_more[-1]), partial(parse_path, one_more)):
                with pytest.raises(PathError, match="it has more than 10,000 commands") as caught:
                    parse()
                assert caught.value.position == position
            assert len(path.commands) == MAX_COMMANDS
            assert path.position == position

    def test_a_command_is_a_value(self):
        (command,) = parse_path("M1 2")
        with pytest.raises(AttributeError):
            command.letter = "L"  # type: ignore[misc]
        assert hash(command) == hash(Command("M", (1.0, 2.0)))
        assert not gc.is_tracked(command)  # ten thousand of them cost the collector nothing

    def test_a_long_number(self):
        assert parse_path("M" + "0" * 999 + "1 2") == [Command("M", (1.0, 2.0))]


class TestPartial:
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
