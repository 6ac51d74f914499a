"""Fields of a message to values.

A field that carries the answer must have the right type, else `Contradiction` is raised. A field of
metadata with the wrong type is read as absent. `null` is absence everywhere.
"""

from __future__ import annotations

import math
from contextlib import suppress
from itertools import chain
from typing import Any, TypeVar, cast

import msgspec

from sansio_moondream._geometry import BBox, Point
from sansio_moondream._metadata import Metrics, Stats, Usage
from sansio_moondream._results import Grounding, Reasoning

Fields = dict[str, Any]


class Contradiction(Exception):
    """A message is JSON, but contradicts the protocol. Says what was expected and what was seen."""


class NoAnswer(Contradiction):
    """A whole answer lacks the field that carries the answer."""


def flag(fields: Fields, name: str) -> bool:
    """Return a boolean of the answer; absence is False. Raises Contradiction."""
    value = fields.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise Contradiction(f'"{name}" should be true or false, not {kind_of(value)}')


def string(fields: Fields, name: str) -> str | None:
    """Return a text of the answer, or None if it is absent. Raises Contradiction."""
    value = fields.get(name)
    if value is None or isinstance(value, str):
        return value
    raise Contradiction(f'"{name}" should be text, not {kind_of(value)}')


def first_string(fields: Fields, *names: str) -> str | None:
    """Return the first text of these fields that is not empty; "" if all that are there are empty.

    None if all are absent. Raises Contradiction.
    """
    empty: str | None = None
    for name in names:
        text = string(fields, name)
        if text:
            return text
        if text is not None:
            empty = text
    return empty


def token_index(fields: Fields) -> int | None:
    """Return the index of the first token in this chunk, if the server sent it."""
    value = fields.get("token_index")
    return value if type(value) is int else None


def optional_box(fields: Fields) -> BBox | None:
    """Return the box, or None if it is absent. Raises Contradiction."""
    value = fields.get("bbox")
    return None if value is None else _place(BBox, value, "bbox")


P = TypeVar("P", BBox, Point)


def list_of(kind: type[P], fields: Fields, name: str) -> tuple[P, ...]:
    """Return the boxes or points in a list, which may be empty but not absent.

    Raises Contradiction, or NoAnswer if it is absent.
    """
    value = fields.get(name)
    if not isinstance(value, list):
        wrong = NoAnswer if value is None else Contradiction
        raise wrong(f'the answer should have a list in "{name}", not {kind_of(value)}')
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


def numbers(kind: type[M], value: Any, earlier: M | None) -> M | None:
    """Return the numbers in an object of measurements, or None if `value` is no object.

    A measurement that is absent, or of the wrong type, keeps its value of an `earlier` message.
    """
    if not isinstance(value, dict):
        return None
    given = cast(dict[str, Any], value)
    if earlier is None:
        with suppress(ValueError, OverflowError):
            return msgspec.convert(given, kind)
    kept: dict[str, Any] = {}
    for name in given.keys() & kind.__struct_fields__:
        with suppress(ValueError, OverflowError):
            number = getattr(msgspec.convert({name: given.get(name)}, kind), name)
            if number is not None:
                kept[name] = number
    return msgspec.structs.replace(earlier or kind(), **kept)


class _WireGrounding(msgspec.Struct):
    start_idx: int
    end_idx: int
    points: list[tuple[float, float]] = []


class _WireReasoning(msgspec.Struct):
    text: str
    grounding: list[_WireGrounding] = []


def read_reasoning(value: Any) -> Reasoning | None:
    """Return a reasoning: a text, or an object with a text and its grounding.

    None for a value of any other form, and for a number that is not finite.
    """
    if isinstance(value, str):
        return Reasoning(value)
    if not isinstance(value, dict):
        return None  # far cheaper than msgspec's exception
    try:
        wire = msgspec.convert(value, _WireReasoning)
    except (ValueError, OverflowError):
        return None
    points = (point for part in wire.grounding for point in part.points)
    if not all(map(math.isfinite, chain.from_iterable(points))):
        return None
    return Reasoning(wire.text, tuple(map(_grounding, wire.grounding)))


def _grounding(wire: _WireGrounding) -> Grounding:
    points = tuple(Point(x, y) for x, y in wire.points)
    return Grounding(wire.start_idx, wire.end_idx, points)


def kind_of(value: Any) -> str:
    """Return the name that JSON has for the type of a value."""
    names = {
        "dict": "an object",
        "list": "an array",
        "str": "text",
        "bool": "true or false",
        "NoneType": "null",
    }
    return names.get(type(value).__name__, "a number")
