"""`ResponseStream`: errors in a stream, and messages that servers are not known to send."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sansio_moondream import (
    APIError,
    BBox,
    Completed,
    Limits,
    PathChunk,
    RateLimitError,
    RemoteProtocolError,
    ServerError,
    TextDelta,
    Unknown,
)
from sansio_moondream.testing import each_byte, run
from tests.core.streams import AB, A, B
from tests.helpers import DETECT, END, QUERY, SEGMENT, check_fragmentations, delta, record


class TestInStreamErrors:
    @pytest.mark.parametrize(
        ("data", "class_", "message"),
        [
            (record({"error": {"message": "boom", "type": "server_error"}}), ServerError, "boom"),
            (record({"error": "boom"}), APIError, "boom"),
            (record({"error": "boom", "detail": "why"}), APIError, "boom: why"),
            (
                record({"error": {"message": "boom", "type": "rate_limit_error"}}),
                RateLimitError,
                "boom",
            ),
            (record({"detail": "boom"}), APIError, "boom"),
            (record({"type": "error", "message": "boom"}), APIError, "boom"),
            (b'event: error\ndata: {"error": {"message": "boom"}}\n\n', APIError, "boom"),
            (b"event: error\ndata: boom\n\n", APIError, "boom"),
            (b'event: error\ndata: {"message": "boom"}\n\n', APIError, "boom"),
            (
                b'event: error\ndata: {"message": "boom", "type": "rate_limit_error"}\n\n',
                RateLimitError,
                "boom",
            ),
            (
                record({"error": {"code": None}, "chunk": "x", "completed": True}),
                APIError,
                "(it gave no reason)",
            ),
        ],
    )
    def test_they_end_the_stream(self, data: bytes, class_: type[APIError], message: str):
        outcome = run(QUERY, [AB + data + END])
        assert outcome.events == [A, B]
        assert type(outcome.error) is class_
        assert isinstance(outcome.error, APIError)
        assert (outcome.error.message, outcome.error.status_code) == (message, 200)
        assert outcome.snapshot.text == "ab"

    def test_one_without_its_blank_line_counts(self):
        assert type(run(QUERY, [AB + b'data: {"error": "boom"}']).error) is APIError

    def test_null_is_no_error_and_detail_beside_text_is_none(self):
        data = record({"error": None, "chunk": "a"}) + record({"chunk": "b", "detail": "x"}) + END
        assert run(QUERY, [data]).snapshot.text == "ab"


def test_segment_messages():
    box = {"x_min": 0, "y_min": 0.5, "x_max": 1, "y_max": 1}
    data = [
        {"type": "bbox", "bbox": box},
        {"type": "bbox", "bbox": None},
        {"chunk": "M 0 0"},
        {"type": None, "chunk": " L 1 1", "token_index": 3},
        {"type": "path_delta", "chunk": "", "completed": False},
        {"type": "thinking", "chunk": "hm"},
        {"type": "final", "chunk": " z", "completed": True, "bbox": None, "path": None},
    ]
    outcome = run(SEGMENT, [b"".join(map(record, data))])
    coarse = BBox(0, 0.5, 1, 1)
    assert [type(event).__name__ for event in outcome.events] == [
        "BBox",
        "PathChunk",
        "PathChunk",
        "Unknown",
        "PathChunk",
        "Completed",
    ]
    assert outcome.events[:3] == [coarse, PathChunk("M 0 0"), PathChunk(" L 1 1", 3)]
    assert (outcome.snapshot.bbox, outcome.snapshot.path) == (coarse, "M 0 0 L 1 1 z")


@pytest.mark.parametrize(
    ("end", "path"),
    [
        ({}, "M0 0z"),
        ({"path": None}, "M0 0z"),
        ({"path": ""}, ""),
        ({"path": "M1 1z"}, "M1 1z"),
        ({"parse_error": "no path"}, ""),
        ({"parse_error": "no path", "path": "M1"}, "M1"),
        ({"parse_error": 7}, "M0 0z"),
    ],
    ids=str,
)
def test_outline_without_a_refined_path(end: dict[str, Any], path: str):
    chunk = record({"type": "path_delta", "chunk": "M0 0z"})
    outcome = check_fragmentations(SEGMENT, chunk + record({"completed": True, **end}))
    assert outcome.snapshot.path == path


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"answer": "", "chunk": "A moon"}, "A moon"),
        ({"answer": "", "chunk": "", "text": "A moon"}, "A moon"),
        ({"answer": "A moon", "chunk": 7}, "A moon"),
        ({"chunk": "", "text": None}, ""),
        ({"text": ""}, ""),
    ],
    ids=str,
)
def test_text_of_a_whole_answer(message: dict[str, Any], text: str):
    outcome = run(QUERY, [json.dumps(message).encode()])
    assert outcome.events == [*[TextDelta(text)] * bool(text), Completed(outcome.snapshot)]


class TestOddMessages:
    """Unusual messages among those of the fast path give the same in any fragmentation.

    See test_fast_path.py too.
    """

    @pytest.mark.parametrize(
        "odd",
        [
            b'data: {"chunk": "x", "completed": true}\n\n',
            b'data: {"chunk": "", "completed": true}\n\n',
            b'data: {"chunk": ""}\n\n',
            b'data: {"chunk": "x", "new": 1}\n\n',
            b'data: {"chunk": null}\n\n',
            b'data: {"chunk": "\\ud83c"}\n\n',
            b'data: {"chunk": "x", "token_index": 1.5}\n\n',
            b'data: {"chunk": "x", "token_index": "7"}\n\n',
            b'data: {"chunk": 1}\n\n',
            b'data: {"chunk": "x"}\r\n\r\n',
            b'data: {"chunk": "x"\n, "token_index": 1}\n\n',
            b'data: {"chunk": "x"}\ndata: \n\n',
            b'data: {"chunk": "x"}\n\n\n',
            b'datum: {"chunk": "x"}\n\n',
            b'{"chunk": "x"}\n\n',
            b"data: \n\n",
            b"\n",
        ],
    )
    @pytest.mark.parametrize("count", [0, 1, 5])
    def test_an_odd_record_among_ordinary_ones(self, odd: bytes, count: int):
        data = delta("a", 1) * count + odd + delta("b", 2) * 2 + END
        records = [*[delta("a", 1)] * count, odd, *[delta("b", 2)] * 2, END]
        expected = run(QUERY, each_byte(data)).key
        assert run(QUERY, [data]).key == expected
        assert run(QUERY, records).key == expected
        assert check_fragmentations(QUERY, data).key == expected

    @pytest.mark.parametrize(
        "odd",
        [
            {"chunk": "x", "completed": False, "request_id": "another"},
            {"chunk": "x", "completed": False, "request_id": None},
            {"chunk": "x", "completed": False},
            {"chunk": "", "completed": False, "request_id": "r"},
            {"chunk": "x", "completed": False, "request_id": "r", "new": 1},
            {"completed": True, "chunk": "x", "request_id": "r"},
            {"error": "boom", "request_id": "r"},
        ],
    )
    def test_in_the_documented_dialect(self, odd: dict[str, Any]):
        ordinary = [
            record({"chunk": f" {at}", "completed": False, "request_id": "r", "token_index": at})
            for at in range(4)
        ]
        end = record({"completed": True, "chunk": "", "org_id": "o", "request_id": "r"})
        for records in (
            [*ordinary, end],
            [*ordinary, record(odd), *ordinary, end],
            [record(odd), *ordinary, delta("y"), *ordinary, end],
        ):
            data = b"".join(records)
            expected = check_fragmentations(QUERY, data)
            assert run(QUERY, records).key == expected.key
            assert run(QUERY, each_byte(data)).key == expected.key
            if records[4] == end:
                assert expected.events[:4] == [TextDelta(f" {at}", at) for at in range(4)]
                assert (expected.snapshot.text, expected.snapshot.metadata.request_id) == (
                    " 0 1 2 3",
                    "r",
                )

    def test_text_up_to_its_limit_and_beyond(self):
        data = delta("abcdefgh") * 3000 + END
        for limit in (len("abcdefgh") * 3000, len("abcdefgh") * 3000 - 1):
            outcomes = [
                run(
                    QUERY,
                    [data[at : at + size] for at in range(0, len(data), size)],
                    limits=Limits(max_text_bytes=limit),
                )
                for size in (len(data), 1460, len(delta("abcdefgh")))
            ]
            assert len({len(outcome.events) for outcome in outcomes}) == 1
            assert (outcomes[0].error is None) == (limit == 24000)

    def test_path_chunks(self):
        chunks = [
            record(
                {"type": "path_delta", "chunk": f" L {at} 0", "completed": False, "token_index": at}
            )
            for at in range(9)
        ]
        data = b"".join(chunks) + record({"type": "final", "completed": True, "path": "M 0 0"})
        outcome = check_fragmentations(SEGMENT, data)
        assert outcome.events[:9] == [PathChunk(f" L {at} 0", at) for at in range(9)]
        assert run(SEGMENT, chunks).key == run(SEGMENT, [b"".join(chunks)]).key

    def test_text_for_a_skill_that_has_none(self):
        outcome = check_fragmentations(DETECT, delta("a") * 3)
        assert [type(event).__name__ for event in outcome.events] == ["Unknown"] * 3


def test_numbers_and_surrogates_that_msgspec_refuses():
    data = (
        b'data: {"chunk": "a", "note": [1e400, "\\ud83c", {"\\udf19": "\\ud83c\\udf19"}]}\n\n'
        + record({"completed": True})
    )
    assert check_fragmentations(QUERY, data).snapshot.text == "a"
    outcome = check_fragmentations(
        QUERY, b'data: {"note": [1e400, "\\ud83c", {"\\udf19": "\\ud83c\\udf19"}]}\n\n'
    )
    assert outcome.events == [Unknown({"note": [float("inf"), "\ufffd", {"\ufffd": "\U0001f319"}]})]
    for text in (
        b"chunk",
        b"text",
    ):  # a surrogate waits for its pair only in the answer's text
        outcome = check_fragmentations(DETECT, b'data: {"%s": "a\\ud83c"}\n\n' % text)
        assert outcome.events == [Unknown({text.decode(): "a\ufffd"})]
    assert check_fragmentations(
        SEGMENT, b'data: {"completed": true, "text": "\\ud83c"}\n\n'
    ).snapshot.metadata.extra == {"text": "\ufffd"}
    refused = check_fragmentations(QUERY, b'data: ["\\ud83c"]\n\n')
    assert type(refused.error) is RemoteProtocolError


@pytest.mark.parametrize(
    ("code", "waits"), [(0xD7FF, False), (0xD800, True), (0xDBFF, True), (0xDC00, False)]
)
def test_bounds_of_the_surrogates_that_wait(code: int, waits: bool):
    first = chr(code)
    body = record({"chunk": f"a{first}"}) + record({"chunk": "\udfffb"}) + END
    outcome = check_fragmentations(QUERY, body)
    joined = (first + "\udfff").encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    before = "a" if waits else f"a{first}".replace("\udc00", "\ufffd")
    assert outcome.events[0] == TextDelta(before)
    assert outcome.events[1] == TextDelta(f"{joined}b" if waits else "\ufffdb")


@pytest.mark.parametrize("payload", [b'{"chunk":\r"a"}', b'{"chunk": "a"\r}'])
def test_carriage_return_inside_a_record_ends_its_line(payload: bytes):
    """To a JSON decoder it would be a blank."""
    data = b"data: " + payload + b"\n\n"
    for chunks in ([delta("a"), data, END], [delta("a") + data + END]):
        outcome = run(QUERY, chunks)
        assert outcome.events == [TextDelta("a")]
        assert type(outcome.error) is RemoteProtocolError


@pytest.mark.parametrize("status_code", [200, 203, 299])
def test_each_success_has_an_answer(status_code: int):
    outcome = run(QUERY, [AB + END], status_code=status_code)
    assert outcome.error is None
    assert outcome.snapshot.text == "ab"
