"""The fuzzers' harnesses, for a few examples each (`make fuzz` does more), on captured responses,
and on inputs that are hard to generate. And the reference itself.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from fuzz import harnesses, run
from fuzz.cases import Case, fine
from fuzz.reference import http11
from fuzz.reference.records import records_of
from fuzz.reference.response import expect
from fuzz.sockets import LIMIT, Exchange, check_socket
from fuzz.streams import PULLS, check_stream
from sansio_moondream import Headers, IdleTimeout, LimitExceeded, Limits, TextDelta, Unknown
from sansio_moondream.testing import EVENT_STREAM
from tests.helpers import REQUESTS, TRACES, Trace, delta, record

test_streams = harnesses.stream
test_sockets = harnesses.socket
test_requests = harnesses.request


@pytest.mark.parametrize("trace", TRACES, ids=lambda trace: trace.name)
def test_captured_responses(trace: Trace):
    head = trace.status_code, tuple(trace.headers)
    case = Case(trace.request, *head, trace.body, trace.ending, Limits())
    check_stream(case, trace.chunks, "events")
    check_socket(Exchange(b"".join(trace.raw), eof=True), trace.raw)


WORDS = b"".join(delta(word, at) for at, word in enumerate(("A", " moon", " over")))
FINAL = record({"chunk": ".", "completed": True, "answer": "A moon over.", "metrics": {}})
BOX = record({"type": "bbox", "bbox": {"x_min": 0.1, "y_min": 0.2, "x_max": 0.3, "y_max": 0.4}})
PATH = record({"type": "path_delta", "chunk": "M 0 0", "completed": False, "token_index": 1})
REFINED = record({"type": "final", "chunk": "", "completed": True, "path": "M0,0z", "bbox": None})
HALVES = [record({"chunk": text}) for text in ("a\ud83c", "\udf19b", "\ud83c")]
CHAT = b"".join(
    record({"id": "c1", "choices": [{"delta": part, "finish_reason": reason}]})
    for part, reason in [
        ({"role": "assistant", "content": ""}, None),
        ({"reasoning": "Look\ud83c"}, None),
        ({"content": " moon\ud83c"}, None),
        ({}, "stop"),
    ]
)
BILL = record({"id": "c2", "choices": [], "usage": {"prompt_tokens": 740}, "model": "m"})
DONE = b"data: [DONE]\n\n"
# Once the seeds of a fuzzer: what needs many steps, with the skill.
SEEDS: dict[str, tuple[str, bytes]] = {
    "cr": ("query", (WORDS + FINAL).replace(b"\n", b"\r")),
    "crlf": ("query", (WORDS + FINAL).replace(b"\n", b"\r\n")),
    "two marks": ("query", b"\xef\xbb\xbf" + WORDS + b"\xef\xbb\xbf" + FINAL),
    "no blank line": ("query", (WORDS + FINAL)[:-2]),
    "cut short": ("query", (WORDS + FINAL)[:-5]),
    "halves": ("caption", b"".join(HALVES) + record({"completed": True})),
    "long": ("query", record({"chunk": "moonlight " * 11}) * 6 + FINAL),
    "two data lines": ("query", WORDS + b'data: {"chunk":\ndata: "two"}\n: comment\n\n' + FINAL),
    "line end inside": ("query", WORDS + b'data: {"chunk":\n"a"}\n\n' + FINAL),
    "completed inside": ("query", WORDS + record({"chunk": "x", "completed": True}) + WORDS),
    "error inside": ("query", WORDS + record({"error": {"type": "overloaded_error"}}) + FINAL),
    "error event": ("query", WORDS + b"event: error\ndata: gone\n\n"),
    "deep": ("query", WORDS + b'data: {"more": ' + b"[" * 70 + b"]" * 70 + b"}\n\n"),
    "not UTF-8": ("query", WORDS + b': \xff\ndata: {"chunk": "\xff"}\n\n'),
    "stats": ("caption", WORDS + record({"stats": {"tokens": 5}}) + record({"completed": True})),
    "segment": ("segment", BOX + PATH * 3 + REFINED),
    "infinite": ("segment", BOX.replace(b"0.4", b"1e400") + PATH + REFINED),
    "unknown": ("segment", record({"type": "ping"}) + PATH + REFINED),
    "JSON": ("point", b'{"points": [{"x": 0.5, "y": 0.5}]}'),
    "JSON error": ("query", b'{"error": "queue full"}'),
    "JSON cut": ("query", b' {"answer": "yes", "metrics": {'),
    "chat": ("chat", CHAT + BILL + DONE),
    "chat without done": ("chat", CHAT + BILL),
    "chat cut in done": ("chat", CHAT + DONE[:9]),
    "chat without end": ("chat", CHAT[:-60] + DONE),
    "chat unknown": ("chat", record({"choices": [{"delta": {"refusal": "no"}}]}) + CHAT + DONE),
    "chat error": ("chat", CHAT + record({"error": {"message": "busy", "code": 500}}) + DONE),
    "fields": (
        "query",
        b"event: x\nid: 1\ndata:  1\ndata\ndata:\ndata : b\n\nevent: y\n\n" + FINAL,
    ),
    "no fields": ("query", b"data:\n\ndata\n\ndata: \n\ndata:\ndata:\n\n::\n\n" + FINAL),
}


@pytest.mark.parametrize("ending", [None, IdleTimeout("no byte")], ids=["eof", "timeout"])
@pytest.mark.parametrize("headers", [EVENT_STREAM, (("x-request-id", "1"),)], ids=["named", "bare"])
@pytest.mark.parametrize("name", SEEDS)
def test_seeds(name: str, headers: Any, ending: Exception | None):
    skill, body = SEEDS[name]
    for limits in (Limits(), Limits(max_text_bytes=11), Limits(max_record_bytes=60)):
        case = Case(REQUESTS[skill], 200, headers, body, ending, limits)
        check_stream(case, [body[at : at + 7] for at in range(0, len(body), 7)], *PULLS)


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("excess", [0, 1])
@pytest.mark.parametrize(
    ("before", "after", "limited"),
    [
        (OK + b"A: ", b"\r\n\r\n", b""),
        (b"HTTP/1.1 103 Hints\r\nA: ", b"\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n", b""),
        (CHUNKED + b"4;", b"\r\nmoon\r\n0\r\n\r\n", CHUNKED),
        (CHUNKED + b"4\r\nmoon\r\n0\r\nA: ", b"\r\n\r\n", CHUNKED + b"4\r\nmoon\r\n0\r\n"),
    ],
    ids=["head", "heads", "size line", "trailers"],
)
def test_lines_as_long_as_the_limit(before: bytes, after: bytes, limited: bytes, excess: int):
    end = after.index(b"\n") + 1 if limited == CHUNKED else len(after)
    size = LIMIT - len(before) + len(limited) - end + excess
    raw = before + b"x" * size + after
    assert (http11.expect(raw, True, LIMIT).end == "refused") is bool(excess)
    check_socket(Exchange(raw, eof=True), fine(raw))


@pytest.mark.parametrize("name", harnesses.HARNESSES)
def test_any_bytes_are_an_input_of_a_fuzzer(name: str, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(harnesses, "use_fuzzing_settings", lambda: None)
    for number, data in enumerate((b"", b"\xff" * 40, random.Random(name).randbytes(4096))):
        (tmp_path / f"{name}-{number}").write_bytes(data)
        assert run.replay(tmp_path / f"{name}-{number}", run.NAMES) == 0


# The reference is what all is compared with, so it is compared with the examples of the standards.


@pytest.mark.parametrize(
    ("stream", "records"),
    [
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", [b"YHOO\n+2\n10"]),
        (
            b": test\n\ndata: first\nid: 1\n\ndata:second\nid\n\ndata:  third\n\n",
            [b"first", b"second", b" third"],
        ),
        (b"data\n\ndata\ndata\n\ndata:", [b"", b"\n"]),
        (b"data:test\n\ndata: test\n\n", [b"test", b"test"]),
    ],
    ids=["one", "comment, id, spaces", "empty", "the same twice"],
)
def test_the_reference_reads_the_standards_examples(stream: bytes, records: list[bytes]):
    for ends in (b"\n", b"\r", b"\r\n"):
        read = records_of(stream.replace(b"\n", ends), 1000)
        assert [one.data for one in read.whole] == records


def test_the_reference_knows_when_records_are_due():
    records = records_of(b"data: a\r\n\r\ndata: b\n\n", 1000)
    assert [one.due for one in records.whole] == [10, 20]


def test_the_reference_has_limits():
    assert records_of(b"data: abc\n\n", 9).too_long is None
    assert records_of(b"data: abc\n\n", 8).too_long == 9
    assert records_of(b"data:a\ndata:b\n\n", 6).too_long is None
    assert records_of(b"data\n" * 6 + b"\n", 4).too_long == 30


def test_the_reference_joins_surrogates():
    body = b"".join(record(one) for one in ({"chunk": "\ud83c"}, {"chunk": "\udf19"}))
    body += record({"more": "\ud83c"})
    expected = expect("query", 200, Headers(EVENT_STREAM), body)
    assert expected.events == [TextDelta("\U0001f319"), Unknown({"more": "\ufffd"})]
    limits = Limits(max_text_bytes=3)
    assert expect("query", 200, Headers(EVENT_STREAM), body, None, limits).error is LimitExceeded


@pytest.mark.parametrize(
    ("raw", "eof", "outcome"),
    [
        # The example of RFC 9112, section 7.1, with an extension and a trailer field.
        (
            CHUNKED + b"4\r\nWiki\r\n7;a=b\r\npedia i\r\n0\r\nA: b\r\n\r\n",
            False,
            (b"Wikipedia i", "finished", True),
        ),
        (OK + b"Content-Length: 4\r\n\r\nmoonX", False, (b"moon", "finished", False)),
        (OK + b"Content-Length: 4\r\n\r\nmoo", True, (b"moo", "lost", False)),
        (OK + b"\r\nmoon", True, (b"moon", "finished", False)),
        (OK + b"\r\nmoon", False, (b"moon", "waiting", False)),
        (
            b"HTTP/1.1 103 Hints\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n",
            False,
            (b"", "finished", True),
        ),
        (
            OK + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n",
            False,
            (b"", "refused", False),
        ),
        (CHUNKED + b"2\r\nabX", False, (b"ab", "refused", False)),
        (OK[:-2], True, (b"", "lost", False)),
        (b"\x15\x03", False, (b"", "refused", False)),
    ],
    ids=[
        *("chunks", "length", "short", "until close", "not closed", "early head", "both"),
        *("no footer", "half a head", "TLS"),
    ],
)
def test_the_reference_reads_http(raw: bytes, eof: bool, outcome: tuple[bytes, str, bool]):
    response = http11.expect(raw, eof, 1000)
    assert (response.body, response.end, response.reusable) == outcome
    limit = raw.rindex(b"\r\n\r\n") + 4 if b"\r\n\r\n" in raw else len(raw)
    if response.status is not None and response.end != "refused":
        assert http11.expect(raw, eof, limit) == response
        assert http11.expect(raw, eof, 18).end == "refused"
