"""Bodies made of chunks of the grammar: every byte of the fuzzer's input is a choice, so that a few
bytes reach odd places.

`Source` reads the choices; after the last of them every further one is 0, the plainest. `body`
makes a body."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

SHORT = 768
LONG = 96 * 1024  # about three windows of the real size


class Source:
    """The fuzzer's bytes, as choices."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def pick(self, options: Sequence[T]) -> T:
        return options[self.byte() % len(options)]

    def rest(self) -> bytes:
        rest = self._data[self._at :]
        self._at = len(self._data)
        return rest


TEXTS = (
    '" moon"',
    '"a"',
    '""',
    "null",
    '"\\ud83c"',  # halves of a character: alone, and in the wrong order
    '"\\udf19"',
    '"\\ud83c\\udf19"',
    '"x\\ud83c"',
    '"\\udf19y"',
    '"\\udf19\\ud83c"',
    '"\\ud83c\\ud83c"',
    '"\\ud83cé"',
    '"\\"}\\\\"',
    '"\\n\\r\\u0000\\ufeff"',
    '"月é😀"',
    '"\u2028\u0085"',
    '"{[{[{["',
    f'"{"moonlight " * 12}"',
    f'"{"月" * 20}"',
    '" L 0.03 0.31"',
    "5",
    "true",
    "[]",
    "{}",
    '["\\ud83c"]',
)
FLAGS = ("false", "true", "null", "0", "1", '"true"', "{}")
INDICES = (
    "0",
    "7",
    "null",
    "1.0",
    "-3",
    "1e3",
    "18446744073709551616",
    '"5"',
    "true",
    "1e400",
    "[]",
)
BOXES = (
    '{"x_min": 0.1, "y_min": 0.2, "x_max": 0.3, "y_max": 0.4}',
    "null",
    '{"x_min": 0, "y_min": -1, "x_max": 1e2, "y_max": 1, "more": 1}',
    '{"x_min": 1e400, "y_min": 0, "x_max": 1, "y_max": 1}',
    '{"x_min": 0.5}',
    '{"x_min": "0", "y_min": 0, "x_max": 1, "y_max": true}',
    "[0, 0, 1, 1]",
    '"box"',
    f'{{"x_min": 1{"0" * 320}, "y_min": 0, "x_max": 1, "y_max": 1}}',
)
LISTS = (
    '[{"x_min": 0.1, "y_min": 0.2, "x_max": 0.3, "y_max": 0.4}]',
    "[]",
    '[{"x": 0.5, "y": 0.25}, {"x": 1, "y": 0}]',
    "null",
    "{}",
    "[null]",
    '[{"x": 1e400, "y": 0}]',
    '[{"x": 0.5, "y": 0.25, "x_min": 0, "y_min": 0, "x_max": 1, "y_max": 1}]',
)
NOTES = (
    '"request_id": "42"',
    '"request_id": 42',
    '"request_id": true',
    '"request_id": "\\ud83c"',
    '"finish_reason": "length"',
    '"finish_reason": 5',
    '"metrics": {"input_tokens": 735, "output_tokens": 4.5, "ttft_ms": 12, "more": 1, "decode_time_ms": "x"}',
    '"metrics": null',
    '"stats": {"tokens": 12, "duration": 0.5, "tokens_per_sec": 1e400}',
    '"stats": {}',
    '"_stats": {"tokens": 5}',
    '"reasoning": {"text": "so \\udf19", "grounding": [{"start_idx": 0, "end_idx": 3, "points": [[0.5, 1]]}]}',
    '"reasoning": "because"',
    '"reasoning": {"text": "so", "grounding": [{"start_idx": 0.5}]}',
    '"reasoning": {"grounding": []}',
    '"org_id": null',
    '"more": {"\\ud83c": ["\\udf19", 1.5, {"a": []}]}',
    '"detail": "busy"',
    '"status": "ok"',
    '"parse_error": "no path"',
    '"parse_error": 5',
    '"type": "path_delta"',
    '"type": "bbox"',
    '"type": "final"',
    '"type": "ping"',
    '"type": null',
    '"type": ["bbox"]',
    '"type": "error"',
    '"error": null',
    '"answer": "whole"',
    '"caption": "whole \\ud83c"',
    '"answer": 5',
    '"path": "M 0 0"',
    '"path": []',
    '"bbox": null',
)
FINISH_REASONS = (*('"stop"',) * 8, '"length"', '""', "null", "5", '"error"', '"st\\ud83c"', "[]")
USAGES = (
    '{"prompt_tokens": 740, "completion_tokens": 3, "total_tokens": 743, "completion_tokens_details": {"reasoning_tokens": 0}}',
    '{"prompt_tokens": 4.5, "completion_tokens": "3"}',
    "null",
    "{}",
    "[]",
)
# Of a delta or a message in a chat, beside its text.
CHAT_NOTES = (
    '"role": "assistant"',
    '"role": 5',
    '"refusal": null',
    '"refusal": "no \\ud83c"',
    '"tool_calls": [{"index": 0, "function": {"name": "f"}}]',
    '"tool_calls": []',
    '"reasoning_details": {"grounding": [{"start_idx": 0, "end_idx": 3, "points": [[0.5, 1]]}]}',
    '"reasoning_details": {"grounding": [{"start_idx": 0.5}]}',
    '"reasoning_details": [{"type": "reasoning.text"}]',
    '"reasoning": {"text": "so \\udf19", "grounding": [{"start_idx": 0, "end_idx": 3}]}',
    '"reasoning": {"summary": 5}',
    '"reasoning": ""',
    '"more": null',
)
# Of a chunk, beside its choices.
CHUNK_NOTES = (
    '"id": "r"',
    '"id": "other"',
    '"id": ""',
    '"id": 7',
    '"id": "\\ud83c"',
    '"object": "chat.completion.chunk"',
    '"created": 1786000000',
    '"created": 1e400',
    '"model": "m\\ud83c"',
    '"usage": null',
    '"system_fingerprint": null',
    '"prompt_filter_results": [{}]',
)
ERRORS = (
    '{"error": {"message": "busy", "type": "overloaded_error", "code": 1, "param": null}}',
    '{"error": "text", "detail": "more"}',
    '{"detail": "Not Found"}',
    '{"detail": [{"loc": ["body", "question"], "msg": "field required"}]}',
    '{"detail": "beside a chunk", "chunk": "a"}',
    '{"type": "error", "message": "x"}',
    '{"error": {"type": "rate_limit_error", "message": "\\ud83c"}, "request_id": "e1"}',
    '{"error": {"type": "never heard of"}, "chunk": "a"}',
    '{"error": {"type": "invalid_request_error"}}',
    '{"error": false}',
    '{"error": {}}',
    '{"error": [], "completed": true}',
    '{"error": {"type": 5, "error": {"type": "api_error"}}}',
    '{"detail": {"msg": "x", "loc": 5}}',
    '{"error": {"msg": "x", "loc": {"a": 1}}}',
    '{"error": {"msg": "x", "loc": true}}',
)
ODD = (
    b"",
    b" \t",
    b"null",
    b"5",
    b'"text"',
    b"[]",
    b"[DONE]",
    b"{",
    b"}",
    b"{}",
    b'{"chunk": "a"',
    b'{"chunk": "a"}}',
    b'{"chunk": "a"} {"chunk": "b"}',
    b'{"chunk": "\xff"}',
    b'{"chunk": "\xed\xa0\xbc"}',
    b'{"chunk": "a", "\xff": 1}',
    b'{"chunk": NaN}',
    b'{"chunk": "a", "more": Infinity}',
    b'{"chunk": "tab\there"}',
    b'{"chunk": "a\\x"}',
    b'{"chunk": "\\ud83"}',
    b"{'chunk': 'a'}",
    b'{"chunk": "a",}',
    b'{"chunk":\n"a"}',  # a line end inside the JSON of a record is a line end
    b'{"chunk": "a"\n}',
    b'{\n"completed": true}',
    b'{"chunk": "a"\r}',
    b'{"chunk":\ndata: "joined"}',
    b'{"chunk":\r\ndata:"joined"\rdata:}',
    b'{"chunk": "a"}\ndata',
    b'{"chunk": "a"}\ndata: {"chunk": "b"}',
    b'\xef\xbb\xbf{"chunk": "a"}',
    b'{"chunk": "a"}\x00',
    b"\xff\xfe",
    b'{"ch\\u0075nk": "a", "\\u0063ompleted": true}',
    b"[" * 80,
    b'{"more": ' + b"[" * 70 + b"]" * 70 + b"}",
    b'{"more": ' * 12 + b"1" + b"}" * 12,
    b'{"more": "' + b"[" * 70 + b'"}',
    b'{"chunk": "a", "more": ' + b"9" * 30 + b"}",
    b'{"chunk": "a", "more": -0.0e-5}',
)
RAW = (
    b"\n",
    b"\r",
    b"\r\n",
    b"\n\n",
    b"\r\r",
    b"\n\r",
    b"\n\n\n\n",
    b":\n",
    b": comment\n\n",
    b": \xff\xfe\r\n",
    b":" + b"long comment " * 20 + b"\n",
    b"\xef\xbb\xbf",
    b"\xef\xbb",
    b"data",
    b"data\n",
    b"data:\n\n",
    b"data: ",
    b"data:  ",
    b"data : x\n",
    b" data: x\n\n",
    b"Data: x\n\n",
    b"event: error\n",
    b"event:error\r",
    b"event: error\n\n",
    b"event: error\n: without data\n\n",
    b": no end",
    b"data\n" * 40,
    b"event\n",
    b"event: message\n",
    b"event:  error\n",
    b"id: 7\n",
    b"id: \xff\n",
    b"retry: 100\r\n",
    b"more: \xff",
    b"{",
    b'"',
    b"}\n\n",
    b"\x00",
    b"<html><title>Bad gateway</title>",
)
LINE_ENDS = (
    b"\n\n",
    b"\r\n\r\n",
    b"\r\r",
    b"\n\r",
    b"\r\n\n",
    b"\n\r\n",
    b"\r\n\r",
    b"\n",
    b"\r",
    b"\n\n\n",
    b"",
    b"\r\n",
)
SPELLINGS = (
    b"data: %s",
    b"data:%s",
    b"data:  %s",
    b"event: message\ndata: %s",
    b"data: %s\r: a comment",
    b"id: 1\ndata: %s",
    b": comment\ndata: %s",
    b"data\ndata: %s",
    b"event: error\ndata: %s",
    b"data: %s\nevent",
    b"event: x\r\ndata: %s\r\nretry: 5",
    b"\xef\xbb\xbfdata: %s",
    b"data:\ndata: \ndata\ndata:%s\ndata: \ndata",
)


