"""What is checked, without a fuzzer: `check_records(data)` and `check_stream(data)` make a case of any bytes and raise if it fails.

1. The first bytes of `data` choose the circumstances (limits, cutting, ending, ...), the rest are the body or choose its pieces
   (see `grammar`). Any bytes are a case.
2. Each case is decoded whole, byte by byte, a record a piece, and in a cutting of the fuzzer's choice, and has to come to the same
   each time: events, class, words and fields of the error, snapshot.
3. It has to be what `reference` says, which shares no code with the package.
4. Everything has to be out as soon as its last byte is in.
5. Nothing but the documented errors comes out, and after one nothing but that one.
6. `SMALL_WINDOWS`: the decoder's windows are made smaller in most cases, so that their borders and the fast lane, which is only open
   for limits of two windows and more, are reached with a few bytes.
"""

from __future__ import annotations

import gzip
import random
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, Final, Literal, NamedTuple

import msgspec

from fuzz import grammar, reference
from fuzz.grammar import Source
from fuzz.reference import AT_END
from sansio_moondream import (
    FINISHED,
    NEED_DATA,
    CaptionRequest,
    Completed,
    ConnectionLost,
    DetectRequest,
    EncodedImage,
    Event,
    Headers,
    LimitExceeded,
    Limits,
    LocalProtocolError,
    MoondreamError,
    PointRequest,
    QueryRequest,
    Request,
    ResponseStream,
    SegmentRequest,
    State,
    _bodies,
    _records,
    _stream,
    encode_image,
)

SMALL_WINDOWS: Final = (16, 64, 256, 1024)
_IMAGE: EncodedImage = encode_image(b"\x89PNG\r\n\x1a\n")
REQUESTS: dict[reference.Skill, Request[Any]] = {
    "query": QueryRequest(question="?"),
    "caption": CaptionRequest(image=_IMAGE),
    "segment": SegmentRequest(image=_IMAGE, object="moon"),
    "detect": DetectRequest(image=_IMAGE, object="moon"),
    "point": PointRequest(image=_IMAGE, object="moon"),
}


class Failed(AssertionError):
    """A case that did not come to what it should."""


def _check(right: object, what: str, *about: object) -> None:
    if not right:
        raise Failed("\n  ".join([what, *(repr(one)[:2000] for one in about)]))


# --- Cuttings -----------------------------------------------------------------------------------------------------------------

Pieces = list[bytes]


def cut_whole(data: bytes) -> Pieces:
    return [data]


def cut_bytes(data: bytes) -> Pieces:
    return [data[at : at + 1] for at in range(len(data))]


def cut_at(data: bytes, offsets: Sequence[int]) -> Pieces:
    inside = sorted({offset for offset in offsets if 0 < offset < len(data)})
    return [data[start:end] for start, end in pairwise([0, *inside, len(data)])]


def cut_records(data: bytes) -> Pieces:
    """A record a piece, where records end in LF LF: how servers flush."""
    return [piece + b"\n\n" for piece in data.split(b"\n\n")[:-1]] + [data.rpartition(b"\n\n")[2]]


def cut_as_chosen(data: bytes, style: int, seed: int) -> Pieces:
    """One of many cuttings; `style` and `seed` are bytes of the fuzzer's choice."""
    rng = random.Random(seed)
    match style % 8:
        case 0:
            return cut_at(data, [seed])
        case 1:
            return cut_at(data, [seed * (len(data) + 1) // 65536])
        case 2:
            size = 1 + seed % 64
            return cut_at(data, range(0, len(data), size))
        case 3:  # around what ends lines, where most of the state is
            near = [at + rng.choice((-1, 0, 1)) for at, byte in enumerate(data) if byte in b"\r\n" and rng.random() < 0.7]
            return cut_at(data, near)
        case 4:
            return cut_at(data, [at for at in range(len(data)) if rng.random() < 0.3])
        case 5:  # whole records, now and then two or with a cut inside
            pieces: Pieces = [b""]
            for piece in cut_records(data):
                at = rng.randrange(len(piece) + 1) if rng.random() < 0.2 else 0
                pieces[-1] += piece[:at]
                if rng.random() < 0.8:
                    pieces.append(b"")
                pieces[-1] += piece[at:]
            return pieces
        case 6:
            return [b"", *(piece for both in zip(cut_records(data), cut_records(b""), strict=False) for piece in both), b""][:0] or [
                b"",
                *cut_at(data, [rng.randrange(len(data) + 1) for _ in range(3)]),
                b"",
            ]
        case _:
            return cut_at(data, [rng.randrange(len(data) + 1) for _ in range(1 + seed % 7)])
