"""Find the recordings that answer a request, or the nearest one and its differences.

1. Requests are compared in their recorded form (`RecordingHeader.of`): pictures by their digest,
   secrets masked, no host.
2. Two paths match if one is the end of the other, part by part: `/v1/query` matches
   `/proxy/v1/query` and not `/v2/query`.
3. Bodies are compared as JSON values: the order of fields does not matter, null is absence, and 1
   is 1.0 and not true. A missing `stream` is false.
4. Header fields are not compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from enum import Enum
from itertools import islice, takewhile
from typing import Any, NamedTuple, cast

from sansio_moondream._errors import shorten

from ._values import RecordingHeader

_MAX_SHOWN = 60  # characters of a value in a message
_MAX_COMPARED = 2000  # characters of a body in the search for the nearest


class Match(Enum):
    """What has to be equal in a request and a recorded one, the strictest rule first.

    Attributes:
        EXACT: method, path and body, the picture's digest included.
        ANY_IMAGE: the same, except for the digests of pictures.
        SKILL: method and the last part of the path.
    """

    EXACT = "exact"
    ANY_IMAGE = "any-image"
    SKILL = "skill"


class Matches(NamedTuple):
    """The result of `find_matches`.

    Attributes:
        found: indices of the recorded requests that match.
        nearest: the index of the nearest request if none matches; None if there are no requests.
        differences: of the nearest, one text for each field: "question: recorded 'What?', asked
            'Why?'".
    """

    found: tuple[int, ...]
    nearest: int | None = None
    differences: tuple[str, ...] = ()


def find_matches(
    asked: RecordingHeader, recorded: Sequence[RecordingHeader], match: Match = Match.EXACT
) -> Matches:
    """Compare a request with recorded requests.

    Args:
        asked: `RecordingHeader.of(request, secrets=...)`.
        recorded: the headers of the recordings.
        match: how similar they have to be.
    """
    found = matching(asked, recorded, match)
    if found or not recorded:
        return Matches(found)
    different = [tuple(_differences(header, asked, match)) for header in recorded]
    text = _body_text(asked)

    def distance(index: int) -> tuple[bool, int, float]:
        header = recorded[index]
        likeness = SequenceMatcher(None, _body_text(header), text, autojunk=False).quick_ratio()
        return not _same_end(header.path, asked.path, 1), len(different[index]), -likeness

    nearest = min(range(len(recorded)), key=distance)
    return Matches((), nearest, different[nearest])


def matching(
    asked: RecordingHeader, recorded: Sequence[RecordingHeader], match: Match
) -> tuple[int, ...]:
    """Return the indices of the recorded requests that match, without a search for the nearest."""
    return tuple(
        index
        for index, header in enumerate(recorded)
        if next(_differences(header, asked, match), None) is None
    )


def _differences(recorded: RecordingHeader, asked: RecordingHeader, match: Match) -> Iterator[str]:
    if recorded.method.upper() != asked.method.upper():
        yield _difference("method", recorded.method, asked.method)
    if not _same_end(recorded.path, asked.path, 1 if match is Match.SKILL else None):
        yield _difference("path", recorded.path, asked.path)
    if match is not Match.SKILL:
        ours, theirs = _with_stream(recorded.request_body), _with_stream(asked.request_body)
        yield from _in_value("", ours, theirs, match)


def _same_end(one: str, other: str, parts: int | None = None) -> bool:
    """Compare the last parts of two paths: `parts` of them, or as many as both have."""
    ends = (reversed(path.strip("/").split("/")) for path in (one, other))
    return all(this == that for this, that in islice(zip(*ends, strict=False), parts))


def _with_stream(body: Any) -> Any:
    if not isinstance(body, dict):
        return body
    fields = cast("dict[str, Any]", body)
    return {**fields, "stream": fields.get("stream") or False}


def _in_value(name: str, recorded: Any, asked: Any, match: Match) -> Iterator[str]:
    if _is_image(recorded) and _is_image(asked):
        if match is Match.EXACT and recorded["sha256"] != asked["sha256"]:
            yield _difference(name, recorded, asked)
    elif isinstance(recorded, dict) and isinstance(asked, dict):
        ours, theirs = cast("dict[str, Any]", recorded), cast("dict[str, Any]", asked)
        for field in dict.fromkeys([*ours, *theirs]):
            inner = f"{name}.{field}" if name else field
            yield from _in_value(inner, ours.get(field), theirs.get(field), match)
    elif isinstance(recorded, list) and isinstance(asked, list):
        items, others = cast("list[Any]", recorded), cast("list[Any]", asked)
        if len(items) != len(others):
            yield _difference(name or "body", recorded, asked)
            return
        for at, (one, other) in enumerate(zip(items, others, strict=True)):
            yield from _in_value(f"{name}[{at}]", one, other, match)
    elif recorded != asked or isinstance(recorded, bool) != isinstance(asked, bool):
        yield _difference(name or "body", recorded, asked)


def _is_image(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() >= {"sha256", "media_type"}


def _difference(name: str, recorded: Any, asked: Any) -> str:
    if isinstance(recorded, str) and isinstance(asked, str):
        pairs = zip(recorded, asked, strict=False)
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        if same > _MAX_SHOWN // 2:  # skip most of the common beginning
            recorded, asked = (f"…{text[same - _MAX_SHOWN // 4 :]}" for text in (recorded, asked))
    return f"{shorten(name, _MAX_SHOWN)}: recorded {_shown(recorded)}, asked {_shown(asked)}"


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if _is_image(value):
        size = f"{value.get('width')} x {value.get('height')}, {value.get('bytes')} bytes"
        return f"the picture {shorten(str(value['sha256']), 8)} ({value['media_type']}, {size})"
    text = repr(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return shorten(text, _MAX_SHOWN)


def _body_text(header: RecordingHeader) -> str:
    return json.dumps(header.request_body, ensure_ascii=False, sort_keys=True)[:_MAX_COMPARED]
