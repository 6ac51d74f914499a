"""Every rule of the event stream format (WHATWG HTML, 9.2.5 and 9.2.6), in every fragmentation."""

from __future__ import annotations

import tracemalloc

import pytest

from sansio_moondream import (
    Completed,
    IncompleteStream,
    LimitExceeded,
    Limits,
    QueryResult,
    RemoteProtocolError,
    ResponseStream,
    TextDelta,
    testing,
)
from sansio_moondream.testing import EVENT_STREAM, Outcome, run
from tests.helpers import END, QUERY, check_fragmentations, delta, record

SMALL = [Limits(max_record_bytes=size) for size in (1, 7, 40, 60, 200)]


def check(data: bytes, limits: Limits | None = None) -> Outcome:
    """The small limits are tried byte by byte and with a few borders, the usual ones with all."""
    for small in SMALL:
        testing.check_fragmentations(QUERY, data, limits=small, max_offsets=8)
    return check_fragmentations(QUERY, data, limits=limits)


def texts(outcome: Outcome) -> list[str]:
    return [event.text for event in outcome.events if isinstance(event, TextDelta)]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"], ids=["LF", "CR", "CRLF"])
def test_line_ends(end: bytes):
    outcome = check((delta("one") + delta(" two") + END).replace(b"\n", end))
    assert (texts(outcome), outcome.error) == (["one", " two"], None)


def test_mixed_line_ends():
    data = (
        b'data: {"chunk": "a"}\r\n\ndata: {"chunk": "b"}\n\r\n'
        b'data: {"chunk": "c"}\r\rdata: {"chunk": "d"}\n\r' + END
    )
    outcome = check(data)
    assert (texts(outcome), outcome.error) == (["a", "b", "c", "d"], None)


def test_a_line_feed_after_a_cr_that_ended_a_line_belongs_to_it():
    outcome = check(b'data: {"chunk": "a"}\r\n\r\ndata: {"chunk":\r\ndata: "b"}\r\n\r\n' + END)
    assert texts(outcome) == ["a", "b"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\xef\xbb\xbf" + delta("a") + END, ["a"]),
        (
            b"\xef\xbb\xbf\xef\xbb\xbf" + delta("a") + delta("b") + END,
            ["b"],
        ),  # only one mark: the second is part of a field name
        (delta("a") + b"\xef\xbb\xbf" + delta("b") + END, ["a"]),  # and only at the start
        (b"\n\xef\xbb\xbf" + delta("a") + END, []),
    ],
    ids=["leading", "twice", "later", "after a blank line"],
)
def test_byte_order_mark(data: bytes, expected: list[str]):
    outcome = check(data)
    assert (texts(outcome), outcome.error) == (expected, None)


@pytest.mark.parametrize(
    "fields",
    [
        b'data:{"chunk": "a"}',
        b'data: {"chunk": "a"}',
        b'data:  {"chunk": "a"}',
        b': ping\ndata: {"chunk": "a"}',
        b'data: {"chunk": "a"}\n: ping',
        b'data: {"chunk":\n: ping\ndata: "a"}',
        b'data: {\ndata: "chunk":\ndata\ndata: "a"\ndata: }',
        b'id: 7\nretry: 10\nevent: message\ndata: {"chunk": "a"}',
        b'id\nretry\nevent\ndata: {"chunk": "a"}',
        b'unknown: field\nno colon at all\ndata: {"chunk": "a"}',
        b'Data: {"chunk": "x"}\ndata: {"chunk": "a"}',
        b' data: {"chunk": "x"}\ndata: {"chunk": "a"}',
        b'id: \xff\xfe\n: \xff\ndata: {"chunk": "a"}',
        b'data: {"chunk": "a"}\nid: 1',
        b'\n\n\ndata: {"chunk": "a"}\n\n\n',
        b'data: {"chunk": "a"}\n\ndata',
        b'data: {"chunk": "a"}\n\ndata:\ndata: ',
        b'data: {"chunk": "a"}\n\ndata:   ',
        b'data: {"chunk": "a"}\n\nevent: ping',
        b':\n\n:\n:\n\ndata: {"chunk": "a"}',
    ],
)
@pytest.mark.parametrize("before", [b"", delta("before")], ids=["first", "second"])
def test_fields_and_comments(fields: bytes, before: bytes):
    outcome = check(before + fields + b"\n\n" + END)
    assert (texts(outcome), outcome.error) == (["before"] * bool(before) + ["a"], None)


