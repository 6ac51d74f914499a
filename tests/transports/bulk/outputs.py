"""Rows of a ledger for the tests of its files, what the files should say of them, and readers of
the files that are not ours."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pyarrow.parquet as pq  # type: ignore[import-untyped]
from msgspec import to_builtins

from moondream_transports.bulk import OutputFormat, Row, Status
from moondream_transports.bulk._columns import Columns, Type
from moondream_transports.bulk._encoders import ENCODERS
from sansio_moondream import Grounding, Metadata, MoondreamError, Result

SKILLS = ("query", "caption", "segment", "detect", "point")
FORMATS = tuple(OutputFormat)
NOON = 1_796_000_000.25


def row_of(value: Result | MoondreamError, id: str = "moon.jpg", **others: Any) -> Row:
    """Make the row of an item that ended with a result or an error."""
    failed = isinstance(value, MoondreamError)
    fields = {
        "request": "5" * 64,
        "model": "",
        "status": Status.FAILED if failed else Status.DONE,
        "answer": json.dumps(value.to_dict()).encode(),
        "attempts": 1,
        "seconds": 0.5,
        "width": None,
        "height": None,
        "finished_at": NOON,
    }
    return Row(id, **{**fields, **others})


def expected(row: Row, value: Result | MoondreamError) -> dict[str, Any]:
    """Say what a file should have of a row, without the columns of masks."""
    error = value if isinstance(value, MoondreamError) else None
    result: Any = value.partial if isinstance(value, MoondreamError) else value
    answer = _EXPECTED[row_skill(result)](result) if result else {}
    metadata = result.metadata if result else Metadata()
    request_ids = [error and error.request_id, metadata.request_id]
    return {
        "id": row.id,
        "status": "failed" if error else "done",
        "partial": result is not None and (error is not None or result.partial),
        **answer,
        "finish_reason": metadata.finish_reason,
        "request_id": next(filter(None, request_ids), None),
        "model": row.model or None,
        "request": row.request,
        "input_tokens": metadata.tokens.input,
        "output_tokens": metadata.tokens.output,
        "seconds": row.seconds,
        "first_token_seconds": metadata.timing.first_token,
        "prefill_seconds": metadata.timing.prefill,
        "decode_seconds": metadata.timing.decode,
        "server_seconds": metadata.timing.total,
        "attempts": row.attempts,
        "finished_at": datetime.fromtimestamp(row.finished_at, UTC),
        "error_class": type(error).__name__ if error else None,
        "error_message": error.message if error else None,
        "error_status_code": getattr(error, "status_code", None),
        "error_retryable": error.retryable if error else None,
    }


def row_skill(result: Result) -> str:
    return type(result).__name__.removesuffix("Result").lower()


_EXPECTED: dict[str, Any] = {
    "query": lambda result: {
        "answer": result.text,
        "reasoning": result.reasoning and result.reasoning.text,
        "grounding": result.reasoning and list(map(_grounding, result.reasoning.grounding)),
    },
    "caption": lambda result: {"caption": result.text},
    "segment": lambda result: {
        "path": result.path,
        "bbox": plain(result.bbox),
        "parse_error": result.parse_error,
    },
    "detect": lambda result: {"objects": plain(result.objects)},
    "point": lambda result: {"points": plain(result.points)},
}


def _grounding(part: Grounding) -> dict[str, Any]:
    within = {name: n if -(2**63) <= n < 2**63 else None for name, n in _indices(part).items()}
    return {**within, "points": plain(part.points)}


def _indices(part: Grounding) -> dict[str, int]:
    return {"start_idx": part.start_idx, "end_idx": part.end_idx}


def plain(value: Any) -> Any:
    """Return a value as JSON would have it."""
    return json.loads(json.dumps(to_builtins(value)))


def encoded(rows: Iterable[Row], format: OutputFormat, columns: Columns) -> bytes:
    """Return the bytes of a file."""
    return b"".join(ENCODERS[format](rows, columns))


def decoded(data: bytes, format: OutputFormat, columns: Columns) -> list[dict[str, Any]]:
    """Read a file with a reader that is not ours. Times are aware datetimes."""
    if format is OutputFormat.PARQUET:
        rows: list[dict[str, Any]] = pq.read_table(io.BytesIO(data)).to_pylist()
        return rows
    if format is OutputFormat.JSON_LINES:
        lines = data.decode("utf-8").split("\n")
        assert lines.pop() == ""
        rows = [json.loads(line) for line in lines]
        for row in rows:
            row["finished_at"] = datetime.fromisoformat(row["finished_at"])
        return rows
    limit = csv.field_size_limit(10_000_000)  # the default is 131,072 characters
    try:
        lines = [*csv.reader(io.StringIO(data.decode("utf-8"), newline=""), strict=True)]
    finally:
        csv.field_size_limit(limit)
    types = {column.name: column.type for column in columns.columns}
    return [
        {name: _from_cell(cell, types[name]) for name, cell in zip(lines[0], cells, strict=True)}
        for cells in lines[1:]
    ]


def as_csv(row: dict[str, Any], columns: Columns) -> dict[str, Any]:
    """Return what a reader of CSV can know of a row: it has no null for text."""
    texts = {column.name for column in columns.columns if column.type == "text"}
    return {name: "" if name in texts and v is None else v for name, v in row.items()}


def _from_cell(cell: str, type_: Type) -> Any:
    if type_ == "text":
        return cell
    if cell == "":
        return None
    return datetime.fromisoformat(cell) if type_ == "time" else json.loads(cell)
