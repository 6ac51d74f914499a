"""Chunks of a chat on the fast path and on the slow path."""

from __future__ import annotations

import pytest

from sansio_moondream import Limits
from sansio_moondream.testing import each_byte, run
from tests.core.chats import DONE, START, STOP, chunk, openai, text
from tests.helpers import CHAT

NO_FAST_PATH = Limits(max_record_bytes=60_000)


ODD = [
    openai({"content": ""}),
    openai({"content": "x", "role": "assistant"}),
    openai({"content": "x", "role": 7}),
    openai({"content": "x", "reasoning": "y"}),
    openai({"content": "x", "reasoning_content": "y"}),
    openai(
        {
            "content": "x",
            "refusal": None,
            "tool_calls": None,
            "function_call": None,
            "reasoning": None,
        }
    ),
    openai({"content": "x", "tool_calls": [1]}),
    openai({"content": "x\ud83c"}),
    openai({"content": "\udf19x"}),
    openai({"content": "x"}, "length"),
    openai({"content": "x"}, ""),
    chunk({"content": "x"}, usage={"prompt_tokens": 1}),
    openai({"content": "x"}),
    openai({"content": "x"}, more={"deep": [[[[[]]]]]}),
    chunk({"content": "x"}, id="another"),
    chunk({"content": "x"}, id=None),
    chunk({"content": "x"}, id=5),
    chunk({"content": "x"}, created="today"),
    openai({"content": "x"}, type="error"),
    openai({"content": "x"}, error="boom"),
    openai({"content": "x"}, error=None),
    openai({"content": "x"}, completed=True),
    chunk({"content": 5}),
    chunk(None),
    chunk(None, choices=[{"delta": {"content": "x"}}]),
    chunk(None, choices=[{"index": None, "delta": {"content": "x"}}]),
    chunk(None, choices=[{"index": 1, "delta": {"content": "x"}}]),
    chunk(
        None,
        choices=[{"index": 0, "delta": {"content": "x"}}, {"index": 1, "delta": {"content": "y"}}],
    ),
    chunk(None, choices=[]),
    (
        b'data: {"choices": [{"delta": {"content": "x", "content": "y"}}], "choices": '
        b'[{"delta": {"content": "z"}}]}\n\n'
    ),
    b'data: {"choices": [{"delta": {"content": "\xff"}}]}\n\n',
    b'data: {"model": "\xff", "choices": [{"delta": {"content": "x"}}]}\n\n',
    b'data: {"model": "\\ud83c", "choices": [{"delta": {"content": "x"}}]}\n\n',
    b'data: {"created": 1e400, "choices": [{"delta": {"content": "x"}}]}\n\n',
    b'data: {"choices":\ndata: [{"delta": {"content": "x"}}]}\n\n',
    DONE,
]


class TestFastPath:
    """The fast path gives the same outcome as the slow path."""

    @pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd[6:90].decode("latin-1"))
    def test_an_odd_record_among_ordinary_ones(self, odd: bytes):
        for body in (text("A") * 3 + odd * 5 + text("B") * 3 + STOP + DONE, odd + text("A") * 2):
            expected = run(CHAT, [body], limits=NO_FAST_PATH)
            for chunks in (
                [body],
                [part + b"\n\n" for part in body.split(b"\n\n")[:-1]],
                each_byte(body),
            ):
                assert run(CHAT, chunks).key == expected.key

    def test_many_records_in_one_chunk(self):
        body = START + text(" moon") * 5000 + STOP + DONE
        outcome = run(CHAT, [body])
        assert len(outcome.events) == 5001
        assert outcome.snapshot.text == " moon" * 5000