def delta(source: Source, skill: str) -> str:
    """An ordinary text message, spelled as one of the servers does."""
    text = source.pick((*TEXTS[:2], *TEXTS[4:19]))
    if skill == "chat":
        return source.pick(
            (
                f'{{"id": "r", "choices": [{{"index": 0, "delta": {{"content": {text}}}, "finish_reason": null}}]}}',
                f'{{"choices":[{{"delta":{{"content":{text}}}}}]}}',
                f'{{"choices": [{{"delta": {{"reasoning": {text}}}}}], "usage": null}}',
                f'{{"id": "r", "choices": [{{"delta": {{"reasoning_content": {text}, "content": null}}}}]}}',
                f'{{"choices": [{{"delta": {{"reasoning": {text}, "content": {text}}}}}]}}',
            )
        )
    if skill == "segment":
        return source.pick(
            (
                f'{{"type": "path_delta", "chunk": {text}, "completed": false, "token_index": 7}}',
                f'{{"type":"path_delta","chunk":{text}}}',
                f'{{"chunk": {text}}}',
            )
        )
    return source.pick(
        (
            f'{{"chunk": {text}, "completed": false, "token_index": 5}}',
            f'{{"chunk":{text}}}',
            f'{{"text": {text}}}',
            f'{{"chunk": {text}, "completed": false, "request_id": "r"}}',
        )
    )


