"""Compressed bodies: each event at once, bounded, and the same in every fragmentation."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Callable

import pytest

from sansio_moondream import (
    FINISHED,
    Completed,
    IncompleteStream,
    LimitExceeded,
    Limits,
    NotFoundError,
    RemoteProtocolError,
    ResponseStream,
    State,
    TextDelta,
)
from sansio_moondream.testing import EVENT_STREAM, Outcome, run
from tests.helpers import END, QUERY, check_fragmentations, delta

BODY = delta("one") + delta(" two") + END
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "Deflate": zlib.compress,
}


def check(data: bytes, coding: str = "gzip", limits: Limits | None = None) -> Outcome:
    return check_fragmentations(
        QUERY, data, headers=[*EVENT_STREAM, ("content-encoding", coding)], limits=limits
    )


def texts(outcome: Outcome) -> list[str]:
    return [event.text for event in outcome.events if isinstance(event, TextDelta)]


@pytest.mark.parametrize(
    "coding", ["", "identity", "none", "None", "UTF-8", "utf8", "identity, identity", " , none"]
)
def test_codings_that_mean_none(coding: str):
    assert texts(check(BODY, coding)) == ["one", " two"]


@pytest.mark.parametrize("coding", ["identity, gzip", "gzip,none", "X-GZIP , identity"])
def test_one_coding_beside_none(coding: str):
    assert texts(check(gzip.compress(BODY), coding)) == ["one", " two"]


@pytest.mark.parametrize("coding", PACKERS)
def test_inflated(coding: str):
    outcome = check(PACKERS[coding](BODY), coding)
    assert (texts(outcome), outcome.error) == (["one", " two"], None)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "identity", ""])
@pytest.mark.parametrize(
    "lead", [b"", b"\xef\xbb\xbf", b": hello\n", b"\n", b"id: 1\n", b"event: x\n", b"retry: 1\n"]
)
def test_inflated_by_the_client_already(coding: str, lead: bytes):
    outcome = check(lead + BODY, coding)
    assert (texts(outcome), outcome.error) == (["one", " two"], None)


@pytest.mark.parametrize(("coding", "wbits"), [("gzip", 31), ("deflate", 15)])
def test_each_event_is_out_as_soon_as_it_was_flushed(coding: str, wbits: int):
    engine = zlib.compressobj(wbits=wbits)
    stream = ResponseStream(QUERY)
    stream.receive_response(200, [*EVENT_STREAM, ("content-encoding", coding)])
    for number in range(5):
        stream.receive_data(engine.compress(delta(str(number))) + engine.flush(zlib.Z_SYNC_FLUSH))
        assert list(stream.events()) == [TextDelta(str(number))]
    stream.receive_data(engine.compress(END) + engine.flush())
    assert list(stream.events()) == [Completed(stream.result())]


def test_several_gzip_members():
    outcome = check(
        gzip.compress(delta("one")) + gzip.compress(b"") + gzip.compress(delta(" two") + END)
    )
    assert (texts(outcome), outcome.error) == (["one", " two"], None)


@pytest.mark.parametrize("rest", [b"\0" * 40, b"junk", b"\x00\x1f\x8b"])
@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_what_follows_the_compressed_data_is_ignored(rest: bytes, coding: str):
    outcome = check(PACKERS[coding](delta("one")) + rest, coding)
    assert texts(outcome) == ["one"]
    assert type(outcome.error) is IncompleteStream


def test_a_second_member_that_is_broken():
    outcome = check(gzip.compress(delta("one")) + b"\x1f\x00")
    assert texts(outcome) == ["one"]
    assert type(outcome.error) is RemoteProtocolError
    assert isinstance(outcome.error.__cause__, zlib.error)


def test_broken_in_the_middle_gives_what_came_before():
    engine = zlib.compressobj(wbits=31)
    data = engine.compress(delta("one")) + engine.flush(zlib.Z_FULL_FLUSH) + b"\xff" * 30
    outcome = check(data)
    assert texts(outcome) == ["one"]
    assert type(outcome.error) is RemoteProtocolError
    assert "the server sent a broken gzip body" in str(outcome.error)


def test_data_after_a_broken_body_is_ignored():
    stream = ResponseStream(QUERY)
    stream.receive_response(200, [*EVENT_STREAM, ("content-encoding", "gzip")])
    stream.receive_data(gzip.compress(delta("one"))[:-8] + b"\x00" * 8)
    stream.receive_data(b"more")
    stream.receive_eof()
    assert stream.next_event() == TextDelta("one")
    with pytest.raises(RemoteProtocolError, match="broken gzip body"):
        stream.next_event()


def test_a_broken_checksum_behind_an_end_of_stream_without_its_blank_line_is_no_fault():
    outcome = check(gzip.compress(BODY.rstrip(b"\n"))[:-8] + b"\x00" * 8)
    assert outcome.error is None
    assert outcome.events[-1] == Completed(outcome.snapshot)


def test_a_broken_checksum_behind_the_end_of_stream_is_no_fault():
    assert check(gzip.compress(BODY)[:-8] + b"\x00" * 8).error is None


def test_a_broken_checksum_of_a_json_body_is_one():
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    packed = gzip.compress(b'{"answer": "x"}')
    assert check_fragmentations(QUERY, packed, headers=headers).snapshot.text == "x"
    outcome = check_fragmentations(QUERY, packed[:-8] + b"\x00" * 8, headers=headers)
    assert type(outcome.error) is RemoteProtocolError


def test_truncated():
    packed = gzip.compress(BODY)
    for length in range(len(packed)):
        outcome = run(
            QUERY, [packed[:length]], headers=[*EVENT_STREAM, ("content-encoding", "gzip")]
        )
        assert outcome.error is None or type(outcome.error) is IncompleteStream


def test_raw_deflate_and_anything_else_are_refused_in_words():
    raw = zlib.compressobj(wbits=-15)
    for coding, data in (
        ("deflate", raw.compress(BODY) + raw.flush()),
        ("gzip", b"\x00\x01\x02\x03"),
        ("gzip", zlib.compress(BODY)),
    ):
        outcome = check(data, coding)
        assert outcome.events == []
        assert type(outcome.error) is RemoteProtocolError
        assert f"announced a {coding} body and sent" in str(outcome.error)
        assert "Accept-Encoding: identity" in str(outcome.error)


@pytest.mark.parametrize("body", [b"", b"\x1f", b"x"])
def test_too_short_to_tell(body: bytes):
    assert type(check(body).error) is IncompleteStream
    lost = run(
        QUERY, [body], headers=[*EVENT_STREAM, ("content-encoding", "gzip")], ending=OSError("x")
    )
    assert isinstance(lost.error, IncompleteStream)


def test_a_body_of_one_byte_is_quoted():
    assert str(check(b"x").error).endswith("the server also sent x")


def test_a_bomb_is_stopped_by_its_ratio_and_the_events_before_it_stay():
    bomb = gzip.compress(delta("one") + b": " + b"x" * 30_000_000)
    assert len(bomb) < 60_000
    for chunks in ([bomb], [bomb[at : at + 100] for at in range(0, len(bomb), 100)]):
        outcome = run(QUERY, chunks, headers=[*EVENT_STREAM, ("content-encoding", "gzip")])
        assert texts(outcome) == ["one"]
        assert type(outcome.error) is LimitExceeded
        assert "max_inflate_ratio (50 times)" in str(outcome.error)


def test_the_ratio_is_the_same_in_every_fragmentation():
    packed = zlib.compress((b": " + b"x" * 250 + b"\n") * 22_000 + BODY)
    for ratio in (1, 5, 100, 1000):
        limits = Limits(max_inflate_ratio=ratio)
        headers = [*EVENT_STREAM, ("content-encoding", "deflate")]
        keys = [
            run(
                QUERY,
                [packed[at : at + size] for at in range(0, len(packed), size)],
                headers=headers,
                limits=limits,
            ).key
            for size in (7, 1000, 1024, len(packed))
        ]
        assert all(key == keys[0] for key in keys)
        assert (keys[0][1] is None) == (ratio == 1000)


@pytest.mark.parametrize(
    ("byte", "count"),
    [(b"\n", 80), (b"\r", 80), (b"\\", 80), (b"[", 10), (b"{", 10), (b",", 10)],
)
def test_what_costs_more_than_its_bytes_counts_as_more(byte: bytes, count: int):
    """2 MiB may be inflated, and not a byte more."""
    times = (2 * 1024 * 1024 - 400) // count
    last = delta("one")
    counted = 1 + times * count + 80 + len(last) + 79 * 2 + 9 * 3
    for beyond in (0, 1):
        filler = b"x" * (2 * 1024 * 1024 - counted + beyond)
        packed = gzip.compress(b":" + byte * times + filler + b"\n" + last)
        headers = [*EVENT_STREAM, ("content-encoding", "gzip")]
        for size in (1, len(packed)):
            chunks = [packed[at : at + size] for at in range(0, len(packed), size)]
            outcome = run(QUERY, chunks, headers=headers)
            assert texts(outcome) == ["one"]  # its blank line does not fit, if it is beyond
            assert (type(outcome.error) is LimitExceeded) is bool(beyond)


def test_events_up_to_the_limit_are_the_same_in_every_fragmentation():
    packed = gzip.compress(delta("one") * 20_000)
    headers = [*EVENT_STREAM, ("content-encoding", "gzip")]
    sizes = (1, len(packed))
    whole, cut = (
        run(QUERY, [packed[at : at + n] for at in range(0, len(packed), n)], headers=headers)
        for n in sizes
    )
    assert type(whole.error) is LimitExceeded
    assert whole.key == cut.key


def test_a_large_chunk():
    text = hashlib.shake_256(b"moon").hexdigest(8 * 1024)  # hardly compressible
    packed = gzip.compress(delta(text) + END)
    outcome = run(QUERY, [packed], headers=[*EVENT_STREAM, ("content-encoding", "gzip")])
    assert outcome.snapshot.text == text


def test_an_error_answer_stays_one_whatever_its_coding_says():
    for coding, body in (
        ("gzip", gzip.compress(b'{"error": "no"}')),
        ("gzip", b'{"error": "no"}'),
        ("br", b'{"error": "no"}'),
    ):
        outcome = check_fragmentations(
            QUERY, body, status_code=404, headers={"content-encoding": coding}
        )
        assert type(outcome.error) is NotFoundError
        assert "no" in str(outcome.error)
    outcome = check_fragmentations(
        QUERY, b"\x00\x01", status_code=404, headers={"content-encoding": "gzip"}
    )
    assert type(outcome.error) is NotFoundError


def test_a_broken_body_after_the_last_message_completes_the_stream():
    stream = ResponseStream(QUERY)
    stream.receive_response(200, [*EVENT_STREAM, ("content-encoding", "gzip")])
    body = delta("one") + b'data: {"completed": true}'
    stream.receive_data(gzip.compress(body)[:-8] + b"\x00" * 8)
    assert stream.state is State.COMPLETED
    assert len([*stream.events()]) == 2
    assert stream.next_event() is FINISHED