def test_only_the_first_space_after_the_colon_is_dropped():
    outcome = check(delta("a") + b"data:   oops\n\n")
    assert isinstance(outcome.error, RemoteProtocolError)
    assert "line 1 column 3" in str(outcome.error)
    outcome = check(delta("a") + b"event:  error\ndata: oops\n\n")
    assert isinstance(outcome.error, RemoteProtocolError)  # no error message: its name is " error"


def test_data_lines_join_with_a_line_feed_which_json_text_cannot_hold():
    outcome = check(b'data: {"chunk": "a\ndata: b"}\n\n')
    assert isinstance(outcome.error, RemoteProtocolError)
    assert "not JSON" in str(outcome.error)


def test_a_line_that_json_goes_on_in_without_data_is_another_field():
    outcome = check(delta("a") + b'data: {"chunk": "b",\n"token_index": 1}\n\n' + delta("c") + END)
    assert texts(outcome) == ["a"]
    assert isinstance(outcome.error, RemoteProtocolError)


def test_two_values_in_one_record_are_not_two_records():
    outcome = check(delta("a") + b'data: {"chunk": "b"}\ndata: {"chunk": "c"}\n\n' + END)
    assert texts(outcome) == ["a"]
    assert isinstance(outcome.error, RemoteProtocolError)


def test_an_event_name_lasts_for_one_record():
    outcome = check(b"event: error\n\n" + delta("a") + END)
    assert (texts(outcome), outcome.error) == (["a"], None)


def test_separators_that_are_none_in_an_event_stream():
    text = "a\u2028b\u2029c\u0085d\x0be\x0cf"
    raw = b'data: {"chunk": "' + text.replace("\x0b", "").replace("\x0c", "").encode() + b'"}\n\n'
    outcome = check(raw + END)
    assert texts(outcome) == ["a\u2028b\u2029c\u0085def"]


@pytest.mark.parametrize("end", [b"", b"\n", b"\r", b"\n\n", b"\r\n"])
def test_the_end_of_stream_counts_without_its_blank_line(end: bytes):
    outcome = check(delta("a") + END.rstrip(b"\n") + end)
    assert outcome.error is None
    assert outcome.events[-1] == Completed(outcome.snapshot)


@pytest.mark.parametrize(
    "last",
    [
        b'data: {"chunk": "b"}',
        b'data: {"chunk":\ndata: "b"}',
        b'data: {"chunk": "b"}\nda',
        b'data: {"chunk": "b"}\n',
    ],
)
def test_a_last_message_that_is_whole_is_not_lost_either(last: bytes):
    outcome = check(delta("a") + last)
    assert type(outcome.error) is IncompleteStream
    assert texts(outcome) == ["a", "b"]
    assert outcome.error.partial == outcome.snapshot
    assert isinstance(outcome.snapshot, QueryResult)
    assert outcome.snapshot.text == "ab"


@pytest.mark.parametrize(
    "last",
    [
        b'data: {"chunk": "b"',
        b"data: 1",
        b"event: error\ndata: overloa",
        b'data: {"chunk": "\xff"}',
        b"data: " + b"[" * 99,
    ],
)
def test_a_last_message_that_is_not_whole_is_the_end_of_input(last: bytes):
    outcome = check(delta("a") + last)
    assert type(outcome.error) is IncompleteStream
    assert texts(outcome) == ["a"]


def test_invalid_utf8_is_refused_where_it_is_read():
    outcome = check(delta("a") + b'data: {"chunk": "\xc3\x28"}\n\n' + END)
    assert texts(outcome) == ["a"]
    assert type(outcome.error) is RemoteProtocolError
    assert "not UTF-8" in str(outcome.error)