def _chunk(source: Source, part: str = "delta") -> str:
    """A message of a chat; with one of its two ends, mostly."""
    choice = source.byte()
    inside = [f'"content": {source.pick(TEXTS)}'] if choice & 1 else []
    if choice & 2:
        inside.append(f'"{source.pick(("reasoning", "reasoning_content"))}": {source.pick(TEXTS)}')
    inside += [source.pick(CHAT_NOTES) for _ in range(choice >> 2 & 1)]
    about = [f'"{part}": {{{", ".join(inside)}}}']
    if choice & 8:
        about.append(f'"index": {source.pick(("0", "1", "null", "0.0", "false"))}')
    if not choice & 16:
        about.append(f'"finish_reason": {source.pick(FINISH_REASONS)}')
    fields = [f'"choices": [{{{", ".join(about)}}}]']
    if choice & 32:
        fields[0] = source.pick(
            (
                '"choices": []',
                '"choices": null',
                '"choices": {}',
                '"choices": [null]',
                fields[0].replace("]", ", {}]"),
            )
        )
    if choice & 64:
        fields.append(f'"usage": {source.pick(USAGES)}')
    fields += [source.pick((*CHUNK_NOTES, *NOTES)) for _ in range(choice >> 7)]
    return f"{{{', '.join(fields)}}}"


