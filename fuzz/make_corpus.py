"""Make fuzz/corpus, the seeds of all harnesses, from tests/data/traces and from cases that are
worth having at once.

Run it after a change to how `harness.read_case` and its siblings read their bytes, or to the
grammar's tables."""

from __future__ import annotations

import base64
import json
import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import h11

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path[0] = str(HERE.parent)

from fuzz.harness import CIRCUMSTANCES, SKILLS, STATUSES  # noqa: E402

RAW = 1
EVENTS, UNNAMED, JSON = 0, 13, 15
GZIP, DEFLATE, GZIP_FLUSHED, GZIP_TWICE = 11, 10, 13, 31
EOF, LOST = 0, 1
SMALLEST_WINDOW, SMALL_WINDOW, REAL_WINDOW = 0, 1, 3


def stream_seed(
    body: bytes,
    skill: str = "query",
    *,
    mode: int = RAW,
    kind: int = EVENTS,
    status: int = 200,
    coding: int = 0,
    ending: int = EOF,
    window: int = SMALL_WINDOW,
    limits: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0),
    fragmentation: tuple[int, int, int] = (3, 1, 2),
    pulling: int = 3,
) -> bytes:
    """The bytes that `harness.read_case` reads as this."""
    status_choice = (
        0
        if status == 200
        else next(byte for byte in range(240, 256) if STATUSES[byte % len(STATUSES)] == status)
    )
    head = bytes(
        [
            mode,
            SKILLS.index(skill),
            kind,
            status_choice,
            coding,
            ending,
            0,
            window,
            *limits,
            *fragmentation,
            pulling,
        ]
    )
    assert len(head) == CIRCUMSTANCES
    return head + body


def records_seed(
    body: bytes, *, limit: tuple[int, int] = (0, 0), fragmentation: tuple[int, int, int] = (3, 1, 2)
) -> bytes:
    """The bytes that `harness.read_records_case` reads as this."""
    return bytes([RAW, *limit, *fragmentation]) + body


def socket_seed(
    raw: bytes,
    *,
    limit: tuple[int, int] = (0, 0),
    eof: int = 0,
    fragmentation: tuple[int, int, int] = (3, 1, 2),
) -> bytes:
    """The bytes that `harness.read_socket_case` reads as this."""
    return bytes([RAW, *limit, eof, *fragmentation]) + raw


def socket_traces() -> Iterator[tuple[str, bytes]]:
    """Name and socket bytes of each captured response."""
    for path in sorted((HERE.parent / "tests" / "data" / "traces").glob("*.json")):
        trace = json.loads(path.read_text("utf-8"))
        yield path.stem, b"".join(map(base64.b64decode, trace["response_chunks_b64"]))


def traces() -> Iterator[tuple[str, int, str, bytes]]:
    """Name, status, content type and body of each captured response, without the HTTP framing."""
    for path in sorted((HERE.parent / "tests" / "data" / "traces").glob("*.json")):
        trace = json.loads(path.read_text("utf-8"))
        connection = h11.Connection(h11.CLIENT)
        connection.send(h11.Request(method="POST", target="/", headers=[("Host", "localhost")]))
        connection.send(h11.EndOfMessage())
        connection.receive_data(b"".join(map(base64.b64decode, trace["response_chunks_b64"])))
        body, status, content_type = b"", 0, ""
        while (
            not isinstance(event := connection.next_event(), h11.EndOfMessage)
            and event is not h11.NEED_DATA
        ):
            if isinstance(event, h11.Response):
                status, content_type = (
                    event.status_code,
                    dict(event.headers)[b"content-type"].decode(),
                )
            elif isinstance(event, h11.Data):
                body += event.data
        yield path.stem, status, content_type, body


