"""Items that failed, and rows of a ledger that cannot be read, in the files of a bulk run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from moondream_transports.bulk import OutputFormat, Status
from moondream_transports.bulk._columns import Columns
from sansio_moondream import (
    CaptionResult,
    ConnectionLost,
    Metadata,
    QueryResult,
    RateLimitError,
    SegmentResult,
)
from tests.transports.bulk.outputs import FORMATS, decoded, encoded, row_of

each_format = pytest.mark.parametrize("format", FORMATS)


class TestFailedRows:
    @each_format
    def test_what_arrived_is_in_the_columns_of_the_answer(self, format: OutputFormat) -> None:
        partial = QueryResult("A mo", None, Metadata(request_id="7"), partial=True)
        lost = ConnectionLost("the connection broke", partial=partial)
        columns = Columns("query")
        (found,) = decoded(encoded([row_of(lost)], format, columns), format, columns)
        assert found["status"] == "failed"
        assert found["partial"] is True
        assert found["answer"] == "A mo"
        assert found["request_id"] == "7"
        assert found["error_class"] == "ConnectionLost"
        assert found["error_message"] == "the connection broke"
        assert found["error_retryable"] is False

    @each_format
    def test_an_error_of_the_service(self, format: OutputFormat) -> None:
        error = RateLimitError("slow down", status_code=429, retry_after=1.0, request_id="8")
        columns = Columns("caption")
        (found,) = decoded(encoded([row_of(error, attempts=3)], format, columns), format, columns)
        assert found["error_class"] == "RateLimitError"
        assert found["error_status_code"] == 429
        assert found["error_retryable"] is True
        assert found["attempts"] == 3
        assert found["request_id"] == "8"
        assert found["partial"] is False
        assert found["caption"] in (None, "")

    def test_a_failure_before_any_request_needs_only_kind_and_message(self) -> None:
        answer = b'{"kind": "FileNotFoundError", "message": "moon\\udcff.jpg: no such file"}'
        row = row_of(CaptionResult(), status=Status.FAILED, answer=answer, attempts=0)
        columns = Columns("caption")
        for each in FORMATS:
            (found,) = decoded(encoded([row], each, columns), each, columns)
            assert found["error_class"] == "FileNotFoundError"
            assert found["error_message"] == "moon\ufffd.jpg: no such file"
            assert found["error_status_code"] is None
            assert found["error_retryable"] is None
            assert found["attempts"] == 0

    def test_an_answer_with_a_lone_surrogate_is_read(self) -> None:
        result = QueryResult("half \ud83c")  # no server's answer, but Python can hold it
        columns = Columns("query")
        found = json.loads(encoded([row_of(result)], OutputFormat.JSON_LINES, columns))
        assert found["answer"] == "half \ufffd"


class TestRefused:
    @pytest.mark.parametrize(
        ("answer", "message"),
        [
            (CaptionResult("moon").to_dict(), "cannot be read as one of query: Invalid value 'cap"),
            (QueryResult("moon").to_dict() | {"version": 2}, "version 2 of the JSON form"),
            (QueryResult("moon").to_dict() | {"text": None}, "Expected `str`, got `null`"),
            ({"kind": "query_result"}, "missing required field"),
            ([], "Expected `object`, got `array`"),
        ],
    )
    def test_an_answer_that_is_none_of_the_skill(self, answer: Any, message: str) -> None:
        row = row_of(QueryResult(), answer=json.dumps(answer).encode())
        for each in FORMATS:
            with pytest.raises(ValueError, match="'moon.jpg' in the ledger") as caught:
                encoded([row], each, Columns("query"))
            assert message in str(caught.value)

    @pytest.mark.parametrize("answer", [b"", b"{", b'{"kind": "query_result"', b"\xff", b'"\xff"'])
    @pytest.mark.parametrize("status", Status)
    def test_a_damaged_answer(self, answer: bytes, status: Status) -> None:
        row = row_of(QueryResult(), answer=answer, status=status)
        with pytest.raises(ValueError, match="'moon.jpg' in the ledger cannot be read"):
            Columns("query").read(row)

    def test_a_partial_of_another_skill(self) -> None:
        error = ConnectionLost("lost", partial=SegmentResult("M0"))
        with pytest.raises(ValueError, match="cannot be read as one of query"):
            Columns("query").read(row_of(error))

    def test_no_such_columns(self) -> None:
        with pytest.raises(ValueError, match="one of query, caption, .*, not 'chat'"):
            Columns("chat")
        with pytest.raises(ValueError, match="only answers of segment have masks"):
            Columns("query", masks=True)
