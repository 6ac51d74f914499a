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
from contextlib import suppress
from itertools import chain
from typing import Any

from sansio_moondream import (
    Endpoint,
    Limits,
    MoondreamError,
    ResponseStream,
    SocketStream,
    decode_request,
    encode_image,
)
from sansio_moondream.paths import PathParser
from tests.trials.inputs import (
    ASKED,
    BODIES,
    CHAT,
    HEADS,
    PAYLOADS,
    QUERY,
    RECORDS,
    REQUESTS,
    STREAM,
    STREAMS,
    Make,
    record,
)

CASES: dict[str, Any] = {}
AT_ONCE = 64 * 1024  # bytes that a transport hands over at once


def case(work: Any) -> Any:
    """Register a case by its name."""
    CASES[work.__name__] = work
    return work


def chunks_of(body: bytes, size: int = AT_ONCE) -> Iterable[bytes]:
    return (body[at : at + size] for at in range(0, len(body), size))


def fed(stream: Any, chunks: Iterable[bytes]) -> list[float]:
    """Feed a stream to its end; the seconds of each call. Stops at an error of the library."""
    calls: list[float] = []
    try:
        for chunk in chain(chunks, [None]):
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


def begun(request: Any, *headers: tuple[str, str], status: int = 200) -> ResponseStream[Any]:
    """A stream that has its head."""
    stream = ResponseStream(request)
    stream.receive_response(status, headers or (STREAM,))
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
    body: bytes, skill: str = "query", *headers: tuple[str, str], status: int = 200
) -> dict[str, Any]:
    """Seconds of the calls that complete the body, of the longest before, and of all; and memory.

    Of three runs the best.
    """

    def stream() -> ResponseStream[Any]:
        return begun(REQUESTS[skill], *headers, status=status)

    runs = [fed(stream(), chunks_of(body)) for _ in range(3)]
    return {
        "last": min(max(run[-2:]) for run in runs),
        "other": min(max(run[:-2], default=0.0) for run in runs),
        "all": min(sum(run) for run in runs),
        "bytes": len(body),
        "peak": traced(lambda: fed(stream(), chunks_of(body))),
    }


for _name, _make in RECORDS.items():
    CASES[_name] = lambda size, make=_make: body_figures(make(size))
for _name, _body in BODIES.items():
    CASES[_name] = lambda size, body=_body: body_figures(
        body[3](size), body[0], body[2], status=body[1]
    )
for _name, _stream in STREAMS.items():
    CASES[_name] = lambda size, stream=_stream: body_figures(stream[1](size), stream[0])


def counted(payload: bytes) -> int:
    """What the JSON, without strings that have them, counts as values."""
    return payload.count(b",") + payload.count(b"[") + payload.count(b"{")


def within(make: Make) -> bytes:
    """JSON of just as many values as the default limit allows."""
    sample = make(30_000)
    return make(30_000 * (Limits().max_json_values - 200) // counted(sample))


for _name, _make in PAYLOADS.items():
    CASES[f"within: {_name}"] = lambda size, make=_make: body_figures(record(within(make)))


def inflated(make: Make) -> bytes:
    """What 64 KiB of gzip may inflate to by the default limit."""
    sample = make(AT_ONCE)
    ends = sum(map(sample.count, (b"\r", b"\n", b"\\")))
    work = len(sample) + 79 * ends + 9 * counted(sample)
    return make(AT_ONCE * ((2 << 20) + AT_ONCE * Limits().max_inflate_ratio) // work)


for _name, _make in PAYLOADS.items():
    CASES[f"inflated: {_name}"] = lambda size, make=_make: {
        "all": min(
            sum(
                fed(
                    begun(QUERY),
                    chunks_of(
                        inflated(
                            lambda n: record(within(make)) * (n // len(record(within(make))) + 1)
                        )
                    ),
                )
            )
            for _ in range(3)
        )
    }
for _name, (_skill, _make) in STREAMS.items():
    CASES[f"inflated: {_name}"] = lambda size, skill=_skill, make=_make: {
        "all": min(sum(fed(begun(REQUESTS[skill]), chunks_of(inflated(make)))) for _ in range(3))
    }


@case
def gzip_of_comments(size: int) -> dict[str, Any]:
    """So many bytes of gzip, with more than 200 bytes of comment lines for each of them."""
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
    stream = begun(QUERY)

    def feed() -> None:
        for chunk in chunks_of(body, 2):
            stream.receive_data(chunk)

    return {"peak": traced(feed), "bytes": len(body)}


@case
def grounding(count: int) -> dict[str, Any]:
    """A chat with so many messages that have one grounding each."""
    where = {"start_idx": 0, "end_idx": 1, "points": [[0, 0]]}
    delta = {"reasoning": {"text": "a", "grounding": [where]}}
    body = record(json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode()) * count
    return {"all": sum(fed(begun(CHAT), chunks_of(body)))}


def head_figures(raw: bytes) -> dict[str, Any]:
    return {"all": sum(fed(SocketStream(QUERY, Endpoint("http://localhost/v1")), chunks_of(raw)))}


for _name, _make in HEADS.items():
    CASES[_name] = lambda size, make=_make: head_figures(make(size))


def request_figures(body: bytes) -> dict[str, Any]:
    """Seconds to decode a request or to refuse it, of three runs the best; and memory."""

    def decode() -> float:
        began = time.process_time()
        with suppress(MoondreamError):
            decode_request("POST", "/v1/query", (), body)
        return time.process_time() - began

    times = [decode() for _ in range(3)]
    return {"all": min(times), "bytes": len(body), "peak": traced(decode)}


for _name, _make in ASKED.items():
    CASES[_name] = lambda size, make=_make: request_figures(make(size))


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
