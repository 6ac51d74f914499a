"""Builder of a segmentation: a coarse box, chunks of a coarse path, the refined path and box."""

from __future__ import annotations

from sansio_moondream._events import Event, PathChunk
from sansio_moondream._geometry import BBox
from sansio_moondream._metadata import Metadata
from sansio_moondream._results import SegmentResult

from .builder import SHARED_FIELDS, Builder
from .fields import Fields, NoAnswer, optional_box, string, token_index


class SegmentBuilder(Builder[SegmentResult]):
    _MEANINGFUL = frozenset({"bbox", "chunk", "completed", "stats", "_stats"})
    _READ = SHARED_FIELDS | {"type", "bbox"}
    _NOT_EXTRA = SHARED_FIELDS | {"type", "path", "bbox", "parse_error"}

    _bbox: BBox | None = None
    _path: str | None = None
    """The refined path. If the last message has none, the chunks are the path."""
    _parse_error: str | None = None

    def _add_message(self, fields: Fields, completed: bool) -> list[Event]:
        if not completed and _has_other_type(fields):
            return []
        chunk = string(fields, "chunk")
        bbox = optional_box(fields)
        path = string(fields, "path") if completed else None
        data = self.deltas.add(chunk or "", last=completed)
        events: list[Event] = []
        if bbox is not None:
            self._bbox = bbox
            if not completed:
                events.append(bbox)
        if completed:
            self._set_refined(path, fields)
        if data:
            events.append(PathChunk(data, token_index(fields)))
        return events

    def _add_answer(self, fields: Fields) -> list[Event]:
        path = string(fields, "path")
        if path is None and fields.get("parse_error") is None:
            raise NoAnswer('the answer should have its outline in "path"')
        self._bbox = optional_box(fields)
        self._set_refined(path, fields)
        return []

    def _set_refined(self, path: str | None, fields: Fields) -> None:
        if isinstance(parse_error := fields.get("parse_error"), str):
            self._parse_error = parse_error
            path = path or ""
        self._path = path

    def _is_unknown(self, fields: Fields) -> bool:
        return _has_other_type(fields) or super()._is_unknown(fields)

    def _result(self, metadata: Metadata, *, partial: bool = False) -> SegmentResult:
        path = self.deltas.text() if self._path is None else self._path
        return SegmentResult(path, self._bbox, self._parse_error, metadata, partial)


def _has_other_type(fields: Fields) -> bool:
    return fields.get("type") not in (None, "bbox", "path_delta")
