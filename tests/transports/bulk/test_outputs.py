"""The columns of the files of a bulk run, in all formats, read by others' readers."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moondream_transports.bulk import OutputFormat, Row
from moondream_transports.bulk._columns import Columns
from sansio_moondream import (
    BBox,
    CaptionResult,
    DetectResult,
    Metadata,
    Metrics,
    MoondreamError,
    Point,
    PointResult,
    QueryResult,
    Reasoning,
    Usage,
)
from sansio_moondream.testing.strategies import values
from tests.transports.bulk.outputs import (
    FORMATS,
    NOON,
    SKILLS,
    as_csv,
    decoded,
    encoded,
    expected,
    row_of,
)

each_format = pytest.mark.parametrize("format", FORMATS)
each_skill = pytest.mark.parametrize("skill", SKILLS)

ERRORS = ("rate_limit_error", "connection_lost", "tls_error", "api_error", "first_event_timeout")
HARD = (
    *("", " ", "\0", "\r", "\n", "\r\n", '"', '""', ",", "'", "\\", "\t", "\u2028", "\ufeff"),
    *("🌒 née\u0301", "=1+1", "-5", "+1", "@SUM(A1)", "null", "None", '{"a": 1}', "x" * 200_000),
)


def check(answers: list[tuple[Row, Any]], skill: str) -> None:
    """Assert that a file of each format has exactly what went in."""
    columns = Columns(skill)
    none = dict.fromkeys(columns.names)
    wanted = [{**none, **expected(row, value)} for row, value in answers]
    rows = [row for row, _ in answers]
    for each in FORMATS:
        found = decoded(encoded(rows, each, columns), each, columns)
        is_csv = each is OutputFormat.CSV
        assert found == ([as_csv(row, columns) for row in wanted] if is_csv else wanted), each
        assert all(list(row) == list(columns.names) for row in found)


def outcomes(skill: str) -> st.SearchStrategy[Any]:
    """Draw results of a skill, and errors with none or one of them as their partial."""

    def with_partial(error: MoondreamError, partial: Any) -> MoondreamError:
        error.partial = partial
        return error

    results = values(f"{skill}_result")
    errors = st.sampled_from(ERRORS).flatmap(values)
    return results | st.builds(with_partial, errors, st.none() | results)


class TestAllThatAModelMayAnswer:
    def check_any(self, skill: str, drawn: list[Any]) -> None:
        rows = [
            (row_of(value, f"{n}", model="m" * (n % 2), seconds=n / 7, finished_at=NOON + n), value)
            for n, value in enumerate(drawn)
        ]
        check(rows, skill)

    @each_skill
    @settings(max_examples=10)
    @given(data=st.data())
    def test_each_skill(self, skill: str, data: st.DataObject) -> None:
        self.check_any(skill, data.draw(st.lists(outcomes(skill), max_size=4)))

    @pytest.mark.slow
    @each_skill
    @settings(max_examples=100)
    @given(data=st.data())
    def test_each_skill_at_length(self, skill: str, data: st.DataObject) -> None:
        self.check_any(skill, data.draw(st.lists(outcomes(skill), max_size=4)))

    def test_hard_texts(self) -> None:
        check(
            [
                (
                    row_of(
                        QueryResult(text, Reasoning(text), Metadata(request_id=text)),
                        f"{number}{text}",
                        model=text,
                    ),
                    QueryResult(text, Reasoning(text), Metadata(request_id=text)),
                )
                for number, text in enumerate(HARD)
            ],
            "query",
        )

    def test_no_rows(self) -> None:
        for skill in SKILLS:
            check([], skill)

    @each_format
    def test_the_same_rows_make_the_same_bytes(self, format: OutputFormat) -> None:
        rows = [row_of(PointResult((Point(0.5, n / 9),)), f"{n}") for n in range(50)]
        columns = Columns("point")
        assert encoded(rows, format, columns) == encoded(iter(rows), format, Columns("point"))


class TestTypes:
    def test_parquet_has_them(self) -> None:
        def schema(skill: str, masks: bool = False) -> dict[str, str]:
            columns = Columns(skill, masks)
            data = encoded([], OutputFormat.PARQUET, columns)
            found = pq.read_schema(io.BytesIO(data))
            return {name: str(found.field(name).type) for name in found.names}

        box = "struct<x_min: double, y_min: double, x_max: double, y_max: double>"
        common = {
            "id": "string",
            "status": "string",
            "partial": "bool",
            "finish_reason": "string",
            "request_id": "string",
            "model": "string",
            "request": "string",
            "input_tokens": "int64",
            "output_tokens": "int64",
            "seconds": "double",
            "first_token_seconds": "double",
            "prefill_seconds": "double",
            "decode_seconds": "double",
            "server_seconds": "double",
            "attempts": "int64",
            "finished_at": "timestamp[us, tz=UTC]",
            "error_class": "string",
            "error_message": "string",
            "error_status_code": "int64",
            "error_retryable": "bool",
        }
        assert schema("caption") == common | {"caption": "string"}
        assert schema("detect") == common | {"objects": f"list<element: {box}>"}
        assert schema("point") == common | {"points": "list<element: struct<x: double, y: double>>"}
        segment = common | {"path": "string", "bbox": box, "parse_error": "string"}
        assert schema("segment") == segment
        assert schema("segment", masks=True) == segment | {
            "mask": "struct<size: list<element: int64>, counts: string>",
            "mask_error": "string",
        }
        grounding = pa.list_(
            pa.struct(
                {
                    "start_idx": pa.int64(),
                    "end_idx": pa.int64(),
                    "points": pa.list_(pa.struct({"x": pa.float64(), "y": pa.float64()})),
                }.items()
            )
        )
        query = schema("query")
        assert query.pop("grounding").startswith("list<element: struct<start_idx: int64")
        assert query == common | {"answer": "string", "reasoning": "string"}
        data = io.BytesIO(encoded([], OutputFormat.PARQUET, Columns("query")))
        assert pq.read_schema(data).field("grounding").type == grounding

    @each_format
    def test_a_number_beyond_64_bits_is_null(self, format: OutputFormat) -> None:
        edges = [2**63 - 1, 2**63, 10**30, 0]
        rows = [
            row_of(QueryResult("", None, Metadata(metrics=Metrics(number, 1)))) for number in edges
        ]
        columns = Columns("query")
        found = decoded(encoded(rows, format, columns), format, columns)
        assert [row["input_tokens"] for row in found] == [2**63 - 1, None, None, 0]
        assert [row["output_tokens"] for row in found] == [1] * 4

    def test_csv_tells_empty_text_from_none(self) -> None:
        columns = Columns("query")
        data = encoded([row_of(QueryResult("", None, Metadata()))], OutputFormat.CSV, columns)
        header, line, end = data.split(b"\r\n")
        assert end == b""
        cells = dict(zip(header.split(b","), line.split(b","), strict=True))
        assert cells[b'"answer"'] == b'""'
        assert cells[b'"reasoning"'] == b""
        assert cells[b'"partial"'] == b"false"
        assert cells[b'"finished_at"'] == b'"2026-11-30T00:53:20.250000Z"'

    def test_csv_changes_no_text_that_a_spreadsheet_takes_for_a_formula(self) -> None:
        rows = [row_of(CaptionResult('=HYPERLINK("http://moon.example")'), "=1+1")]
        data = encoded(rows, OutputFormat.CSV, Columns("caption")).decode()
        (found,) = csv.DictReader(io.StringIO(data, newline=""))
        assert found["id"] == "=1+1"
        assert found["caption"] == '=HYPERLINK("http://moon.example")'

    def test_json_lines_have_all_columns_in_order(self) -> None:
        columns = Columns("detect")
        data = encoded(
            [row_of(DetectResult((BBox(0, 0.25, 1, 1),)))], OutputFormat.JSON_LINES, columns
        )
        assert data.startswith(b'{"id":"moon.jpg","status":"done","partial":false,"objects":[{')
        assert list(json.loads(data)) == list(columns.names)


def test_usage_of_a_gateway_counts_as_tokens() -> None:
    result = CaptionResult("moon", Metadata(usage=Usage(700, 30, 730)))
    check([(row_of(result), result)], "caption")
