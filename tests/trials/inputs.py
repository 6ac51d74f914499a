"""The inputs of the tests of growth: each kind of message, record, body and head, in any size."""

from __future__ import annotations

from collections.abc import Callable

from sansio_moondream import (
    CaptionRequest,
    ChatMessage,
    ChatRequest,
    DetectRequest,
    PointRequest,
    QueryRequest,
    SegmentRequest,
    encode_image,
)

Make = Callable[[int], bytes]
"""Makes about so many bytes."""


IMAGE = encode_image(b"\x89PNG\r\n\x1a\n")
QUERY = QueryRequest(question="What is in this image?")
CHAT = ChatRequest(messages=[ChatMessage("user", "What is in this image?")])
REQUESTS = {
    "query": QUERY,
    "caption": CaptionRequest(image=IMAGE),
    "segment": SegmentRequest(image=IMAGE, object="moon"),
    "detect": DetectRequest(image=IMAGE, object="moon"),
    "point": PointRequest(image=IMAGE, object="moon"),
    "chat": CHAT,
}
STREAM = ("content-type", "text/event-stream")
JSON = ("content-type", "application/json")


def filled(before: bytes, item: bytes, after: bytes, size: int) -> bytes:
    """So many bytes: items with commas between, and what goes around them."""
    return before + b",".join([item] * ((size - len(before + after)) // (len(item) + 1))) + after


def record(payload: bytes) -> bytes:
    return b"data: " + payload + b"\n\n"


def keys(size: int) -> bytes:
    return b"{" + b",".join(b'"%07d":1' % at for at in range(size // 12)) + b"}"


def values(item: bytes, before: bytes = b'{"x":[', after: bytes = b"]}") -> Make:
    return lambda size: filled(before, item, after, size)


def repeated(message: bytes) -> Make:
    one = b"data:" + message + b"\n\n"
    return lambda size: one * (size // len(one))


def in_record(make: Make) -> Make:
    return lambda size: record(make(size))


PAYLOADS: dict[str, Make] = {
    "arrays": values(b"[]"),
    "objects": values(b"{}"),
    "nested arrays": values(b"[" * 32 + b"]" * 32),
    "numbers": values(b"1"),
    "texts": values(b'"a"'),
    "bracket texts": values(b'"["'),
    "keys": keys,
    "detail of arrays": values(b"[]", b'{"detail":['),
    "detail of texts": values(b'"a"', b'{"detail":['),
    "detail of errors": values(b'{"msg":"a"}', b'{"detail":['),
    "surrogate and arrays": values(b"[]", b'{"x":"\\ud83c","y":['),
}
"""JSON of about so many bytes, which has as many values as its bytes allow."""

RECORDS: dict[str, Make] = {
    **{name: in_record(make) for name, make in PAYLOADS.items()},
    "brackets": lambda size: record(b"[" * size),
    "quotes": lambda size: record(b"[" * 65 + b'"' * size),
    "digits": lambda size: record(b'{"x":' + b"1" * size + b"}"),
    "escapes": lambda size: record(b'{"chunk":"' + b"\\u6708" * (size // 6) + b'"}'),
    "surrogates": lambda size: record(b'{"chunk":"' + b"\\ud83c" * (size // 6) + b'"}'),
    "one text": lambda size: record(b'{"chunk":"' + b"m" * size + b'"}'),
    "commas in a text": lambda size: record(b'{"chunk":"' + b"," * size + b'"}'),
    "data lines": lambda size: b"data\n" * (size // 5) + b"\n",
    "data lines of a text": lambda size: b"data: mmmm\n" * (size // 11) + b"\n",
    "one comment": lambda size: b":" + b"m" * size + b"\n",
    "one field": lambda size: b"m" * size + b"\n",
    "one id": lambda size: b"id: " + b"m" * size + b"\r\n",
}
"""A record each, of about so many bytes."""

_PLACE = b'{"x_min":0.1,"y_min":0.1,"x_max":0.2,"y_max":0.2}'
_GROUNDING = b'{"start_idx":0,"end_idx":1,"points":[[0,0]]}'
_ERROR_STATUS = 400
BODIES: dict[str, tuple[str, int, tuple[str, str], Make]] = {
    "body of arrays": ("query", 200, JSON, values(b"[]")),
    "error of arrays": ("query", 200, JSON, values(b"[]", b'{"detail":[')),
    "error status": ("query", _ERROR_STATUS, JSON, values(b"[]", b'{"detail":[')),
    "error page": ("query", _ERROR_STATUS, JSON, lambda size: b"<title>" + b"<a" * (size // 2)),
    "error record": ("query", 200, STREAM, lambda size: b"event:error\n" + record(keys(size))),
    "whole text": ("caption", 200, JSON, lambda size: b'{"caption":"' + b"m" * size + b'"}'),
    "whole path": (
        "segment",
        200,
        JSON,
        lambda size: b'{"path":"' + b"z" * size + b'","bbox":' + _PLACE + b"}",
    ),
    "places": ("detect", 200, JSON, values(_PLACE, b'{"objects":[')),
    "points": ("point", 200, JSON, values(b'{"x":0.5,"y":0.5}', b'{"points":[')),
    "groundings": (
        "chat",
        200,
        JSON,
        values(
            _GROUNDING,
            b'{"choices":[{"message":{"content":"a","reasoning":{"text":"a","grounding":[',
            b"]}}}]}",
        ),
    ),
    "not named": ("query", 200, ("x", "y"), lambda size: b"\n" * size),
}
"""A body each, of about so many bytes: skill, status, the field of the head, and its maker."""

_MESSAGES: dict[str, tuple[str, bytes]] = {
    "unknown messages": ("query", b'{"a":1}'),
    "empty messages": ("query", b"{}"),
    "empty messages of a chat": ("chat", b"{}"),
    "empty messages of a segmentation": ("segment", b"{}"),
    "empty messages of a detection": ("detect", b"{}"),
    "empty messages of points": ("point", b"{}"),
    "tiny texts": ("query", b'{"chunk":"m"}'),
    "tiny texts off the fast path": ("query", b'{"chunk" : "m","x":1}'),
    "tiny texts of a caption": ("caption", b'{"text":"m"}'),
    "lone surrogates": ("query", b'{"chunk":"\\ud83c"}'),
    "huge numbers": ("query", b'{"a":1e999}'),
    "metrics": ("query", b'{"metrics":{"ttft_ms":[]}}'),
    "stats": ("query", b'{"stats":{}}'),
    "reasoning": ("query", b'{"chunk":"m","reasoning":{"text":"m","grounding":[]}}'),
    "boxes": ("segment", b'{"bbox":' + _PLACE + b"}"),
    "paths": ("segment", b'{"type":"path_delta","chunk":"z"}'),
    "chat texts": ("chat", b'{"choices":[{"delta":{"content":"m"}}]}'),
    "chat reasoning": ("chat", b'{"choices":[{"delta":{"reasoning":"m"}}]}'),
    "chat groundings": (
        "chat",
        b'{"choices":[{"delta":{"reasoning":{"text":"","grounding":[' + _GROUNDING + b"]}}}]}",
    ),
    "chat usage": ("chat", b'{"usage":{}}'),
}
STREAMS: dict[str, tuple[str, Make]] = {
    "comments": ("query", lambda size: b":\n" * (size // 2)),
    "blank lines": ("query", lambda size: b"\n" * size),
    "carriage returns": ("query", lambda size: b"\r" * size),
    "both": ("query", lambda size: b"\r\n" * (size // 2)),
    "unknown fields": ("query", lambda size: b"x:\n" * (size // 3)),
    "ids": ("query", lambda size: b"id:1\n" * (size // 5)),
    "names of events": ("query", lambda size: b"event\n" * (size // 6)),
    "empty records": ("query", lambda size: b"data\n\n" * (size // 6)),
    **{name: (skill, repeated(message)) for name, (skill, message) in _MESSAGES.items()},
}
"""Bodies of many small parts: the skill, and their maker."""


HEADS: dict[str, Callable[[int], bytes]] = {
    "early heads": lambda size: b"HTTP/1.1 103 \r\n\r\n" * (size // 17),
    "head of many fields": lambda size: b"HTTP/1.1 200 \r\n" + b"a:\r\n" * (size // 4),
    "heads with many fields": lambda size: (
        (b"HTTP/1.1 103 \r\n" + b"a:\r\n" * 9 + b"\r\n") * (size // 52)
    ),
    "trailers": lambda size: (
        b"HTTP/1.1 200 \r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        b"0\r\n" + b"a:\r\n" * (size // 4)
    ),
    "head of one field": lambda size: b"HTTP/1.1 200 \r\na: " + b"m" * size,
    "chunks of a byte": lambda size: (
        b"HTTP/1.1 200 \r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        + b"1\r\n:\r\n" * (size // 6)
    ),
}
"""What comes by a socket."""

_PIXELS = b'{"question": "?", "image_url": "data:image/gif;base64,R0lGODdh'
ASKED: dict[str, Make] = {
    "asked: brackets": lambda size: b"[" * size,
    "asked: brackets that close": lambda size: b"]" * size,
    "asked: texts": values(b'""'),
    "asked: quotes": lambda size: b'\\"' * (size // 2),
    "asked: objects": lambda size: b'{"a":' * (size // 5),
    "asked: a picture": lambda size: _PIXELS + b"AAAA" * (size // 4) + b'"}',
    "asked: a picture that is none": lambda size: _PIXELS + b"AAAA" * (size // 4) + b'%"}',
    "asked: a picture in escapes": lambda size: _PIXELS + rb"\/" * (size // 2) + b'"}',
}
"""Bodies of requests."""