DELTAS = b"".join(
    b'data: {"chunk": "%s", "completed": false, "token_index": %d}\n\n' % (word, at)
    for at, word in enumerate((b"A", b" moon", b" over"))
)
FINAL = b'data: {"chunk": ".", "completed": true, "request_id": "42", "finish_reason": "stop", "answer": "A moon over.", "metrics": {}}\n\n'
BOX = (
    b'data: {"type": "bbox", "bbox": {"x_min": 0.1, "y_min": 0.2, "x_max": 0.3, "y_max": 0.4}}\n\n'
)
PATH = b'data: {"type": "path_delta", "chunk": "M 0 0", "completed": false, "token_index": 1}\n\n'
OUTLINE = (
    b'data: {"type": "final", "chunk": "", "completed": true, "path": "M0,0z", "bbox": null}\n\n'
)
CHAT = (
    b'data: {"id": "c1", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": null}]}\n\n'
    b'data: {"id": "c1", "choices": [{"delta": {"reasoning": "Look\\ud83c"}}]}\n\n'
    b'data: {"id": "c1", "choices": [{"index": 0, "delta": {"content": "A"}, "finish_reason": null}]}\n\n'
    b'data: {"id": "c1", "choices": [{"index": 0, "delta": {"content": " moon\\ud83c"}, "finish_reason": null}]}\n\n'
)
STOP = b'data: {"id": "c1", "choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n'
BILL = b'data: {"id": "c2", "choices": [], "usage": {"prompt_tokens": 740}, "model": "m"}\n\n'
DONE = b"data: [DONE]\n\n"
HALVES = b'data: {"chunk": "a\\ud83c"}\n\ndata: {"chunk": "\\udf19b"}\n\ndata: {"chunk": "\\ud83c"}\n\ndata: {"completed": true}\n\n'


