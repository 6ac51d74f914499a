"""Strategies that change valid bytes: the grammar comes from `sansio_moondream.testing`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence

from hypothesis import strategies as st

from sansio_moondream.testing import record_ends

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[-+.\w]+|\r\n|\s|.', re.DOTALL)
_TEXT = re.compile(rb'("(?:chunk|text|content|reasoning|reasoning_content)": ?)"(?:[^"\\]|\\.)*"')

# Texts that break and mend characters, and look like other things.
_TEXTS = st.sampled_from(
    [
        *("a", " moon", "\ud83c", "\udf19", "x\ud83c", "\udf19y", "\ud83c\udf19", "\udf19\ud83c"),
        *(
            "\ud83c\ud83c",
            "\ud83cé",
            "月" * 9,
            "{[{[{[",
            '"}\\',
            "\n\r\x00\ufeff",
            "\u2028\x85",
            "",
        ),
    ]
)
# Every name that means something in a message of some skill.
_NAMES = st.sampled_from(
    [
        *("chunk", "text", "completed", "token_index", "type", "bbox", "path", "parse_error"),
        *("answer", "caption", "objects", "points", "request_id", "finish_reason", "metrics"),
        *("stats", "_stats", "reasoning", "error", "detail", "status", "code", "message", "more"),
        *("choices", "delta", "content", "index", "id", "usage", "role", "refusal", "tool_calls"),
        *("reasoning_content", "reasoning_details", "x_min", "y_min", "x", "y", "tokens"),
        *("tool_calls", "refusal", "function_call", "logprobs", "stop_reason", "model", "note"),
        *("output_tokens", "ttft_ms", "start_idx", "end_idx", "grounding", "msg", "loc", "param"),
    ]
)
_TYPES = ["bbox", "path_delta", "final", "ping", "error", "overloaded_error", "rate_limit_error"]
_BOX = '{"x_min": 0.1, "y_min": -2, "x_max": 3e1, "y_max": 1, "more": 1}'
_GROUNDING = '[{"start_idx": 0, "end_idx": 3, "points": [[0.5, 1]]}]'
_NUMBERS = st.sampled_from([b"0", b"-3", b"1.0", b"0.5", b"1e3", b"1e400", b"01", b"9" * 30])
# JSON of every type, at the borders of what the fields accept. Some of it is not JSON.
_VALUES = st.sampled_from(
    [
        *("null", "true", "false", "0", "1", "-3", "1.0", "0.5", "1e3", "1e400", "-0.0e-5"),
        *("18446744073709551616", "9" * 30, f"1{'0' * 320}", "NaN", "Infinity", "01", "'a'"),
        *('""', '"5"', '"stop"', '"error"', '"tab\there"', '"\\x"', '"\\ud83"', '"unclosed'),
        *("[]", "{}", "[null]", "[{}]", '["\\ud83c"]', "[[]]", "[1, 2]", "[[0.5, 1, 2]]"),
        *('{"\\ud83c": ["\\udf19", 1.5, {"a": []}]}', '{"a": ' * 9 + "1" + "}" * 9, "[" * 80),
        *(_BOX, f"[{_BOX}]", _BOX.replace("-2", "1e400"), f"[{_BOX.replace('3e1', '1e400')}]"),
        *('[{"x": 0.5, "y": 1}]', _GROUNDING, '{"text": "so \\udf19"}'),
        *(f'{{"text": "so", "grounding": {_GROUNDING}}}', f'{{"grounding": {_GROUNDING}}}'),
        *(json.dumps(word) for word in _TYPES),
        *(f'{{"type": "{word}", "message": "\\ud83c", "code": 503}}' for word in _TYPES),
        *('{"delta": {"content": "a"}}', '[{"delta": {}, "finish_reason": "stop"}]'),
        *('{"content": "a moon", "role": "assistant"}', '{"role": "assistant", "content": ""}'),
        *('[{"type": "text", "text": "a"}, {"type": "text", "text": "\\ud83c"}]', '"429"', "502"),
        *('{"message": "no", "code": "504", "type": null}', "600", "[[[], {}]]", '{"code": 399}'),
    ]
).map(str.encode) | _TEXTS.map(lambda text: json.dumps(text).encode())
_LINE_ENDS = st.sampled_from(
    [b"", b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b"\n\r", b"\n\r\n", b"\r\n\r", b"\n\n\n"]
)
# Lines, of which most are odd.
_LINES = st.sampled_from(
    [
        *(b":\n", b": ping\n\n", b": \xff\xfe\r\n", b": no end", b"\xef\xbb\xbf", b"\xef\xbb"),
        *(
            b"data",
            b"data\n",
            b"data:\n\n",
            b"data: ",
            b"data:  \n\n",
            b"data : x\n",
            b" data: x\n",
        ),
        *(b"Data: x\n\n", b"event: error\n", b"event:error\r", b"event: error\n\n", b"event\n"),
        *(
            b"event:  error\n",
            b"event: x\n",
            b"id: \xff\n",
            b"retry: 1\r\n",
            b"more",
            b"\x00",
            b'{"error": "x"}\n',
        ),
        *(b"data\n" * 40, b"<html><title>Bad gateway</title>", b"data: [DONE]", b"data:[DONE] \r"),
    ]
)
# The data of records that end an answer, go on with it in another way, or are odd.
_RECORDS = st.sampled_from(
    [
        *(b'{"completed": true}', b'{"chunk": "a", "completed": true}', b"[DONE]", b"{}", b"null"),
        *(b'{"choices": [{"delta": {}, "finish_reason": "stop"}]}', b"[1]", b"\xff", b"[D"),
        *(b'{"choices": [], "usage": {"total_tokens": 4.5}}', b'{"detail": "Not Found"}', b""),
        *(b'{"choices": [{"delta": {"reasoning": "", "reasoning_content": "so"}}]}',),
        *(b'{"error": "busy", "detail": "more"}', b'{"text": "a"}', b'{"chunk": "a", "new": 1}'),
        *(b'{"chunk": "a", "request_id": "s"}', b'{"id": "s", "choices": [{"delta": {}}]}'),
        *(b'{"chunk":\ndata: "joined"}', b'{"chunk":\n"a"}', b'{"chunk": "\xed\xa0\xbc"}'),
        *(b'{"chunk": "a"} {"chunk": "b"}', b'\xef\xbb\xbf{"chunk": "a"}', b'{"chunk": "\\ud83c"}'),
        *(b'{"ch\\u0075nk": "a", "\\u0063ompleted": true}', b'{"message": "no credits"}'),
        *(b'{"completed": true, "answer": "a moon"}', b'{"completed": true, "caption": "a"}'),
        *(b'{"completed": false, "delta": "a"}', b'{"choices": null, "error_message": "no"}'),
        *(
            b'{"chunk": "a", "error": ""}',
            b'{"stats": {}, "note": "x"}',
            b'{"error": {"code": 502}}',
        ),
        *(b'{"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]}',),
        *(b'{"choices": [{"text": "a", "delta": null}, {"index": 1, "text": "b"}]}',),
        *(b'{"choices": [], "usage": {}}', b'{"choices": [{"delta": {}, "note": "x"}]}'),
    ]
)
_STARTS = st.sampled_from(
    [b"\xef\xbb\xbf", b"\xef\xbb", b"\xef\xbb\xbf \n", b" \t", b"\n" * 20, b"{", b'{"detail": "x"}']
)
_counts = st.integers(1, 12)


def insert(data: bytes, at: int, new: bytes) -> bytes:
    """Insert bytes at an offset."""
    return data[:at] + new + data[at:]


def _pick(draw: st.DrawFn, offsets: Sequence[int]) -> int:
    return draw(st.sampled_from([*offsets] or [0]))


def _after(pattern: bytes, data: bytes) -> list[int]:
    return [found.end() for found in re.finditer(pattern, data)]


def _new_texts(draw: st.DrawFn, data: bytes) -> bytes:
    return _TEXT.sub(lambda found: found[1] + json.dumps(draw(_TEXTS)).encode(), data)


def _new_value(draw: st.DrawFn, data: bytes) -> bytes:
    olds = [*re.finditer(rb'(?<=:) ?("(?:[^"\\]|\\.)*"|[-+.\w]+|[\[{][\]}])', data)]
    if not olds:
        return data
    old = draw(st.sampled_from(olds))
    values = _NUMBERS | _VALUES if old[1][:1].isdigit() else _VALUES
    return data[: old.start()] + draw(values) + data[old.end() :]


def _new_field(draw: st.DrawFn, data: bytes) -> bytes:
    field = b'"%s": %s, ' % (draw(_NAMES).encode(), draw(_VALUES))
    return insert(data, _pick(draw, _after(rb"\{(?=.)", data)), field)


def _new_line(draw: st.DrawFn, data: bytes) -> bytes:
    return insert(data, _pick(draw, [0, *_after(rb"\r\n|\n|\r", data)]), draw(_LINES))


def _new_record(draw: st.DrawFn, data: bytes) -> bytes:
    record = b"data: %s\n\n" % draw(_RECORDS)
    return insert(data, _pick(draw, [0, *record_ends(data)]), record)


def _new_line_end(draw: st.DrawFn, data: bytes) -> bytes:
    ends = [*re.finditer(rb"(?:\r\n|\n|\r)+", data)] or [*re.finditer(rb"\Z", data)]
    old = draw(st.sampled_from(ends))
    return data[: old.start()] + draw(_LINE_ENDS) + data[old.end() :]


def _repeated_record(draw: st.DrawFn, data: bytes) -> bytes:
    ends = [0, *record_ends(data)]
    at = draw(st.integers(0, len(ends) - 1))
    record = data[ends[at - 1] : ends[at]] if at else b""
    return insert(data, ends[at], record * draw(_counts))


def _lost_record(draw: st.DrawFn, data: bytes) -> bytes:
    ends = [0, *record_ends(data), len(data)]
    at = draw(st.integers(1, len(ends) - 1))
    return data[: ends[at - 1]] + data[ends[at] :]


def _split_line(draw: st.DrawFn, data: bytes) -> bytes:
    """Split data lines where JSON allows it, and where it does not."""
    at = _pick(draw, _after(rb"[,:{] ?", data))
    line_end = draw(st.sampled_from([b"\n", b"\r", b"\r\n"]))
    return insert(data, at, line_end + draw(st.sampled_from([b"data: ", b"data:", b""])))


def _changed_tokens(draw: st.DrawFn, data: bytes) -> bytes:
    tokens = _TOKEN.findall(data)
    at = draw(st.integers(0, max(0, len(tokens) - 1)))
    size = draw(st.integers(0, 4))
    new = draw(_VALUES | st.binary(max_size=3) | st.sampled_from(tokens or [b""]))
    tokens[at : at + size] = [new]
    return b"".join(tokens)


def _new_start(draw: st.DrawFn, data: bytes) -> bytes:
    return draw(_STARTS) + data


def _shorter(draw: st.DrawFn, data: bytes) -> bytes:
    return data[: len(data) - draw(_counts)]


def _longer(draw: st.DrawFn, data: bytes) -> bytes:
    """Make a text longer than the fast path holds."""
    texts = _after(_TEXT.pattern[:-1], data)
    return insert(data, _pick(draw, texts), b"x" * 66_000) if texts else data


Mutation = Callable[[st.DrawFn, bytes], bytes]
_OFTEN: list[Mutation] = [
    *(_new_texts, _new_value, _new_field, _new_line, _repeated_record, _new_line_end),
    *(_lost_record, _split_line, _changed_tokens, _new_texts, _new_record, _new_record),
    *(_shorter, _new_start),
]
_any_mutation = st.sampled_from([*_OFTEN * 4, _longer])
_mutations = st.lists(_any_mutation, max_size=6)


def mutated(draw: st.DrawFn, data: bytes) -> bytes:
    """Change a body in up to six ways. Shrinks to the body itself."""
    for mutate in draw(_mutations):
        data = mutate(draw, data)
    return data