def _end_of_chat(source: Source) -> bytes:
    """What may come behind the finish reason."""
    record = b'data: {"choices": [], "usage": %s}\n\n' % source.pick(USAGES).encode()
    return source.pick(
        (
            b"data: [DONE]\n\n",
            record,
            record + b"data: [DONE]\n\n",
            b"data: [DONE]",
            b"data:[DONE] \r",
            b"data: [DON",
            b"",
            b"d",
        )
    )


def final(source: Source, skill: str, part: str = "delta") -> str:
    """An end-of-stream message."""
    if skill == "chat":
        return _chunk(source, part)
    fields = ['"completed": true']
    what = {
        "query": "answer",
        "caption": "caption",
        "segment": "path",
        "detect": "objects",
        "point": "points",
    }[skill]
    choice = source.byte()
    if skill in ("detect", "point"):
        fields.append(f'"{what}": {source.pick(LISTS)}')
    elif choice & 1:
        fields.append(f'"{what}": {source.pick(TEXTS)}')
    if choice & 2:
        fields.insert(0, f'"chunk": {source.pick(TEXTS)}')
    if choice & 4:
        fields.append('"type": "final"')
    if choice & 8:
        fields.append(f'"bbox": {source.pick(BOXES)}')
    fields += [source.pick(NOTES) for _ in range(choice >> 4 & 3)]
    return f"{{{', '.join(fields)}}}"


def message(source: Source, skill: str) -> str:
    """A message of any fields; some twice."""
    if skill == "chat" and source.byte() % 4:
        return _chunk(source)
    fields: list[str] = []
    for _ in range(1 + source.byte() % 5):
        kind = source.byte() % 8
        fields.append(
            f'"chunk": {source.pick(TEXTS)}'
            if kind < 2
            else f'"text": {source.pick(TEXTS)}'
            if kind == 2
            else f'"completed": {source.pick(FLAGS)}'
            if kind == 3
            else f'"token_index": {source.pick(INDICES)}'
            if kind == 4
            else f'"bbox": {source.pick(BOXES)}'
            if kind == 5
            else source.pick(NOTES)
            if kind == 6
            else f'"{"objects" if skill == "detect" else "points"}": {source.pick(LISTS)}'
        )
    return f"{{{', '.join(fields)}}}"