class TestLimit:
    """`max_record_bytes` counts one line, without its end, and the joined data of one record."""

    @pytest.mark.parametrize("end", [b"\n", b"\r\n"])
    def test_of_a_line(self, end: bytes):
        data = (b'data: {"chunk": "abcdefgh"}\n\n' + END).replace(b"\n", end)
        longest = len(END) - 2
        assert (
            check_fragmentations(QUERY, data, limits=Limits(max_record_bytes=longest)).error is None
        )
        outcome = check_fragmentations(QUERY, data, limits=Limits(max_record_bytes=longest - 1))
        assert texts(outcome) == ["abcdefgh"]
        assert type(outcome.error) is LimitExceeded
        assert (
            "a line of the event stream that is longer than Limits.max_record_bytes "
            f"({longest - 1} bytes)" in str(outcome.error)
        )

    def test_of_joined_data(self):
        data = b'data: {"chunk":\ndata: "abcdefghijklmnop"\ndata: }\n\n' + END
        size = len(b'{"chunk":\n"abcdefghijklmnop"\n}')
        longest_line = 40
        assert (
            check_fragmentations(QUERY, data, limits=Limits(max_record_bytes=longest_line)).error
            is None
        )
        more = data.replace(
            b"\n\n" + END, b"\n" + b"data:\n" * (longest_line - size + 1) + b"\n" + END
        )
        outcome = check_fragmentations(QUERY, more, limits=Limits(max_record_bytes=longest_line))
        assert type(outcome.error) is LimitExceeded
        assert "a record of the event stream" in str(outcome.error)
        assert (
            check_fragmentations(
                QUERY,
                more.replace(b"data:\n", b"", 1),
                limits=Limits(max_record_bytes=longest_line),
            ).error
            is None
        )

    def test_of_a_record_that_comes_in_one_chunk(self):
        """The limit is large enough for the fast path."""
        limits = Limits(max_record_bytes=64 * 1024)
        for beyond in (0, 1):
            text = "x" * (64 * 1024 - len(delta("")) + 2 + beyond)
            for chunks in ([delta(text), END], [delta("a"), delta(text), END], [delta(text) + END]):
                outcome = run(QUERY, chunks, limits=limits)
                assert type(outcome.error) is (LimitExceeded if beyond else type(None))
                assert (text in texts(outcome)) is not bool(beyond)

    def test_comments_are_held_one_line_at_a_time(self):
        data = b": 12345678\n" * 20 + delta("a") + END
        assert check_fragmentations(QUERY, data, limits=Limits(max_record_bytes=80)).error is None
        outcome = check_fragmentations(
            QUERY, delta("a") + b":" + b"x" * 80 + b"\n\n" + END, limits=Limits(max_record_bytes=80)
        )
        assert texts(outcome) == ["a"]
        assert type(outcome.error) is LimitExceeded

    def test_of_a_line_that_never_ends(self):
        limits = Limits(max_record_bytes=100)
        outcome = check_fragmentations(QUERY, delta("a") + b"data: " + b"x" * 95, limits=limits)
        assert type(outcome.error) is LimitExceeded
        outcome = check_fragmentations(QUERY, delta("a") + b"data: " + b"x" * 94, limits=limits)
        assert type(outcome.error) is IncompleteStream


@pytest.mark.parametrize("record_", [b'{"chunk": "%s"}', b'{"chunk": "%s", "new": 1}'])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_large_record_takes_no_more_memory_than_two_copies(record_: bytes, end: bytes):
    size = 4 * 1024 * 1024
    data = b"data: " + record_ % (b"x" * size) + 2 * end
    stream = ResponseStream(QUERY)
    stream.receive_response(200, EVENT_STREAM)
    tracemalloc.start()
    try:
        stream.receive_data(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert list(stream.events()) == [TextDelta("x" * size)]
    assert peak < 2.2 * size


def test_a_record_that_is_larger_than_what_is_held_of_one():
    text = "x" * 200_000
    data = delta("a") + record({"chunk": text}) + delta("b") + END
    for size in (1460, 32 * 1024, len(data)):
        chunks = [data[at : at + size] for at in range(0, len(data), size)]
        outcome = run(QUERY, chunks)
        assert outcome.error is None
        assert texts(outcome) == ["a", text, "b"]