def by_hand() -> Iterator[tuple[str, bytes]]:
    """Cases of the stream harness."""
    whole = DELTAS + FINAL
    yield "cr", stream_seed(whole.replace(b"\n", b"\r"))
    yield "crlf", stream_seed(whole.replace(b"\n", b"\r\n"))
    yield "bom", stream_seed(b"\xef\xbb\xbf" + whole + b"\xef\xbb\xbf")
    yield "bom-again", stream_seed(DELTAS + b"\xef\xbb\xbf" + FINAL)
    yield "no-blank-line", stream_seed(whole[:-2], ending=LOST)
    yield "cut-short", stream_seed(whole[:-5])
    yield "halves", stream_seed(HALVES, "caption")
    yield "limit", stream_seed(whole, limits=(160, 0, 0, 0, 0))
    yield (
        "lane-limit",
        stream_seed(DELTAS * 3 + FINAL, limits=(162, 1, 0, 0, 0), window=SMALLEST_WINDOW),
    )
    yield "text-limit", stream_seed(whole, limits=(0, 0, 193, 0, 0))
    long = b'data: {"chunk": "%s"}\n\n' % (b"moonlight " * 11)
    yield (
        "text-limit-in-lane",
        stream_seed(long * 6, limits=(0, 0, 161, 0, 0), window=2, fragmentation=(7, 0, 1)),
    )
    yield (
        "two-data-lines",
        stream_seed(
            DELTAS + b'event: message\ndata: {"chunk":\ndata: "two"}\n: comment\n\n' + FINAL
        ),
    )
    yield "line-end-inside", stream_seed(DELTAS + b'data: {"chunk":\n"a"}\n\n' + FINAL)
    yield (
        "completed-inside",
        stream_seed(DELTAS + b'data: {"chunk": "x", "completed": true}\n\n' + DELTAS),
    )
    yield (
        "error-inside",
        stream_seed(
            DELTAS + b'data: {"error": {"message": "busy", "type": "overloaded_error"}}\n\n' + FINAL
        ),
    )
    yield "error-event", stream_seed(DELTAS + b"event: error\ndata: gone\n\n")
    yield "deep", stream_seed(DELTAS + b'data: {"more": ' + b"[" * 70 + b"]" * 70 + b"}\n\n")
    yield "not-utf-8", stream_seed(DELTAS + b': \xff\ndata: {"chunk": "\xff"}\n\n')
    yield (
        "stats",
        stream_seed(
            DELTAS + b'data: {"stats": {"tokens": 5}}\n\ndata: {"completed": true}\n\n', "caption"
        ),
    )
    yield "segment", stream_seed(BOX + PATH * 3 + OUTLINE, "segment")
    yield (
        "unknown",
        stream_seed(b'data: {"type": "ping"}\n\n' + PATH + OUTLINE, "segment", kind=UNNAMED),
    )
    yield (
        "detect",
        stream_seed(
            b'data: {"completed": true, "objects": [{"x_min": 0, "y_min": 0, "x_max": 1, "y_max": 1}]}\n\n',
            "detect",
        ),
    )
    yield "point", stream_seed(b'{"points": [{"x": 0.5, "y": 0.5}]}', "point", kind=JSON)
    yield "json-error", stream_seed(b'{"error": "queue full"}', kind=JSON)
    yield "json-cut", stream_seed(b'{"answer": "yes", "metrics": {', kind=JSON)
    yield "unnamed-json", stream_seed(b' {"answer": "yes"}', kind=UNNAMED)
    yield "gzip", stream_seed(whole, coding=GZIP_FLUSHED)
    yield "gzip-twice", stream_seed(whole, coding=GZIP_TWICE, pulling=5)
    yield "gzip-broken", stream_seed(whole, coding=GZIP, ending=128 + LOST)
    yield "deflate", stream_seed(whole, coding=DEFLATE, pulling=6)
    yield (
        "busy",
        stream_seed(
            b'{"error": {"message": "busy"}}', kind=JSON, status=429, limits=(0, 0, 0, 0, 136)
        ),
    )
    yield "chat", stream_seed(CHAT + STOP + BILL + DONE, "chat")
    yield "chat-without-done", stream_seed(CHAT + STOP + BILL, "chat", pulling=6)
    yield "chat-lost", stream_seed(CHAT + STOP, "chat", ending=LOST)
    yield "chat-cut-in-done", stream_seed(CHAT + STOP + DONE[:9], "chat")
    yield "chat-without-end", stream_seed(CHAT + DONE, "chat")
    yield (
        "chat-limits",
        stream_seed(CHAT + STOP + DONE, "chat", limits=(0, 0, 193, 227, 0), window=REAL_WINDOW),
    )
    short = b'data: {"choices": [{"delta": {"content": "A"}}]}\n\n' * 3
    yield "chat-too-deep", stream_seed(short, "chat", limits=(0, 0, 0, 226, 0), window=REAL_WINDOW)
    yield (
        "chat-unknown",
        stream_seed(b'data: {"choices": [{"delta": {"refusal": "no"}}]}\n\n' + STOP + DONE, "chat"),
    )
    message = b'"message": {"content": "A", "reasoning": "so", "tool_calls": [1]}'
    yield (
        "chat-json",
        stream_seed(
            b'{"choices": [{%s, "finish_reason": "stop"}], "usage": {}}' % message,
            "chat",
            kind=JSON,
        ),
    )
    yield (
        "chat-error",
        stream_seed(CHAT + b'data: {"error": {"message": "busy", "code": 500}}\n\n' + DONE, "chat"),
    )
    rng = random.Random(1)
    yield (
        "long",
        stream_seed(
            bytes([0, 31, *(choice for _ in range(40) for choice in (5, rng.randrange(256), 255))]),
            mode=0,
            window=REAL_WINDOW,
        ),
    )
    for number in range(24 + 6):
        skill = (
            SKILLS[number % 7] if number < 24 else "chat"
        )  # which came later: so the earlier seeds stay as they are
        choices = bytes(
            rng.choice((0, 0, 1, 4, 7, 9, 13, 14, 15, rng.randrange(256))) for _ in range(60)
        )
        yield (
            f"grammar-{number}",
            stream_seed(
                choices,
                skill,
                mode=0,
                window=number % 4,
                fragmentation=(number, number, 7),
                pulling=number % 7,
            ),
        )


