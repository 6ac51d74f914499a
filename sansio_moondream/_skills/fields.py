"""Fields of a message to values: those that carry the answer, or contradict the protocol, and those
that are only about it.

What carries the answer must have the right type (`Contradiction` otherwise); what is only about it
is let go when it has not (None). `null` is absence everywhere."""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, TypeVar, cast

import msgspec

from sansio_moondream._geometry import BBox, Point
from sansio_moondream._results import Grounding, Metrics, Reasoning, Stats, Usage

Fields = dict[str, Any]


class Contradiction(Exception):
    """A message that is JSON but not of the protocol; says what was expected and what was seen."""


def flag(fields: Fields, name: str) -> bool:
    """True or false; absence is false. Raises Contradiction."""
    value = fields.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise Contradiction(f'"{name}" should be true or false, not {kind_of(value)}')


def string(fields: Fields, name: str) -> str | None:
    """A text, or None where there is none. Raises Contradiction."""
    value = fields.get(name)
    if value is None or isinstance(value, str):
        return value
    raise Contradiction(f'"{name}" should be text, not {kind_of(value)}')


def token_index(fields: Fields) -> int | None:
    """Where in the answer a chunk of it begins, if the server says it."""
    value = fields.get("token_index")
    return value if type(value) is int else None


def optional_box(fields: Fields) -> BBox | None:
    """A box, or None where there is none. Raises Contradiction."""
    value = fields.get("bbox")
    return None if value is None else _place(BBox, value, "bbox")


P = TypeVar("P", BBox, Point)


def list_of(kind: type[P], fields: Fields, name: str) -> tuple[P, ...]:
    """Boxes or points, of which there may be none, but not no list. Raises Contradiction."""
    value = fields.get(name)
    if not isinstance(value, list):
        raise Contradiction(f'the answer should have a list in "{name}", not {kind_of(value)}')
    places = cast(list[Any], value)
    return tuple(_place(kind, place, name) for place in places)


def _place(kind: type[P], value: Any, name: str) -> P:
    try:
        place = msgspec.convert(value, kind)
    except (ValueError, OverflowError) as error:
        raise Contradiction(
            f'"{name}" should hold numbers {", ".join(kind.__struct_fields__)} ({error})'
        ) from error
    if not all(map(math.isfinite, msgspec.structs.astuple(place))):
        raise Contradiction(f'"{name}" should hold finite numbers')
    return place


M = TypeVar("M", Metrics, Stats, Usage)


def numbers(kind: type[M], value: Any) -> M | None:
    """Measurements: those that are numbers, of an object; None of anything else."""
    if not isinstance(value, dict):
        return None
    given = cast(dict[str, Any], value)
    kept: dict[str, Any] = {}
    for name in kind.__struct_fields__:
        with suppress(ValueError, OverflowError):
            kept[name] = getattr(msgspec.convert({name: given.get(name)}, kind), name)
    return kind(**kept)


class _WireGrounding(msgspec.Struct):
    start_idx: int
    end_idx: int
    points: list[tuple[float, float]] = []


class _WireReasoning(msgspec.Struct):
    text: str
    grounding: list[_WireGrounding] = []


def read_reasoning(value: Any) -> Reasoning | None:
    """A reasoning as text, or as an object with a text and its grounding;

    None for any other form.
    """
    if isinstance(value, str):
        return Reasoning(value)
    try:
        wire = msgspec.convert(value, _WireReasoning)
    except (ValueError, OverflowError):
        return None
    return Reasoning(
        wire.text,
        tuple(Grounding(g.start_idx, g.end_idx, _points(g.points)) for g in wire.grounding),
    )


def _points(pairs: Iterable[tuple[float, float]]) -> tuple[Point, ...]:
    return tuple(Point(x, y) for x, y in pairs)


def kind_of(value: Any) -> str:
    """The JSON name of a value's type, for people who look at JSON."""
    names = {
        "dict": "an object",
        "list": "an array",
        "str": "text",
        "bool": "true or false",
        "NoneType": "null",
    }
    return names.get(type(value).__name__, "a number")
