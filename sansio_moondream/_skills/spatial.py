"""Builders of the skills whose answer is a list of places: detect and point.

The service never streams them. If a server does, the last message has the whole list.
"""

from __future__ import annotations

from sansio_moondream._events import Event
from sansio_moondream._geometry import BBox, Point
from sansio_moondream._metadata import Metadata
from sansio_moondream._results import DetectResult, PointResult

from .builder import SHARED_FIELDS, Builder
from .fields import Fields, list_of


class DetectBuilder(Builder[DetectResult]):
    _MEANINGFUL = frozenset({"stats", "_stats"})
    _NOT_EXTRA = SHARED_FIELDS | {"objects"}

    _objects: tuple[BBox, ...] = ()

    def _add_message(self, fields: Fields, completed: bool) -> list[Event]:
        if completed:
            self._objects = list_of(BBox, fields, "objects")
        return []

    def _result(self, metadata: Metadata, *, partial: bool = False) -> DetectResult:
        return DetectResult(self._objects, metadata, partial)


class PointBuilder(Builder[PointResult]):
    _MEANINGFUL = frozenset({"stats", "_stats"})
    _NOT_EXTRA = SHARED_FIELDS | {"points"}

    _points: tuple[Point, ...] = ()

    def _add_message(self, fields: Fields, completed: bool) -> list[Event]:
        if completed:
            self._points = list_of(Point, fields, "points")
        return []

    def _result(self, metadata: Metadata, *, partial: bool = False) -> PointResult:
        return PointResult(self._points, metadata, partial)
