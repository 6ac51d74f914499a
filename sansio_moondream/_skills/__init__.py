"""Messages to events and results: one builder for each skill."""

from __future__ import annotations

from typing import Any

from .builder import Builder
from .chat import ChatBuilder
from .segment import SegmentBuilder
from .spatial import DetectBuilder, PointBuilder
from .text import CaptionBuilder, QueryBuilder

BUILDERS: dict[str, type[Builder[Any]]] = {
    "query": QueryBuilder,
    "caption": CaptionBuilder,
    "segment": SegmentBuilder,
    "detect": DetectBuilder,
    "point": PointBuilder,
    "chat": ChatBuilder,
}
"""The builder of each skill, by `Request.skill`."""
