"""`Recorder`: bodies that are too long to be held, or to be recorded at all."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterable
from traceback import walk_tb

import pytest

from sansio_moondream import HTTPRequest
from sansio_moondream.recording import (
    EOF,
    LEFT,
    MAX_BODY_BYTES,
    OMITTED,
    Chunk,
    Ending,
    Recorder,
    Recording,
    mask_chunks,
)
from sansio_moondream.testing import EVENT_STREAM
from tests.core.recorders import HTTP, KEY, recorder

KIB = 1024
TAKEN_FROM = 512 * KIB
CONTEXT = 64 * KIB


def begun(made: Recorder, headers: Iterable[tuple[str, str]] = EVENT_STREAM) -> Recorder:
    made.receive_response(200, tuple(headers), 101)
    return made


def taken(made: Recorder, chunks: Iterable[bytes]) -> list[Chunk]:
    """All chunks of a body that is taken as it comes."""
    begun(made)
    found: list[Chunk] = []
    for chunk in chunks:
        made.receive_data(chunk, 102)
        found += made.take_chunks()
        assert made.held < TAKEN_FROM
    assert found
    return [*found, *made.receive_eof(103).chunks]


class TestTaking:
    def test_when_there_are_enough(self) -> None:
        made = begun(recorder())
        made.receive_data(b"a" * 100_000, 102)
        made.receive_data(b"b" * (TAKEN_FROM - 100_001 - CONTEXT), 103)
        made.receive_data(b"c" * CONTEXT, 104)
        assert (made.take_chunks(), made.held) == ((), TAKEN_FROM - 1)
        made.receive_data(b"d", 105)
        assert made.held == TAKEN_FROM
        first = made.take_chunks()
        assert [(chunk.seconds, chunk.data[:1]) for chunk in first] == [
            (1, b"a"),
            (1, b"b"),
            (0, b"b"),
        ]
        assert (made.take_chunks(), made.held) == ((), CONTEXT + 1)
        rest = made.receive_eof(106)
        assert [(chunk.seconds, chunk.data) for chunk in rest.chunks] == [
            (1, b"c" * CONTEXT),
            (1, b"d"),
        ]
        assert rest.ending == Ending(1)

    def test_what_follows_has_to_be_known(self) -> None:
        made = begun(recorder())
        for size in (200_000, 200_000, 200_000):
            made.receive_data(b"a" * size, 102)
        assert len(made.take_chunks()) == 2
        assert made.held == 200_000

    @pytest.mark.parametrize(("after", "count"), [(CONTEXT, 3), (CONTEXT - 1, 2)])
    def test_how_much_has_to_follow(self, after: int, count: int) -> None:
        made = begun(recorder())
        for size in (200 * KIB, 200 * KIB, 200 * KIB, after):
            made.receive_data(b"a" * size, 102)
        assert len(made.take_chunks()) == count

    @pytest.mark.parametrize("offset", [0, 1, 2, len(KEY) - 1, len(KEY), len(KEY) + 1])
    def test_secrets_across_what_is_taken(self, offset: int) -> None:
        """Some chunks end inside a key."""
        block = b": moon" * 100 + KEY.encode()
        body = block[offset:] + block * 2000
        chunks = [body[at : at + len(block)] for at in range(0, len(body), len(block))]
        found = taken(recorder(), chunks)
        assert tuple(chunk.data for chunk in found) == mask_chunks(chunks, [KEY])
        assert KEY.encode() not in b"".join(chunk.data for chunk in found)

    @pytest.mark.parametrize("kind", ["known", "of the request"])
    def test_a_picture_that_is_longer_than_what_is_held(self, kind: str) -> None:
        picture = (b"\x89PNG\r\n\x1a\n" if kind == "known" else b"moon") * 9 + bytes(
            range(256)
        ) * 6000
        text = base64.b64encode(picture).decode()
        asked = json.dumps({"image_url": f"data:image/x;base64,{text}"}).encode()
        request = HTTPRequest("POST", "http://localhost/v1/query", (), asked)
        body = json.dumps({"error": "this is no picture: ", "input": text, "x": "A moon"}).encode()
        chunks = [body[at : at + 10_000] for at in range(0, len(body), 10_000)]
        found = b"".join(chunk.data for chunk in taken(recorder(request=request), chunks))
        assert found == body.replace(text.encode(), b"*" * len(text))

    def test_a_long_picture_that_comes_in_many_deltas(self) -> None:
        """Its beginning is out of sight, and other fields are between its parts."""
        picture = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 3000
        text = base64.b64encode(picture).decode()
        parts = [text[at : at + 90] for at in range(0, len(text), 90)]
        records = [f'data: {{"id":"c1","chunk":"{part}","n":""}}\n\n' for part in parts]
        after = 'data: {"id":"c1","chunk":" A moon.","n":"two"}\n\n' * 20_000
        body = "".join(records) + after
        chunks = [body[at : at + 10_000].encode() for at in range(0, len(body), 10_000)]
        found = b"".join(chunk.data for chunk in taken(recorder(), chunks)).decode()
        masked = [
            record.replace(part, "*" * len(part))
            for record, part in zip(records, parts, strict=True)
        ]
        assert found == "".join(masked) + after

    def test_stars_are_no_picture(self) -> None:
        chunks = [b"*" * 200_000, b"*" * 200_000, b"moon" * 50_000]
        assert [chunk.data for chunk in taken(recorder(), chunks)] == chunks

    def test_the_header_is_known_with_the_head(self) -> None:
        made = recorder()
        assert (made.header.path, made.header.status_code) == ("/v1/query", None)
        begun(made)
        assert (made.header.status_code, made.header.seconds) == (200, 1)
        assert made.leave(102).header == made.header


class TestTheLimit:
    @pytest.mark.parametrize(
        ("chunks", "recorded", "ending"),
        [
            ([b"moon"], [b"moon"], Ending(1, EOF)),
            (
                [b"moons"],
                [b"moon"],
                Ending(1, OMITTED, "1 bytes of the body were left out, as it is too long"),
            ),
            ([b"mo", b"on"], [b"mo", b"on"], Ending(1, EOF)),
            (
                [b"moo", b"ns", b"", b"light" * 1000],
                [b"moo", b"n"],
                Ending(1, OMITTED, "5,001 bytes of the body were left out, as it is too long"),
            ),
        ],
    )
    def test_of_a_body(self, chunks: list[bytes], recorded: list[bytes], ending: Ending) -> None:
        made = begun(recorder(max_body_bytes=4))
        for chunk in chunks:
            made.receive_data(chunk, 101)
        recording = made.receive_eof(102)
        assert [chunk.data for chunk in recording.chunks] == recorded
        assert recording.ending == ending
        assert Recording.decode(recording.encode()) == recording

    def test_however_it_ends(self) -> None:
        made = begun(recorder(max_body_bytes=4))
        made.receive_data(b"moonlight", 102)
        assert made.leave(103).ending.fault == OMITTED
        made = begun(recorder(max_body_bytes=9))
        made.receive_data(b"moonlight", 102)
        assert made.leave(103).ending == Ending(1, LEFT)

    def test_no_body_at_all(self) -> None:
        made = begun(recorder(max_body_bytes=0))
        made.receive_data(b"moon", 102)
        recording = made.receive_eof(103)
        assert (recording.chunks, recording.ending.fault) == ((), OMITTED)

    def test_counts_what_it_inflates_to(self) -> None:
        made = begun(recorder(max_body_bytes=1000), [*EVENT_STREAM, ("content-encoding", "gzip")])
        packed = gzip.compress(b": moon\n" * 200)
        made.receive_data(packed, 102)
        made.receive_data(b"more", 102)
        recording = made.receive_eof(103)
        assert b"".join(chunk.data for chunk in recording.chunks) == (b": moon\n" * 200)[:1000]
        assert recording.ending.message.startswith("404 bytes of the body were left out")

    def test_what_was_left_out_counts_more_than_a_broken_coding(self) -> None:
        made = begun(recorder(max_body_bytes=1000), [*EVENT_STREAM, ("content-encoding", "gzip")])
        made.receive_data(gzip.compress(b": moon\n" * 200)[:-8] + bytes(8), 102)
        assert made.receive_eof(103).ending.fault == OMITTED

    def test_a_body_that_is_not_recorded_has_nothing_left_out(self) -> None:
        made = begun(recorder(max_body_bytes=TAKEN_FROM))
        made.receive_data(gzip.compress(b"", mtime=0)[:10] + bytes(TAKEN_FROM - 10), 102)
        assert (made.take_chunks(), made.held) == ((), 0)
        made.receive_data(b"more", 103)
        recording = made.receive_eof(104)
        assert recording.chunks == ()
        assert recording.ending.fault == "RemoteProtocolError"
        assert recording.ending.message.startswith("the body is not recorded")

    def test_the_default(self) -> None:
        assert MAX_BODY_BYTES == 16 * 1024 * KIB
        made = begun(Recorder(HTTP, now=100))
        made.receive_data(bytes(MAX_BODY_BYTES + 1), 102)
        assert made.held == MAX_BODY_BYTES


def test_a_chunk_that_no_line_could_hold() -> None:
    made = begun(recorder())
    data = b"\x01" * (600 * KIB)
    made.receive_data(data, 102)
    recording = made.receive_eof(104)
    assert [(chunk.seconds, len(chunk.data)) for chunk in recording.chunks] == [
        (1, 256 * KIB),
        (0, 256 * KIB),
        (0, 88 * KIB),
    ]
    assert recording.ending.seconds == 2
    assert Recording.decode(recording.encode()) == recording


@pytest.mark.parametrize(("depth", "fits"), [(61, True), (62, False)])
def test_what_is_recorded_can_be_read(depth: int, fits: bool) -> None:
    """The body of a request becomes a part of the header, and its pictures become objects."""
    picture = b'"data:image/png;base64,AAAA"'
    body = b"[" * depth + picture + b"]" * depth
    request = HTTPRequest("POST", "http://localhost/v1/query", (), body)
    if not fits:
        with pytest.raises(ValueError, match="the body of the request nests deeper than 61"):
            recorder(request=request)
        return
    recording = recorder(request=request).leave(101)
    assert Recording.decode(recording.encode()) == recording


@pytest.mark.parametrize(
    ("secrets", "fits"),
    [
        ([f"md-key-{number}" for number in range(63)], True),
        ([f"md-key-{number}" for number in range(64)], False),
        (["k" * 8192], True),
        (["k" * 8193], False),
    ],
)
def test_more_secrets_than_we_search_for(secrets: list[str], fits: bool) -> None:
    """The key of the request is one more."""
    body = json.dumps([{"password": secret} for secret in secrets]).encode()
    request = HTTPRequest("POST", HTTP.url, HTTP.headers, body)
    if fits:
        assert recorder(request=request).header.path == "/v1/query"
        return
    with pytest.raises(ValueError, match="64 secrets, or one that is longer than 8,192") as caught:
        recorder(request=request)
    assert secrets[-1] not in "".join(
        repr(frame.f_locals) for frame, _ in walk_tb(caught.tb) if "recording" in str(frame.f_code)
    )
