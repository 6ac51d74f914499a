"""`moondream-stream chat`: messages that are given, standard input, and a terminal."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest

from moondream_tools import FakeServer
from moondream_tools.cli import Exit
from sansio_moondream import EncodedImage
from tests.tools.command_line import SHIPPED, Ran


def messages(fake: FakeServer, at: int = -1) -> list[tuple[str, Any]]:
    request: Any = fake.requests[at]
    return [(message.role, message.content) for message in request.messages]


@pytest.fixture
def chat(run: Any, fake: FakeServer) -> Any:
    return lambda *arguments: run("chat", *arguments, "--endpoint", fake.url)


class TestMessages:
    def test_one(self, chat: Any, fake: FakeServer) -> None:
        fake.answer(text="A satellite.")
        ran = chat("What is a moon?")
        assert (ran.status, ran.out) == (Exit.OK, "A satellite.\n")
        assert messages(fake) == [("user", "What is a moon?")]

    def test_several_with_pictures_and_instructions(
        self, chat: Any, fake: FakeServer, image: str
    ) -> None:
        fake.answer(text="A pixel.")
        fake.answer(text="Black.")
        ran = chat(
            "What?", "--image", image, "--image", image, "Which colour?", "--system", "Brief"
        )
        assert ran.status == Exit.OK
        assert ran.out == "==> What? <==\nA pixel.\n==> Which colour? <==\nBlack.\n"
        system, (role, content), answer, question = messages(fake)
        assert system == ("system", "Brief")
        assert role == "user"
        assert [type(part) for part in content] == [EncodedImage, EncodedImage, str]
        assert (answer, question) == (("assistant", "A pixel."), ("user", "Which colour?"))

    def test_the_settings(self, chat: Any, fake: FakeServer) -> None:
        fake.answer(text="A moon.", reasoning="Round.")
        ran = chat("What?", "--reasoning", "--max-tokens", "7", "--no-stream", "--json")
        (line,) = map(json.loads, ran.out.splitlines())
        assert line["result"]["text"] == "A moon."
        request: Any = fake.requests[0]
        assert (request.reasoning, request.settings.max_tokens) == (True, 7)
        assert not fake.received[0].stream

    def test_the_first_failure_ends_it(self, chat: Any, fake: FakeServer) -> None:
        fake.answer(status=429)
        ran = chat("One", "Two")
        assert (ran.status, len(fake.received)) == (Exit.REFUSED, 1)

    def test_standard_input(
        self, chat: Any, fake: FakeServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for arguments in ((), ("-",)):
            fake.answer(text="Yes.")
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"Is it\nround?\n")))
            assert chat(*arguments).out == "Yes.\n"
            assert messages(fake) == [("user", "Is it\nround?")]

    def test_a_recording(self, run: Any) -> None:
        ran = run("chat", "What?", "--replay", SHIPPED / "chat.jsonl", "--speed", "max")
        assert ran.out.startswith("A moonlit harbour: a sailing boat")
        ran = run("chat", "What?", "--replay", SHIPPED / "query.jsonl")
        assert (ran.status, "asked '/v1/chat/completions'" in ran.err) == (Exit.USAGE, True)

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["One", " "], "a message should not be blank"),
            (["-", "-"], "give it once"),
            (["-", "--image", "-"], "give it once"),
            (["What?", "--image", "none.png"], "none.png: no such file or directory"),
            (["What?", "--max-objects", "1"], "unrecognized arguments: --max-objects"),
            (["caf\udce9"], "text that has no lone surrogates"),
        ],
    )
    def test_wrong(self, chat: Any, fake: FakeServer, arguments: list[str], words: str) -> None:
        ran = chat(*arguments)
        assert (ran.status, ran.out, len(fake.received)) == (Exit.USAGE, "", 0)
        assert words in ran.err

    def test_standard_input_that_is_no_text(
        self, chat: Any, fake: FakeServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stdin = io.TextIOWrapper(io.BytesIO(b"caf\xe9"), encoding="utf-8")
        monkeypatch.setattr(sys, "stdin", stdin)
        ran = chat()
        assert (ran.status, ran.err) == (
            Exit.USAGE,
            "moondream-stream: standard input is not text in utf-8\n",
        )


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


class TestTyped:
    @pytest.fixture
    def typed(self, chat: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
        """Return a function that types lines. An exception in place of a line is raised."""

        def talk(*lines: str | BaseException) -> Ran:
            left = iter([*lines, EOFError()])

            def read(prompt: str = "") -> str:
                line = next(left)
                if isinstance(line, BaseException):
                    raise line
                return line

            screen = Screen()
            monkeypatch.setenv("TERM", "dumb")
            monkeypatch.setattr("builtins.input", read)
            monkeypatch.setattr(sys, "stdin", Screen())
            monkeypatch.setattr(sys, "stdout", screen)
            ran: Ran = chat()
            ran.out = screen.getvalue()
            return ran

        return talk

    def test_a_conversation(self, typed: Any, fake: FakeServer, image: str) -> None:
        fake.answer(text="A pixel.")
        fake.answer(text="Black.")
        ran = typed(f"/image {image}", "What?", "", "/system Be brief", "Colour?")
        assert ran.status == Exit.OK
        assert "A pixel.\n" in ran.out and "Black.\n" in ran.out
        assert messages(fake)[0] == ("system", "Be brief")
        assert [role for role, _ in messages(fake)] == ["system", "user", "assistant", "user"]
        assert isinstance(messages(fake)[1][1], tuple)

    def test_a_failure_does_not_end_it(self, typed: Any, fake: FakeServer) -> None:
        fake.answer(status=500)
        fake.answer(text="Yes.")
        ran = typed("Once?", "Again?")
        assert (ran.status, "the server answered 500" in ran.err) == (Exit.OK, True)
        assert messages(fake) == [("user", "Again?")]

    def test_the_commands(self, typed: Any, fake: FakeServer) -> None:
        fake.answer(text="One.")
        fake.answer(text="Two.")
        ran = typed(
            KeyboardInterrupt(), "A?", "/forget", '"""B', 'C?"""', "/odd", "/image", "/help",
            "/bye", "never",
        )  # fmt: skip
        assert messages(fake) == [("user", "B\nC?")]
        assert ran.err.count("/help shows them") == 2
        assert "/forget        begin a new conversation" in ran.err
        assert "Ctrl+D leaves." in ran.out

    def test_an_interrupted_answer_stays_as_far_as_it_came(
        self, typed: Any, fake: FakeServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from moondream_tools._render import TextOutput

        show = TextOutput.event

        def interrupted(self: TextOutput, event: Any) -> None:
            show(self, event)
            if getattr(event, "text", "").strip() == "two":
                raise KeyboardInterrupt

        monkeypatch.setattr(TextOutput, "event", interrupted)
        fake.answer(text="One two three")
        fake.answer(text="three")
        ran = typed("Count", "Go on")
        assert "interrupted\n" in ran.err
        _, (role, content), _ = messages(fake)
        assert (role, content.strip()) == ("assistant", "One two")
        assert messages(fake)[-1] == ("user", "Go on")
