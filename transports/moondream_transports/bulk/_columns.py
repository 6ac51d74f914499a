"""The columns of the files, by skill: their names, their types, and how they are read.

They are written down only here. Each encoder writes each type in its own way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, NamedTuple, TypeAlias

from ._answers import AnswerReader, QueryForm
from ._values import Row

Type: TypeAlias = "str | list[Type] | dict[str, Type]"
"""`text`, `int64`, `float64`, `bool` or `time`, a list of one type, or a struct of named types."""


class Column(NamedTuple):
    """One column.

    Attributes:
        name: in the files.
        type: of its values, which may be None in each column but `id`, `status` and `partial`.
        part: the attribute of an `Answer` that it is read from. Where that is None, the value is.
        read: returns the value of the part.
    """

    name: str
    type: Type
    part: str
    read: Callable[[Any], Any]


class Columns:
    """The columns of the files of one skill.

    Args:
        skill: query, caption, segment, detect or point.
        masks: the masks of segmentations, as run lengths of COCO, too. They take about 10 ms of
            processor time for each million pixels of a picture.

    Attributes:
        columns: in their order.
        names: of the columns.

    Raises:
        ValueError: there is no such skill, or its answers have no masks.
    """

    def __init__(self, skill: str, masks: bool = False) -> None:
        if skill not in ANSWERS:
            raise ValueError(f"skill should be one of {', '.join(ANSWERS)}, not {skill!r}")
        if masks and skill != "segment":
            raise ValueError(f"only answers of segment have masks, and these are of {skill}")
        answer = ANSWERS[skill] + MASKS if masks else ANSWERS[skill]
        self.columns = ITEM + answer + EXCHANGE
        self.names = tuple(column.name for column in self.columns)
        self._reader = AnswerReader(skill)
        self._reads = [(attrgetter(column.part), column.read) for column in self.columns]

    def read(self, row: Row) -> list[Any]:
        """Return the values of a row, one for each column.

        Values of nested types consist of msgspec's structs, dicts and tuples.

        Raises:
            ValueError: the answer is of another skill, of a newer version, or damaged.
        """
        answer = self._reader.read(row)
        return [
            None if (part := part_of(answer)) is None else read(part)
            for part_of, read in self._reads
        ]


def _whole(name: str) -> Callable[[Any], int | None]:
    """Read a whole number, or None for one that a column of 64 bits cannot hold."""
    get = attrgetter(name)
    return lambda part: _in_64_bits(get(part))


def _in_64_bits(value: int | None) -> int | None:
    return value if value is not None and -(2**63) <= value < 2**63 else None


def _reasoning(result: QueryForm) -> str | None:
    return result.reasoning.text if result.reasoning else None


def _grounding(result: QueryForm) -> list[Mapping[str, Any]] | None:
    if result.reasoning is None:
        return None
    return [
        {
            "start_idx": _in_64_bits(part.start_idx),
            "end_idx": _in_64_bits(part.end_idx),
            "points": part.points,
        }
        for part in result.reasoning.grounding
    ]


def _status(row: Row) -> str:
    return row.status.value


def _request(row: Row) -> str | None:
    return row.request or None


def _model(row: Row) -> str | None:
    return row.model or None


def _finished_at(row: Row) -> datetime:
    return datetime.fromtimestamp(row.finished_at, UTC)


_XY: Type = {"x": "float64", "y": "float64"}
_BOX: Type = {"x_min": "float64", "y_min": "float64", "x_max": "float64", "y_max": "float64"}
_RLE: Type = {"size": ["int64"], "counts": "text"}
_GROUNDING: Type = {"start_idx": "int64", "end_idx": "int64", "points": [_XY]}

ITEM = (
    Column("id", "text", "row", attrgetter("id")),
    Column("status", "text", "row", _status),
    Column("partial", "bool", "partial", bool),
)
"""The first columns of every skill. Those of its answers follow."""

ANSWERS: dict[str, tuple[Column, ...]] = {
    "query": (
        Column("answer", "text", "result", attrgetter("text")),
        Column("reasoning", "text", "result", _reasoning),
        Column("grounding", [_GROUNDING], "result", _grounding),
    ),
    "caption": (Column("caption", "text", "result", attrgetter("text")),),
    "segment": (
        Column("path", "text", "result", attrgetter("path")),
        Column("bbox", _BOX, "result", attrgetter("bbox")),
        Column("parse_error", "text", "result", attrgetter("parse_error")),
    ),
    "detect": (Column("objects", [_BOX], "result", attrgetter("objects")),),
    "point": (Column("points", [_XY], "result", attrgetter("points")),),
}
"""The columns of the answers of each skill."""

MASKS = (
    Column("mask", _RLE, "mask", attrgetter("rle")),
    Column("mask_error", "text", "mask", attrgetter("error")),
)
"""The columns of masks, behind those of a segmentation."""

EXCHANGE = (
    Column("finish_reason", "text", "metadata", attrgetter("finish_reason")),
    Column("request_id", "text", "request_id", str),
    Column("model", "text", "row", _model),
    Column("request", "text", "row", _request),
    Column("input_tokens", "int64", "metadata", _whole("tokens.input")),
    Column("output_tokens", "int64", "metadata", _whole("tokens.output")),
    Column("seconds", "float64", "row", attrgetter("seconds")),
    Column("first_token_seconds", "float64", "metadata", attrgetter("timing.first_token")),
    Column("prefill_seconds", "float64", "metadata", attrgetter("timing.prefill")),
    Column("decode_seconds", "float64", "metadata", attrgetter("timing.decode")),
    Column("server_seconds", "float64", "metadata", attrgetter("timing.total")),
    Column("attempts", "int64", "row", attrgetter("attempts")),
    Column("finished_at", "time", "row", _finished_at),
    Column("error_class", "text", "error", attrgetter("class_name")),
    Column("error_message", "text", "error", attrgetter("message")),
    Column("error_status_code", "int64", "error", _whole("status_code")),
    Column("error_retryable", "bool", "error", attrgetter("retryable")),
)
"""The last columns of every skill."""
