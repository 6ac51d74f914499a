"""The recording format: files that are written and read."""

from __future__ import annotations

import copy
import json
import math
import pickle

import pytest
from msgspec.structs import replace

from sansio_moondream import ConnectionLost, MoondreamError
from sansio_moondream.recording import (
    EOF,
    OMITTED,
    Chunk,
    Ending,
    RecordedTimeouts,
    Recording,
    RecordingError,
    RecordingReader,
    encode_line,
    ending_error,
)
from tests.core.recordings import ENDING_ERRORS, HEADER, MOON, MOON_FILE, NO_HEAD


class TestFormat:
    def test_a_file(self) -> None:
        assert MOON.encode().decode() == MOON_FILE
        assert Recording.decode(MOON_FILE.encode()) == MOON

    def test_without_a_response(self) -> None:
        refused = Recording(NO_HEAD, (), Ending(2, "ConnectError", "refused"))
        assert refused.encode().endswith(
            b'"response": null}\n[2.0, "x", "ConnectError", "refused"]\n'
        )
        assert Recording.decode(refused.encode()) == refused

    @pytest.mark.parametrize("ends", ["\n", "\r\n"])
    def test_line_ends(self, ends: str) -> None:
        data = MOON_FILE.replace("\n", ends).encode()
        assert Recording.decode(data) == Recording.decode(data.removesuffix(ends.encode())) == MOON

    def test_what_an_editor_would_not_show_is_escaped(self) -> None:
        unseen = "".join(
            map(
                chr,
                [
                    *range(0x20),
                    *range(0x7F, 0xA0),
                    0x61C,
                    0x200E,
                    0x200F,
                    *range(0x2028, 0x202F),
                    *range(0x2066, 0x206A),
                ],
            )
        )
        line = encode_line(Chunk(0, (unseen + "\ufeff👩\u200d🚀").encode())).decode()
        assert not set(line[:-1]) & set(unseen + "\ufeff")
        assert line.endswith('\\u2069\\ufeff👩\u200d🚀"]\n')

    def test_times_are_kept_to_the_microsecond(self) -> None:
        assert Chunk(0.1234567, b"A") == Chunk(0.123457, b"A")
        assert encode_line(Chunk(1e-6, b"A")) == b'[1e-06, "t", "A"]\n'

    def test_text_that_is_no_text(self) -> None:
        assert (
            encode_line(Ending(0, "ConnectionLost", "\ud800"))
            == b'[0.0, "x", "ConnectionLost", "?"]\n'
        )

    def test_unknown_fields_are_read_over(self) -> None:
        assert (
            Recording.decode(
                MOON_FILE.replace('{"recording": 1', '{"note": "new", "recording": 1').encode()
            )
            == MOON
        )

    def test_values(self) -> None:
        assert pickle.loads(pickle.dumps(MOON)) == copy.deepcopy(MOON) == MOON
        assert repr(MOON) == "<Recording POST /v1/query: 200, 3 chunks, eof>"
        assert (
            repr(MOON.chunks[0]) == """<Chunk after 0.052 s, 29 bytes: data: {"chunk": " 月🌙"}>"""
        )

    def test_it_cannot_be_changed(self) -> None:
        recording = Recording.decode(MOON_FILE.encode())
        with pytest.raises(AttributeError, match="immutable"):
            recording.chunks = ()  # type: ignore[misc]  # it is frozen

    def test_what_json_has_not(self) -> None:
        for value in math.nan, -math.inf:
            with pytest.raises(ValueError, match="should be finite"):
                replace(HEADER, request_body={"x": [1.5, {"y": value}]})
        line = MOON_FILE.partition("\n")[0].replace('"What?"', "1e999")
        with pytest.raises(RecordingError, match="line 1: the numbers .* should be finite"):
            RecordingReader().receive_line(line.encode())

    def test_an_error_of_no_line(self) -> None:
        assert RecordingError("wrong").line_number == 0


class TestTheClientsSide:
    """The optional fields of the header: the connection and the timeouts."""

    def test_they_are_in_the_header(self) -> None:
        timeouts = RecordedTimeouts(10, 60.5, None, 600)
        header = replace(HEADER, connected=0.0123456, timeouts=timeouts)
        line = encode_line(header).decode()
        assert json.loads(line) == json.loads(MOON_FILE.splitlines()[0]) | {
            "timeouts": {"connect": 10, "first_event": 60.5, "idle": None, "total": 600},
            "connected": 0.012346,
        }
        recording = replace(MOON, header=header)
        assert Recording.decode(recording.encode()) == recording

    def test_each_may_be_missing(self) -> None:
        assert (MOON.header.connected, MOON.header.timeouts) == (None, None)
        for header in (
            replace(HEADER, connected=0),
            replace(HEADER, timeouts=RecordedTimeouts()),
            replace(NO_HEAD, timeouts=RecordedTimeouts(connect=3)),
        ):
            ending = Ending(0, "ConnectionLost")
            recording = Recording(header, (), ending)
            assert Recording.decode(recording.encode()) == recording
        line = MOON_FILE.splitlines()[0].replace('"response"', '"timeouts": {}, "response"')
        assert Recording.decode("\n".join([line, *MOON_FILE.splitlines()[1:]]).encode()) == replace(
            MOON, header=replace(HEADER, timeouts=RecordedTimeouts())
        )

    def test_a_timeout_that_never_passes_is_none(self) -> None:
        assert RecordedTimeouts(math.inf, 1e9, 1e9 + 1, 10**400) == RecordedTimeouts(
            None, 1e9, None, None
        )
        assert RecordedTimeouts(1e-7, 0).connect == 0

    @pytest.mark.parametrize("seconds", [-1, True, math.nan, "1"])
    def test_others_are_refused(self, seconds: object) -> None:
        with pytest.raises(ValueError, match="seconds should be a number from 0 to 1e9, not "):
            RecordedTimeouts(idle=seconds)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="seconds should be a number from 0 to 1e9, not "):
            replace(HEADER, connected=seconds)


class TestEnding:
    @pytest.mark.parametrize("kind", ENDING_ERRORS)
    def test_faults(self, kind: type[MoondreamError]) -> None:
        error = ending_error(Ending(1, kind.__name__, "what happened"))
        assert type(error) is kind
        assert str(error) == "what happened"

    def test_omitted(self) -> None:
        error = ending_error(Ending(1, OMITTED, "3 bytes were left out"))
        assert type(error) is ConnectionLost
        assert str(error) == "the recording ends here: 3 bytes were left out"

    def test_eof_is_no_fault(self) -> None:
        assert ending_error(Ending(1, EOF)) is None

    @pytest.mark.parametrize("name", ["LocalProtocolError", "APIError", "ValueError", "EOF", ""])
    def test_other_names(self, name: str) -> None:
        with pytest.raises(ValueError, match="the ending should be one of eof, left, omitted, Tr"):
            Ending(0, name)


def test_an_error_says_its_message_alone() -> None:
    error = RecordingError("line 3: No.", 3)
    assert (str(error), error.line_number) == ("line 3: No.", 3)


@pytest.mark.parametrize(
    ("beyond", "words"), [(0, "not JSON"), (1, "the line is longer than 16,777,216 bytes")]
)
def test_a_line_has_at_most_16_mib(beyond: int, words: str) -> None:
    with pytest.raises(RecordingError, match=words):
        RecordingReader().receive_line(b"x" * (16 * 1024 * 1024 + beyond))
