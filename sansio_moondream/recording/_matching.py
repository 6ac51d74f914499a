"""Which recordings answer a request, and if none does, which is nearest and why it does not.

1. Requests are compared as recordings have them (`RecordingHeader.of`): pictures by their digest,
   secrets masked, no host.
2. A path matches another of which it is the end, part by part: `/v1/query` is `/proxy/v1/query`,
   and not `/v2/query`.
3. A body is compared as the JSON values that it is: the order of fields does not count, null is
   absence, 1 is 1.0 and not true. Whether the answer is streamed does count; not to say so is to
   ask for a whole one.
4. Header fields do not count.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from enum import Enum
from typing import Any, NamedTuple, cast

from sansio_moondream._errors import shorten

from ._values import RecordingHeader

_SHOWN = 60  # characters of a value in a message
_COMPARED = 2000  # characters of a body that decide which is nearest


class Match(Enum):
    """How alike a request and a recorded one have to be, the strictest first.

    Attributes:
        EXACT: method, path and body, the picture's digest included.
        ANY_IMAGE: the same, with any picture in the place of another.
        SKILL: method and the last part of the path.
    """

    EXACT = "exact"
    ANY_IMAGE = "any-image"
    SKILL = "skill"


class Matches(NamedTuple):
    """What `find_matches` found.

    Attributes:
        found: which of the recorded requests match, as their places in the sequence.
        nearest: where none does, the place of the one that comes nearest; None where there are none
            at all.
        differences: of the nearest, field by field, in words: "question: recorded 'What?', asked
            'Why?'".
    """

    found: tuple[int, ...]
    nearest: int | None = None
    differences: tuple[str, ...] = ()


def find_matches(
    asked: RecordingHeader, recorded: Sequence[RecordingHeader], match: Match = Match.EXACT
) -> Matches:
    """Compare a request (`RecordingHeader.of(request, secrets=...)`) with recorded ones."""
    different = [tuple(_differences(header, asked, match)) for header in recorded]
    found = tuple(place for place, differences in enumerate(different) if not differences)
    if found or not different:
        return Matches(found)
    text = _body_text(asked)

    def distance(place: int) -> tuple[bool, int, float]:
        header = recorded[place]
        likeness = SequenceMatcher(None, _body_text(header), text, autojunk=False).quick_ratio()
        return not _same_end(header.path, asked.path, 1), len(different[place]), -likeness

    nearest = min(range(len(recorded)), key=distance)
    return Matches((), nearest, different[nearest])


def _differences(recorded: RecordingHeader, asked: RecordingHeader, match: Match) -> Iterator[str]:
    if recorded.method.upper() != asked.method.upper():
        yield _words("method", recorded.method, asked.method)
    if not _same_end(recorded.path, asked.path, 1 if match is Match.SKILL else None):
        yield _words("path", recorded.path, asked.path)
    if match is not Match.SKILL:
        yield from _in_value(
            "", _asked_for(recorded.request_body), _asked_for(asked.request_body), match
        )


def _same_end(one: str, other: str, parts: int | None = None) -> bool:
    """Whether two paths are the same in their last parts: so many, or as many as both have."""
    pairs = list(
        zip(
            reversed(one.strip("/").split("/")), reversed(other.strip("/").split("/")), strict=False
        )
    )[:parts]
    return all(this == that for this, that in pairs)


def _asked_for(body: Any) -> Any:
    if not isinstance(body, dict):
        return body
    fields = cast("dict[str, Any]", body)
    return {**fields, "stream": fields.get("stream") or False}


def _in_value(name: str, recorded: Any, asked: Any, match: Match) -> Iterator[str]:
    if _is_image(recorded) and _is_image(asked):
        if match is Match.EXACT and recorded["sha256"] != asked["sha256"]:
            yield _words(name, recorded, asked)
    elif isinstance(recorded, dict) and isinstance(asked, dict):
        ours, theirs = cast("dict[str, Any]", recorded), cast("dict[str, Any]", asked)
        for field in dict.fromkeys([*ours, *theirs]):
            yield from _in_value(
                f"{name}.{field}" if name else field, ours.get(field), theirs.get(field), match
            )
    elif isinstance(recorded, list) and isinstance(asked, list):
        items, others = cast("list[Any]", recorded), cast("list[Any]", asked)
        if len(items) != len(others):
            yield _words(name or "body", recorded, asked)
            return
        for at, (one, other) in enumerate(zip(items, others, strict=True)):
            yield from _in_value(f"{name}[{at}]", one, other, match)
    elif recorded != asked or isinstance(recorded, bool) != isinstance(asked, bool):
        yield _words(name or "body", recorded, asked)


def _is_image(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() >= {"sha256", "media_type"}


def _words(name: str, recorded: Any, asked: Any) -> str:
    if isinstance(recorded, str) and isinstance(asked, str):
        same = next(
            (
                at
                for at, (one, other) in enumerate(zip(recorded, asked, strict=False))
                if one != other
            ),
            min(len(recorded), len(asked)),
        )
        if same > _SHOWN // 2:  # long texts may begin alike
            recorded, asked = (f"…{text[same - _SHOWN // 4 :]}" for text in (recorded, asked))
    return f"{shorten(name, _SHOWN)}: recorded {_shown(recorded)}, asked {_shown(asked)}"


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if _is_image(value):
        size = f"{value.get('width')} x {value.get('height')}, {value.get('bytes')} bytes"
        return f"the picture {shorten(str(value['sha256']), 8)} ({value['media_type']}, {size})"
    return (
        shorten(repr(value), _SHOWN)
        if isinstance(value, str)
        else shorten(json.dumps(value, ensure_ascii=False), _SHOWN)
    )


def _body_text(header: RecordingHeader) -> str:
    return json.dumps(header.request_body, ensure_ascii=False, sort_keys=True)[:_COMPARED]