def body(source: Source, skill: str) -> bytes:
    """A body of many records: most of them ordinary, some odd; with an end, or cut short, or
    neither.
    """
    made = bytearray(b"\xef\xbb\xbf" if source.byte() % 8 == 7 else b"")
    cut = source.byte()
    while source and len(made) < (LONG if cut % 32 == 31 else SHORT):
        made += _chunk(source, skill)
    if cut % 4 == 1:
        made += b"data: %s" % final(source, skill).encode() + source.pick(
            (b"\n\n", b"", b"\n", b"\r")
        )
        if skill == "chat":
            made += _end_of_chat(source)
    if cut >= 192:
        del made[len(made) - min(cut - 192, len(made)) :]
    return bytes(made)


def _chunk(source: Source, skill: str) -> bytes:
    kind = source.byte() % 32
    if kind < 4 or kind >= 16:  # as servers write them, which is what the fast lane is for
        return b"data: %s\n\n" % delta(source, skill).encode()
    if kind == 4:
        return b"".join(
            b"data: %s\n\n" % delta(source, skill).encode() for _ in range(source.byte() % 8)
        )
    if kind == 5:
        return (
            b"data: %s\n\n"
            % delta(source, skill).encode()
            * (2, 3, 4, 5, 6, 8, 10, 400 if source.byte() > 240 else 12)[source.byte() % 8]
        )
    if kind == 6:
        return b"data: %s\n\n" % message(source, skill).encode()
    if kind == 7:
        return b"data: %s\n\n" % final(source, skill).encode()
    if kind == 8:
        return b"data: %s\n\n" % source.pick(ODD)
    if kind == 9:
        return source.pick(RAW)
    if kind == 10:
        return b"data: %s\n\n" % source.pick(ERRORS).encode()
    if kind == 11 and skill == "chat":
        return _end_of_chat(source)
    if kind == 11:
        return b'data: {"type": "bbox", "bbox": %s}\n\n' % source.pick(BOXES).encode()
    if kind == 12:
        return b"data: " + b"x" * source.byte() + source.pick(LINE_ENDS)
    inside = (
        delta(source, skill).encode()
        if kind == 13
        else final(source, skill).encode()
        if kind == 14
        else source.pick(
            (message(source, skill).encode(), source.pick(ODD), source.pick(ERRORS).encode())
        )
    )
    lines = source.byte()
    if lines % 4 == 2:
        inside = inside.replace(b" ", b"\ndata: ") + b"\ndata" * (source.byte() % 64)
    if lines % 4 == 3:
        at = source.byte() % (len(inside) + 1)
        inside = (
            inside[:at]
            + source.pick((b"\n", b"\r", b"\r\n"))
            + source.pick((b"data: ", b"data:", b""))
            + inside[at:]
        )
    return (source.pick(SPELLINGS) % inside) + source.pick(LINE_ENDS)


def json_body(source: Source, skill: str) -> bytes:
    """A body that is one JSON value, more or less."""
    around = source.pick(
        (b"%s", b"\xef\xbb\xbf%s", b" \n%s\n", b"%s}", b"%s\x00", b"\n" * 20 + b"%s")
    )
    cut = source.byte()
    kind = source.byte() % 6
    made = around % (
        final(source, skill, "message").encode()
        if kind < 3
        else message(source, skill).encode()
        if kind == 3
        else source.pick(ERRORS).encode()
        if kind == 4
        else source.pick(ODD)
    )
    return made[: len(made) - min(cut - 160, len(made))] if cut > 160 else made


# --- HTTP/1.1

