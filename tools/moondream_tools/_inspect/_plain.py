"""What plain `data: ` loops make of the chunks that a trace shows.

1. A loop is the code that most programs have: split lines, look for `data: `, `json.loads`, take
   the chunk. The code here is such loops, and it runs on the bytes. What it raises is what Python
   raises.
2. `LOOPS` has three, by what they read: the lines of `urlopen`, as the official Python client does;
   the lines of httpx; or each chunk by itself, as it was received. All take the chunk of a message
   as the official client does.
3. A request that asks for no stream has another program: `json.loads` of the whole body.
4. The verdict compares a loop with our decoder: what arrived, and which error it should report.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from msgspec import Struct, to_builtins

from moondream_tools.trace import Trace
from sansio_moondream._errors import shorten

from ._plain_responses import Httpx, Response, Silence, Urlopen
from ._verdict import MAX_SHOWN, Verdict, judge, name_of


class PlainOutcome(Struct, frozen=True):
    """What one loop makes of a broken stream.

    Attributes:
        loop: the code that it models.
        like: programs that read so.
        items: what it gives its user, in order.
        text: the answer that a user of it has.
        error: the class and the message of what it raises, or None.
        outcome, verdict: see `judge`.
    """

    loop: str
    like: str
    items: list[Any]
    text: str
    error: str | None
    outcome: Verdict
    verdict: str


def plain_outcomes(trace: Trace) -> list[dict[str, Any]]:
    """Return a `PlainOutcome` for each loop, as JSON."""
    body = trace.request.body
    is_streamed = isinstance(body, dict) and cast("dict[str, Any]", body).get("stream") is True
    if trace.skill is None:
        return []
    loops = LOOPS if is_streamed else (WHOLE,)
    return [to_builtins(_outcome(loop, trace, trace.skill)) for loop in loops]


class _Loop(Struct, frozen=True):
    loop: str
    like: str
    response: type[Response]
    run: Callable[[Any, str], Iterator[Any]]


def _over_urlopen(response: Urlopen, skill: str) -> Iterator[Any]:
    return _items((line.decode() for line in response.lines()), skill)


def _over_lines(response: Httpx, skill: str) -> Iterator[Any]:
    return _items(response.iter_lines(), skill)


def _over_chunks(response: Httpx, skill: str) -> Iterator[Any]:
    lines = (line for chunk in response.iter_bytes() for line in chunk.decode().splitlines())
    return _items(lines, skill)


def _of_whole(response: Urlopen, skill: str) -> Iterator[Any]:
    answer = json.loads(response.read().decode())
    if skill == "chat":
        yield answer["choices"][0]["message"]["content"]
    elif skill == "segment":
        yield {"path": answer["path"], "bbox": answer["bbox"]}
    else:
        yield answer[_FIELDS[skill]]


_FIELDS = {"query": "answer", "caption": "caption", "detect": "objects", "point": "points"}

LOOPS = (
    _Loop(
        "for line in urlopen(request)",
        "as the official Python client 2.6",
        Urlopen,
        _over_urlopen,
    ),
    _Loop("for line in response.iter_lines()", "with httpx", Httpx, _over_lines),
    _Loop(
        "for chunk in response.iter_bytes(): for line in chunk.decode().splitlines()",
        "with httpx, or aiohttp's iter_any()",
        Httpx,
        _over_chunks,
    ),
)
WHOLE = _Loop(
    "json.loads(urlopen(request).read())", "as the official Python client 2.6", Urlopen, _of_whole
)


def _items(lines: Iterable[str], skill: str) -> Iterator[Any]:
    """Yield what the official client does for these lines."""
    read = _READERS.get(skill, _read_text)
    for line in lines:
        if line.startswith("data: "):
            data = line[6:]
            if skill == "chat" and data.strip() == "[DONE]":
                return
            items, is_end = read(json.loads(data))
            yield from items
            if is_end:
                return


def _read_text(message: Any) -> tuple[list[Any], bool]:
    """Return what is given to the user, and whether the message is the last one."""
    return [message["chunk"]] if "chunk" in message else [], bool(message.get("completed"))


def _read_segment(message: Any) -> tuple[list[Any], bool]:
    match message.get("type"):
        case "bbox":
            return [{"bbox": message.get("bbox")}], False
        case "path_delta":
            return [message["chunk"]] if message.get("chunk") else [], False
        case "final":
            return [{"path": message.get("path", ""), "bbox": message.get("bbox")}], True
        case _:
            return [], False


def _read_chat(message: Any) -> tuple[list[Any], bool]:
    choices = message.get("choices")
    text = choices[0].get("delta", {}).get("content") if choices else None
    return [text] if text else [], False


_READERS = {"segment": _read_segment, "chat": _read_chat}


def _outcome(loop: _Loop, trace: Trace, skill: str) -> PlainOutcome:
    response, ending = trace.response, trace.ending
    chunks = [trace.body[chunk.start : chunk.end] for chunk in trace.chunks]
    given = loop.response(
        None if response is None else response.status_code,
        () if response is None else response.headers,
        chunks,
        "eof" if ending is None else ending.fault,
        "" if ending is None else ending.message,
    )
    items: list[Any] = []
    error: Exception | None = None
    try:
        for item in loop.run(given, skill):
            items.append(item)  # noqa: PERF402 - what came before an exception is kept
    except Exception as raised:  # noqa: BLE001 - it is what a program would see
        error = raised
    text = _text(items)
    outcome, verdict = judge(trace, text, error)
    hangs = isinstance(error, Silence)
    shown = (
        None if error is None or hangs else f"{name_of(error)}: {shorten(str(error), MAX_SHOWN)}"
    )
    return PlainOutcome(loop.loop, loop.like, items, text, shown, outcome, verdict)


def _text(items: list[Any]) -> str:
    """Return the answer that a user puts together from what the loop gives."""
    last = items[-1] if items else None
    if isinstance(last, list):  # objects or points
        return json.dumps(last)
    if isinstance(last, dict) and "path" in last:
        return str(cast("dict[str, Any]", last)["path"])
    return "".join(str(item) for item in items if not isinstance(item, dict))
