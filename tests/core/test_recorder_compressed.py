"""`Recorder`: no secret of a compressed body reaches a recording."""

from __future__ import annotations

import gzip
import zlib

import pytest

from sansio_moondream.recording import EOF, Chunk, Ending, Recording
from sansio_moondream.testing import EVENT_STREAM, run
from tests.core.recorders import KEY, recorded, recorder, replayed
from tests.helpers import END, QUERY, delta

BODY = delta("A") + delta(" moon") + END


class TestCompressed:
    @pytest.mark.parametrize("size", [1, 7, 1000])
    @pytest.mark.parametrize(
        ("coding", "packed"),
        [
            ("gzip", gzip.compress(BODY)),
            ("x-gzip", gzip.compress(BODY)),
            ("Deflate", zlib.compress(BODY)),
        ],
        ids=["gzip", "x-gzip", "Deflate"],
    )
    def test_it_is_recorded_inflated(self, coding: str, packed: bytes, size: int) -> None:
        headers = [
            *EVENT_STREAM,
            ("Content-Encoding", coding),
            ("Content-Length", str(len(packed))),
        ]
        recording = recorded(
            [packed[at : at + size] for at in range(0, len(packed), size)], headers
        )
        assert recording.header.response_headers == EVENT_STREAM
        assert b"".join(chunk.data for chunk in recording.chunks) == BODY
        assert replayed(recording).key == run(QUERY, [BODY]).key

    def test_secrets_in_it_are_found(self) -> None:
        body = f'{{"error": "no such key: {KEY}"}}'.encode()
        packed = gzip.compress(body)
        for split in range(1, len(packed)):
            recording = recorded([packed[:split], packed[split:]], {"content-encoding": "gzip"})
            assert b"".join(chunk.data for chunk in recording.chunks) == body.replace(
                KEY.encode(), b"*" * len(KEY)
            )

    @pytest.mark.parametrize("body", [BODY, b"d"])
    def test_a_body_that_was_inflated_before(self, body: bytes) -> None:
        recording = recorded(
            [body], [*EVENT_STREAM, ("content-encoding", "gzip"), ("content-length", "3")]
        )
        assert b"".join(chunk.data for chunk in recording.chunks) == body
        assert recording.header.response_headers == EVENT_STREAM

    @pytest.mark.parametrize(
        "packed",
        [
            gzip.compress(delta("A"))[:-8] + bytes(8),
            gzip.compress(delta("one") + b": " + b"x" * 3_000_000),
            zlib.compress(BODY),
        ],
        ids=["broken", "bomb", "other"],
    )
    def test_what_cannot_be_inflated_ends_as_it_does_in_the_decoder(self, packed: bytes) -> None:
        headers = [*EVENT_STREAM, ("content-encoding", "gzip")]
        live = run(QUERY, [packed, b"more"], headers=headers)
        recording = recorded([packed, b"more"], headers)
        assert live.error is not None
        assert (recording.ending.fault, recording.ending.message) == (
            type(live.error).__name__,
            str(live.error),
        )
        assert Recording.decode(recording.encode()) == recording
        again = replayed(recording)
        assert (again.events, str(again.error)) == (live.events, str(live.error))

    def test_other_codings(self) -> None:
        headers = (*EVENT_STREAM, ("content-encoding", "br"))
        recording = recorded([b"\x00", b"\x01"], headers)
        assert (recording.header.response_headers, recording.chunks) == (headers, ())
        assert recording.ending == Ending(
            1,
            "RemoteProtocolError",
            "the body is not recorded: secrets cannot be found in the coding 'br'",
        )
        assert recorded([], headers).ending == Ending(1, EOF)
        assert str(replayed(recording).error) == str(run(QUERY, [], headers=headers).error)

    def test_its_recording_ends_where_it_began(self) -> None:
        made = recorder()
        made.receive_response(200, EVENT_STREAM, 101)
        for now, byte in enumerate(gzip.compress(BODY)):
            made.receive_data(bytes([byte]), 103 + now / 2)
        assert made.receive_eof(200).ending.seconds == 2

    @pytest.mark.parametrize("size", [1, 2, 1000])
    @pytest.mark.parametrize(
        "packed",
        [
            gzip.compress(BODY),
            *(zlib.compress(BODY, level) for level in (0, 6, 9)),
            b"\x28\xb5\x2f\xfd\x04",
        ],
        ids=["gzip", "zlib 0", "zlib 6", "zlib 9", "zstd"],
    )
    def test_what_is_compressed_without_saying_so(self, packed: bytes, size: int) -> None:
        chunks = [packed[at : at + size] for at in range(0, len(packed), size)]
        recording = recorded(chunks)
        assert (recording.header.response_headers, recording.chunks) == (EVENT_STREAM, ())
        assert recording.ending == Ending(
            1,
            "RemoteProtocolError",
            "the body is not recorded: secrets cannot be found in compressed data",
        )

    def test_what_is_compressed_twice(self) -> None:
        twice = gzip.compress(gzip.compress(BODY))
        recording = recorded([twice], {"content-encoding": "gzip"})
        assert recording.chunks == ()
        assert recording.ending.message.endswith("in compressed data")

    @pytest.mark.parametrize("body", [b"x", b"x\x9d", b"\x28\xb5\x2f", b"\x1f"])
    def test_what_is_not_compressed(self, body: bytes) -> None:
        assert recorded([body]).chunks == (Chunk(1, body),)

    def test_no_coding(self) -> None:
        headers = (*EVENT_STREAM, ("content-encoding", "identity"))
        recording = recorded([BODY], headers)
        assert (recording.header.response_headers, recording.chunks) == (headers, (Chunk(1, BODY),))
