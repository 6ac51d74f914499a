"""HTTP/1.1: limits of heads, chunk sizes and trailers. Work is linear in the bytes."""

from __future__ import annotations

from typing import Any

import h11
import pytest

from sansio_moondream import RemoteProtocolError
from sansio_moondream._wire.http11 import MAX_HEAD_BYTES
from sansio_moondream.testing import each_byte
from tests.core.http11 import BODIES, CHUNKED, FIVE, NO_WHOLE_BODY, NO_WHOLE_HEAD, OK, check, read
from tests.helpers import chunked


def padded(start: bytes, end: bytes, size: int) -> bytes:
    return start + b"x" * (size - len(start) - len(end)) + end


@pytest.mark.parametrize(
    "start", [b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100], ids=["alone", "with 1xx heads"]
)
def test_heads_together_have_a_limit(start: bytes):
    end = b"\r\nContent-Length: 2\r\n\r\n"
    whole = check(padded(start + OK + b"A: ", end, MAX_HEAD_BYTES) + b"ab")
    assert (whole.body, whole.error, whole.finished, whole.reusable) == (b"ab", None, True, True)
    words = "the server sent a head that is longer than 65,536 bytes"
    for more in (
        padded(start + OK + b"A: ", end, MAX_HEAD_BYTES + 1),
        padded(start + OK + b"A: ", b"", 1_000_000),
    ):
        seen = check(more + b"ab") if len(more) < 100_000 else read([more])
        assert (type(seen.error), seen.words, seen.head) == (RemoteProtocolError, words, None)
    endless = padded(start + OK + b"A: ", b"", MAX_HEAD_BYTES - 1)
    assert (check(endless).error, check(endless, eof=True).words) == (None, NO_WHOLE_HEAD)


def test_many_1xx_heads_are_too_many():
    early = b"HTTP/1.1 103 E\r\nA: " + b"x" * 1000 + b"\r\n\r\n"
    assert check(early * 20 + BODIES["length"][0]).finished
    seen = check(early * (MAX_HEAD_BYTES // len(early) + 1) + BODIES["length"][0])
    assert seen.words == "the server sent a head that is longer than 65,536 bytes"


LONG_LINE = "the server sent a line of the chunked framing that is longer than 65,536 bytes"


@pytest.mark.parametrize("before", [0, 1, 5, 30_000, MAX_HEAD_BYTES - 8, MAX_HEAD_BYTES, 100_000])
def test_a_chunks_size_line_has_a_limit_wherever_it_begins(before: int):
    data = b"y" * before
    start = CHUNKED + (b"%x\r\n%s\r\n" % (before, data) if before else b"")
    end = b"moon\r\n0\r\n\r\n"
    fits = check(start + padded(b"4;", b"\r\n", MAX_HEAD_BYTES) + end)
    assert (fits.body == data + b"moon", fits.error, fits.finished) == (True, None, True)
    for line in (
        padded(b"4;", b"\r\n", MAX_HEAD_BYTES + 1),
        padded(b"4;", b"", MAX_HEAD_BYTES + 1),
    ):
        seen = check(start + line + end)
        assert (type(seen.error), seen.words, seen.body == data) == (
            RemoteProtocolError,
            LONG_LINE,
            True,
        )
    waiting = start + padded(b"4;", b"", MAX_HEAD_BYTES)
    assert (check(waiting).error, check(waiting, eof=True).words) == (None, NO_WHOLE_BODY)


def test_trailers_have_a_limit():
    start = CHUNKED + chunked(FIVE, last=False) + b"0\r\n"
    fits = check(start + padded(b"A: b\r\n" * 50 + b"C: ", b"\r\n\r\n", MAX_HEAD_BYTES))
    assert (fits.body, fits.error, fits.finished, fits.reusable) == (FIVE, None, True, True)
    seen = check(start + padded(b"A: b\r\n" * 50 + b"C: ", b"\r\n\r\n", MAX_HEAD_BYTES + 1))
    assert (seen.words, seen.body) == (LONG_LINE, FIVE)


class Counting(h11.Connection):
    """Counts the bytes that are copied out to learn how many they are, and the calls."""

    copied = calls = 0

    @property
    def trailing_data(self) -> tuple[bytes, bool]:
        data = super().trailing_data
        type(self).copied += len(data[0])
        return data

    def next_event(self) -> Any:
        type(self).calls += 1
        return super().next_event()


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> type[Counting]:
    counter = type("Counter", (Counting,), {})
    monkeypatch.setattr("sansio_moondream._wire.http11.h11.Connection", counter)
    return counter


def test_work_is_linear_for_13_megabytes_at_once(counting: type[Counting]):
    body = b"moon" * 3_250_000
    seen = read([OK + b"Content-Length: %d\r\n\r\n" % len(body) + body])
    assert (seen.body == body, seen.finished) == (True, True)
    assert counting.copied == 0
    assert counting.calls < 3 * len(body) / MAX_HEAD_BYTES


@pytest.mark.parametrize(
    "line", [b"4;" + b"x" * 10_000 + b"\r\nmoon\r\n", b"0\r\nA: " + b"x" * 10_000 + b"\r\n\r\n"]
)
def test_work_is_linear_for_lines_that_come_byte_by_byte(line: bytes, counting: type[Counting]):
    raw = CHUNKED + b"1\r\na\r\n" * 1_000 + line
    seen = read(each_byte(raw))
    assert (seen.body[:1_000], seen.error) == (b"a" * 1_000, None)
    assert counting.copied < len(raw)
    assert counting.calls < 2 * len(raw)