def records_by_hand() -> Iterator[tuple[str, bytes]]:
    """Cases of the record harness."""
    for name, body in {
        "lf": DELTAS,
        "cr": DELTAS.replace(b"\n", b"\r"),
        "crlf": DELTAS.replace(b"\n", b"\r\n"),
        "mixed": b"data: a\r\ndata: b\r\n\rdata: c\n\r\ndata: d\r\n\ndata: e\n\n\n",
        "bom": b"\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n",
        "fields": b"event: x\nid: 1\nretry: 5\ndata:  a\ndata\ndata:\ndata : b\nother: c\n\ndata: d\n\nevent: y\n\ndata: e\n\n",
        "comments": b": one\n:\ndata: a\n: \xff two\n\n::\n\n",
        "no-blank-line": b"event: z\ndata: a\n\ndata: b\ndata: c",
        "empty": b"data:\n\ndata\n\ndata: \n\ndata:\ndata:\n\n",
    }.items():
        yield name, records_seed(body)
        yield f"{name}-limit", records_seed(body, limit=(160, 0))
        yield f"{name}-below", records_seed(body, limit=(160, 1))


def sockets_by_hand() -> Iterator[tuple[str, bytes]]:
    """Cases of the socket harness."""
    ok = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    whole = DELTAS + FINAL
    chunks = b"".join(
        b"%x\r\n%s\r\n" % (len(part), part) for part in (DELTAS, FINAL[:9], FINAL[9:])
    )
    for name, raw in {
        "chunks": ok + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n",
        "trailers": ok
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + chunks
        + b"0;last\r\nA: b\r\nC: d\r\n\r\n",
        "length": ok + b"Content-Length: %d\r\n\r\n" % len(whole) + whole,
        "until-close": ok + b"\r\n" + whole,
        "nothing": b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n",
        "204": b"HTTP/1.1 204 No Content\r\n\r\n",
        "early": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: a\r\n\r\n"
        + ok
        + b"Content-Length: 0\r\n\r\n",
        "both-lengths": ok + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "cut-in-chunk": ok + b"Transfer-Encoding: chunked\r\n\r\n" + chunks[:-5],
        "cut-in-head": ok,
        "bad-chunk": ok + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"zz\r\n",
        "long-size-line": ok
        + b"Transfer-Encoding: chunked\r\n\r\n4;"
        + b"x" * 120
        + b"\r\nmoon\r\n0\r\n\r\n",
        "surplus": ok + b"Content-Length: 4\r\n\r\nmoonHTTP/1.1 200 OK\r\n\r\n",
        "garbage": b"<html>Bad gateway</html>",
    }.items():
        yield name, socket_seed(raw)
        yield f"{name}-eof", socket_seed(raw, eof=1, fragmentation=(1, 90, 1))
        yield f"{name}-limit", socket_seed(raw, limit=(128, 1))
        yield f"{name}-line-limit", socket_seed(raw, limit=(131, 0), fragmentation=(2, 0, 5))
    rng = random.Random(2)
    for number in range(12):
        choices = bytes(rng.choice((0, 1, 3, rng.randrange(256))) for _ in range(40))
        yield (
            f"grammar-{number}",
            bytes([0, 128 * (number % 2), number, number % 2, number, 1, number]) + choices,
        )


def make(folder: Path) -> None:
    """Write all seeds, those of each harness in a folder of its own."""
    stream, records, sockets = folder / "stream", folder / "records", folder / "socket"
    for made in (stream, records, sockets):
        made.mkdir(parents=True)
    for name, status, content_type, body in traces():
        kind = EVENTS if content_type.startswith("text/event-stream") else JSON
        skill = next((skill for skill in SKILLS if skill in name), "query")
        (stream / f"trace-{name}").write_bytes(
            stream_seed(
                body, skill, kind=kind, status=status, window=REAL_WINDOW, fragmentation=(7, 0, 1)
            )
        )
        if kind == EVENTS:
            (records / f"trace-{name}").write_bytes(records_seed(body[:4000]))
    for name, seed in by_hand():
        (stream / name).write_bytes(seed)
    for name, seed in records_by_hand():
        (records / name).write_bytes(seed)
    for name, raw in socket_traces():
        (sockets / f"trace-{name}").write_bytes(socket_seed(raw[:4000], eof=1))
    for name, seed in sockets_by_hand():
        (sockets / name).write_bytes(seed)


if __name__ == "__main__":
    shutil.rmtree(HERE / "corpus", ignore_errors=True)
    make(HERE / "corpus")
