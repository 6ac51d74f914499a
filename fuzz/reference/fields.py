"""Fields of a message to values."""

from __future__ import annotations

import math
from typing import Any

import sansio_moondream as sm

Fields = dict[str, Any]


class Fault(Exception):
    """A step raises it instead of the error of this class."""

    def __init__(self, error: type[sm.MoondreamError]) -> None:
        self.error = error


class NoAnswer(Fault):
    """A whole answer lacks its main field."""

    def __init__(self) -> None:
        super().__init__(sm.RemoteProtocolError)


def flag(fields: Fields, name: str) -> bool:
    if fields.get(name) not in (None, True, False) or type(fields.get(name)) in (int, float):
        raise Fault(sm.RemoteProtocolError)
    return fields.get(name) is True


def string(fields: Fields, name: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise Fault(sm.RemoteProtocolError)
    return value


def integer(value: Any) -> int | None:
    return value if type(value) is int else None


def number(value: Any) -> float | None:
    if type(value) not in (int, float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def place(kind: type[sm.BBox] | type[sm.Point], value: Any) -> Any:
    names = ("x_min", "y_min", "x_max", "y_max") if kind is sm.BBox else ("x", "y")
    numbers = [number(value.get(name)) for name in names] if isinstance(value, dict) else [None]
    if any(number is None or not math.isfinite(number) for number in numbers):
        raise Fault(sm.RemoteProtocolError)
    return kind(*numbers)


def read_reasoning(value: Any) -> sm.Reasoning | None:
    match value:
        case str():
            return sm.Reasoning(value)
        case {"text": str(text)}:
            grounding = value.get("grounding", [])
            parts = (
                [_read_grounding(part) for part in grounding]
                if isinstance(grounding, list)
                else [None]
            )
            return (
                None
                if None in parts
                else sm.Reasoning(text, tuple(part for part in parts if part is not None))
            )
        case _:
            return None


def _read_grounding(value: Any) -> sm.Grounding | None:
    if not isinstance(value, dict):
        return None
    start, end, pairs = (
        integer(value.get("start_idx")),
        integer(value.get("end_idx")),
        value.get("points", []),
    )
    if start is None or end is None or not isinstance(pairs, list):
        return None
    points: list[sm.Point] = []
    for pair in pairs:
        x, y = map(number, pair) if isinstance(pair, list) and len(pair) == 2 else (None, None)
        if x is None or y is None or not (math.isfinite(x) and math.isfinite(y)):
            return None
        points.append(sm.Point(x, y))
    return sm.Grounding(start, end, tuple(points))
