"""What the tests of growth measure, each case in a process of its own.

Run it as `python -m tests.trials.measure CASE SIZE`.
It writes one JSON object: `peak` is the most memory above the start, in bytes; further figures are
the case's own. Time is that of the process, so that a busy machine changes little.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import resource
import struct
import sys
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterable
from typing import Any

from sansio_moondream import (
    ChatMessage,
    ChatRequest,
    Endpoint,
    MoondreamError,
    QueryRequest,
    ResponseStream,
    SocketStream,
    encode_image,
)
from sansio_moondream.paths import PathParser

CASES: dict[str, Any] = {}
QUERY = QueryRequest(question="What is in this image?")
CHAT = ChatRequest(messages=[ChatMessage("user", "What is in this image?")])
STREAM = ("content-type", "text/event-stream")
JSON = ("content-type", "application/json")
AT_ONCE = 64 * 1024  # bytes that a transport hands over at once


def case(work: Any) -> Any:
    """Register a case by its name."""
    CASES[work.__name__] = work
    return work


def filled(before: bytes, item: bytes, after: bytes, size: int) -> bytes:
    """So many bytes: items with commas between, and what goes around them."""
    return before + b",".join([item] * ((size - len(before + after)) // (len(item) + 1))) + after


def record(payload: bytes) -> bytes:
    return b"data: " + payload + b"\n\n"


def keys(size: int) -> bytes:
    return record(b"{" + b",".join(b'"%07d":1' % at for at in range(size // 12)) + b"}")


RECORDS: dict[str, Callable[[int], bytes]] = {
    "arrays": lambda size: record(filled(b'{"x":[', b"[]", b"]}", size)),
    "objects": lambda size: record(filled(b'{"x":[', b"{}", b"]}", size)),
    "numbers": lambda size: record(filled(b'{"x":[', b"1", b"]}", size)),
    "keys": keys,
    "detail of arrays": lambda size: record(filled(b'{"detail":[', b"[]", b"]}", size)),
    "detail of texts": lambda size: record(filled(b'{"detail":[', b'"a"', b"]}", size)),
    "brackets": lambda size: record(b"[" * size),
    "digits": lambda size: record(b'{"x":' + b"1" * size + b"}"),
    "escapes": lambda size: record(b'{"chunk":"' + b"\\u6708" * (size // 6) + b'"}'),
    "surrogates": lambda size: record(b'{"chunk":"' + b"\\ud83c" * (size // 6) + b'"}'),
    "one text": lambda size: record(b'{"chunk":"' + b"m" * size + b'"}'),
    "data lines": lambda size: b"data\n" * (size // 5) + b"\n",
    "one comment": lambda size: b":" + b"m" * size + b"\n",
}
"""A record each, of about so many bytes."""

STREAMS: dict[str, Callable[[int], bytes]] = {
    "comments": lambda size: b":\n" * (size // 2),
    "blank lines": lambda size: b"\n" * size,
    "carriage returns": lambda size: b"\r" * size,
    "unknown fields": lambda size: b"x:\n" * (size // 3),
    "empty records": lambda size: b"data:\n\n" * (size // 7),
    "unknown messages": lambda size: record(b'{"a":1}') * (size // 15),
    "tiny texts": lambda size: record(b'{"chunk" : "m"}') * (size // 23),
}
"""Bodies of many small parts."""


def chunks_of(body: bytes, size: int = AT_ONCE) -> Iterable[bytes]:
    return (body[at : at + size] for at in range(0, len(body), size))


def fed(stream: Any, chunks: Iterable[bytes]) -> list[float]:
    """Feed a stream to its end; the seconds of each call. Stops at an error of the library."""
    calls: list[float] = []
    try:
        for chunk in [*chunks, None]:
            began = time.process_time()
            try:
                if chunk is None:
                    stream.receive_eof()
                else:
                    stream.receive_data(chunk)
                for _ in stream.events():
                    pass
            finally:
                calls.append(time.process_time() - began)
    except MoondreamError:
        pass
    return calls


def begun(request: Any, *headers: tuple[str, str]) -> ResponseStream[Any]:
    """A stream that has its head."""
    stream = ResponseStream(request)
    stream.receive_response(200, headers or (STREAM,))
    return stream


def traced(work: Callable[[], object]) -> int:
    """The most bytes that Python held at once while it ran, above what it held before."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def body_figures(
    request: Any, make: Callable[[int], bytes], size: int, *headers: tuple[str, str]
) -> dict[str, Any]:
    """Seconds of the calls that complete the body, of the longest before, and of all; and memory.

    Of three runs the best. Memory is of a quarter of the bytes, as tracing it takes its time.
    """
    body, part = make(size), make(size // 4)
    runs = [fed(begun(request, *headers), chunks_of(body)) for _ in range(3)]
    return {
        "last": min(max(run[-2:]) for run in runs),
        "other": min(max(run[:-2], default=0.0) for run in runs),
        "all": min(sum(run) for run in runs),
        "bytes": len(body),
        "peak": traced(lambda: fed(begun(request, *headers), chunks_of(part))),
        "traced": len(part),
    }


for _name, _make in {**RECORDS, **STREAMS}.items():
    CASES[_name] = lambda size, make=_make: body_figures(QUERY, make, size)


@case
def json_body(size: int) -> dict[str, Any]:
    """A whole JSON body of empty arrays."""
    return body_figures(QUERY, lambda n: filled(b'{"x":[', b"[]", b"]}", n), size, JSON)


@case
def json_detail(size: int) -> dict[str, Any]:
    """A whole JSON body that is an error with a list of empty arrays."""
    return body_figures(QUERY, lambda n: filled(b'{"detail":[', b"[]", b"]}", n), size, JSON)


@case
def gzip_of_comments(size: int) -> dict[str, Any]:
    """So many bytes of gzip, with nearly 200 bytes of comment lines for each of them."""
    noise = random.Random(1)
    parts = [b":\n" * 600_000]  # the first MiB is not counted
    for _ in range(size // 25):  # which is what one of them takes, with its noise
        parts += [b":\n" * 1_840, b":", noise.randbytes(12).hex().encode(), b"\n"]
    packed = gzip.compress(b"".join(parts))
    inflated = sum(map(len, parts))
    calls = fed(begun(QUERY, STREAM, ("content-encoding", "gzip")), chunks_of(packed))
    return {"all": sum(calls), "bytes": len(packed), "ratio": inflated / len(packed)}


@case
def tiny_texts_held(count: int) -> dict[str, Any]:
    """What a stream holds after so many messages of one character, off the fast path."""
    body = record('{"chunk" : "\u6708", "x": 1}'.encode()) * 100
    stream = begun(QUERY)
    tracemalloc.start()
    for _ in range(count // 100):
        stream.receive_data(body)
        for _ in stream.events():
            pass
    return {"held": tracemalloc.get_traced_memory()[0], "bytes": 3 * count}


@case
def two_bytes_at_once(size: int) -> dict[str, Any]:
    """A record that comes in chunks of two bytes."""
    body = record(b'{"chunk":"' + b"m" * size + b'"}')
    return {"peak": traced(lambda: fed(begun(QUERY), chunks_of(body, 2))), "bytes": len(body)}


@case
def grounding(count: int) -> dict[str, Any]:
    """A chat with so many messages that have one grounding each."""
    where = {"start_idx": 0, "end_idx": 1, "points": [[0, 0]]}
    delta = {"reasoning": {"text": "a", "grounding": [where]}}
    body = record(json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode()) * count
    return {"all": sum(fed(begun(CHAT), chunks_of(body)))}


HEADS: dict[str, Callable[[int], bytes]] = {
    "early heads": lambda size: b"HTTP/1.1 103 \r\n\r\n" * (size // 17),
    "head of many fields": lambda size: b"HTTP/1.1 200 \r\n" + b"a:\r\n" * (size // 4),
    "head of one field": lambda size: b"HTTP/1.1 200 \r\na: " + b"m" * size,
    "chunks of a byte": lambda size: (
        b"HTTP/1.1 200 \r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        + b"1\r\n:\r\n" * (size // 6)
    ),
}
"""What comes by a socket."""


def head_figures(raw: bytes) -> dict[str, Any]:
    return {"all": sum(fed(SocketStream(QUERY, Endpoint("http://localhost/v1")), chunks_of(raw)))}


for _name, _make in HEADS.items():
    CASES[_name] = lambda size, make=_make: head_figures(make(size))


@case
def path_by_character(size: int) -> dict[str, Any]:
    """A path that comes character by character, of no more commands than a path may have."""
    text = ("M0 0" + "L.5000000000000000 .2500000000e-1" * size)[:size]
    path = PathParser()
    began = time.process_time()
    for character in text:
        path.append(character)
    return {"all": time.process_time() - began}


def raised_by(work: Any) -> str:
    """The class and the message of what it raises; empty where it raises nothing."""
    try:
        work()
    except Exception as error:  # noqa: BLE001 - the test looks at it
        return f"{type(error).__name__}: {error}"
    return ""


def peak_rss() -> int:
    """The most memory that the process has had, in bytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


@case
def png_bomb(side: int) -> dict[str, Any]:
    """Encode a black PNG of one bit a pixel, with at most a gigabyte to do it in."""
    from PIL import Image

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    rows, row = zlib.compressobj(9), bytes(1 + (side + 7) // 8)
    packed = b"".join(rows.compress(row) for _ in range(side)) + rows.flush()
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    Image.init()
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    before = peak_rss()
    with Image.open(io.BytesIO(data)) as image:
        raised = raised_by(lambda: encode_image(image))
    return {"raised": raised, "peak": peak_rss() - before, "bytes": len(data)}


if __name__ == "__main__":
    print(json.dumps(CASES[sys.argv[1]](int(sys.argv[2]))))  # noqa: T201 - the answer