# Of each: what is right, and what is not or is odd.
Choices = tuple[tuple[bytes, ...], tuple[bytes, ...]]
EARLY: Choices = (
    (
        b"",
        b"",
        b"",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n",
    ),
    (b"HTTP/1.1 101 Switch\r\n\r\n", b"\r\n", b"HTTP/1.1 100 \r\n\r\r\n", b"HT"),
)
STATUS_LINES: Choices = (
    (
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200\n",
        b"HTTP/1.0 200 OK\r\n",
        b"HTTP/1.1 404 No\r\n",
        b"HTTP/1.1 204 None\r\n",
        b"HTTP/1.1 304 Same\r\n",
    ),
    (
        b"HTTP/2 200 OK\r\n",
        b"HTTP/1.1 99 OK\r\n",
        b"HTTP/1.1 099 OK\r\n",
        b"HTTP/1.1 200OK\r\n",
        b"HTTP/1.1  200 OK\r\n",
    ),
)
HEADER_LINES: Choices = (
    (
        *(
            b"Content-Type: text/event-stream\r\n",
            b"Content-Type: application/json\n",
            b"A: b\r\n",
            b"A:\t\xff \r\n",
        ),
        *(b"A: b\r\n folded\r\n", b"Connection: a, close\r\n", b"Long: " + b"x" * 40 + b"\r\n"),
    ),
    (
        b" folded\r\n",
        b"A : b\r\n",
        b"A b\r\n",
        b"A: b\rc\r\n",
        b"A: \x00\r\n",
        b"Content-Encoding: gzip\r\n",
    ),
)
LENGTH_LINES: Choices = (
    (
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Length: %d\r\n",
        b"",
        b"transfer-encoding:CHUNKED \r\n",
        b"Content-Length: %d, %d\r\n",
    ),
    (
        *(
            b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n",
            b"Content-Length: %d\r\nContent-Length: 7\r\n",
        ),
        *(
            b"Transfer-Encoding: gzip, chunked\r\n",
            b"Content-Length: -%d\r\n",
            b"Content-Length: 1%d\r\n",
        ),
    ),
)
SIZE_LINES: Choices = (
    (b"%x\r\n", b"%X\r\n", b"0%x;a=b\r\n", b"%x \t\r\n", b"%x" + b";long" * 8 + b"\r\n"),
    (b"%x\n", b"-%x\r\n", b"%x ;a\r\n", b"1%x\r\n", b"\r\n"),
)
FOOTERS: Choices = ((b"\r\n",), (b"\n", b"", b"\rX", b"XX"))
LAST_CHUNKS: Choices = (
    (b"0\r\n\r\n", b"0\r\nA: b\r\n\r\n", b"00;x\r\nC: d\n\n", b"0\r\n\n"),
    (b"", b"0\r\n", b"0\r\nA b\r\n\r\n", b"\r\n", b"0\r\n" + b"A: b\r\n" * 9),
)
SURPLUS: Choices = ((b"",), (b"\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"x" * 100))
RECORDS = (
    *(
        b'data: {"chunk": "a"}\n\n',
        b'data: {"chunk": "", "completed": true}\n\n',
        b'{"answer": "moon"}',
        b"moon",
        b": comment\r\n",
        b"\r\n",
    ),
    *(b"x" * 60, b'data: {"error": "busy"}\n\n', b"0\r\n\r\n"),
)


def _mostly(source: Source, choices: Choices) -> bytes:
    right, odd = choices
    choice = source.byte()
    return right[choice % len(right)] if choice < 240 else odd[choice % len(odd)]


def response(source: Source) -> bytes:
    """The bytes of a response, framing and all, and now and then of one that is none."""
    out = b"".join(_mostly(source, EARLY) for _ in range(1 + source.byte() % 2))
    out += _mostly(source, STATUS_LINES)
    out += b"".join(_mostly(source, HEADER_LINES) for _ in range(source.byte() % 4))
    chunks = [source.pick(RECORDS) for _ in range(source.byte() % 6)]
    size = sum(map(len, chunks))
    line = _mostly(source, LENGTH_LINES)
    out += line.replace(b"%d", b"%d" % size) + source.pick((b"\r\n", b"\r\n", b"\r\n", b"\n"))
    if b"chunked" in line.lower():
        chunks = [
            _mostly(source, SIZE_LINES)
            .replace(b"%x", b"%x" % len(chunk))
            .replace(b"%X", b"%X" % len(chunk))
            + chunk
            for chunk in chunks
        ]
        chunks = [chunk + _mostly(source, FOOTERS) for chunk in chunks] + [
            _mostly(source, LAST_CHUNKS)
        ]
    out += b"".join(chunks) + _mostly(source, SURPLUS)
    return out[: len(out) - source.byte()] if source.byte() % 8 == 7 else out
