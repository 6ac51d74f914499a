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
    Line,
    RecordedTimeouts,
    Recording,
    RecordingError,
    RecordingHeader,
    RecordingReader,
    encode_line,
    ending_error,
)
from tests.core.recordings import ENDING_ERRORS, MOON_FILE

HEADER = RecordingHeader(
    "POST",
    "/v1/query",
    (("accept", "text/event-stream"),),
    {"question": "What?"},
    200,
    (("content-type", "text/event-stream"),),
    0.25,
)


NO_HEAD = RecordingHeader("POST", "/v1/query", (), {})


MOON = Recording(
    HEADER,
    (
        Chunk(0.052, 'data: {"chunk": " 月🌙"}\n\n'.encode()),
        Chunk(0.01, b"\x80\x81"),
        Chunk(0, b"\n"),
    ),
    Ending(0.001),
)


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


class TestReader:
    def test_line_by_line(self) -> None:
        reader = RecordingReader()
        lines: list[Line] = [
            reader.receive_line(line) for line in MOON_FILE.encode().splitlines(keepends=True)
        ]
        reader.receive_eof()
        assert lines == [HEADER, *MOON.chunks, Ending(0.001)]

    @pytest.mark.parametrize(
        ("line_number", "line", "words"),
        [
            (1, "", "not JSON"),
            (1, "{", "not JSON"),
            (1, "[]", "header of a recording"),
            (1, "{}", "header of a recording"),
            (1, '{"recording": 2}', "format version 2, and this library reads 1"),
            (1, '{"recording": "1"}', "format version 1"),
            (1, '{"recording": 1, "request": {}, "response": null}', "method"),
            (1, json.dumps({"recording": 1, "request": "GET", "response": None}), "request"),
            (1, MOON_FILE.splitlines()[0].replace("200", "42"), "status_code"),
            (1, MOON_FILE.splitlines()[0].replace("0.25", "-1"), "seconds should be"),
            (1, f'{{"connected": "0", {MOON_FILE.splitlines()[0][1:]}', "connected"),
            (1, f'{{"connected": -1, {MOON_FILE.splitlines()[0][1:]}', "seconds should be"),
            (1, f'{{"timeouts": {{"idle": -1}}, {MOON_FILE.splitlines()[0][1:]}', "seconds sho"),
            (2, MOON_FILE.splitlines()[0], "a line should be"),
            (2, '[0, "t", "A', "not JSON .*at: column 10 "),
            (2, "", "not JSON"),
            (2, '[0, "y", "A"]', "a line should be"),
            (2, '[0, "t", 1]', "a line should be"),
            (2, '[0, "t", "A", "B"]', "a line should be"),
            (2, '[0, "t", ""]', "at least one byte"),
            (2, '[0, "b", "gIE"]', "padding"),
            (2, '[0, "b", "*"]', "base64"),
            (2, '["0", "t", "A"]', "seconds should be a number from 0 to 1e9, not '0'"),
            (2, '[true, "t", "A"]', "seconds should be"),
            (2, '[-0.1, "t", "A"]', "seconds should be"),
            (2, '[1000000000.5, "t", "A"]', "seconds should be"),
            (2, '[1e400, "t", "A"]', "seconds should be"),
            (2, f'[{"9" * 500}, "t", "A"]', "seconds should be"),
            (2, '[0, "x", "eof", 1]', "a line should be"),
            (
                2,
                '[0, "x", "KeyError"]',
                "should be one of eof, left, omitted, TransportError, ConnectError",
            ),
            (2, '[0, "x", "APIError"]', "not 'APIError'"),
            (2, "[" * 100, "nests deeper than 64"),
            (2, '[0, "t", "' + "A" * 99_999 + '"]', "longer than 90,000 bytes"),
            (6, '[0, "t", "A"]', "nothing should follow the ending"),
            (6, '[0, "x", "eof"]', "nothing should follow the ending"),
        ],
    )
    def test_broken_lines(self, line_number: int, line: str, words: str) -> None:
        lines = MOON_FILE.splitlines()
        data = "\n".join([*lines[: line_number - 1], line, *lines[line_number:]])
        with pytest.raises(RecordingError, match=f"line {line_number}: .*{words}") as caught:
            Recording.decode(data.encode(), max_line_bytes=90_000)
        assert caught.value.line_number == line_number
        assert pickle.loads(pickle.dumps(caught.value)).line_number == line_number

    @pytest.mark.parametrize("which", ["request", "response"])
    @pytest.mark.parametrize(
        ("name", "value", "words"),
        [
            ("x-request-id", "7\r\nX-Injected: yes", "the header field x-request-id should be a s"),
            ("x", "\n", "the header field x should be a single line"),
            ("x", "\r", "the header field x should be a single line"),
            ("x", "\0", "the header field x should be a single line"),
            ("x", "\v", "the header field x should be a single line"),
            ("x", "\f", "the header field x should be a single line"),
            ("x\r\ny", "7", "should be the name of a header field"),
            ("x: y", "7", "should be the name of a header field"),
            ("x\n", "7", "should be the name of a header field"),
            ("é", "7", "should be the name of a header field"),
            ("", "7", "should be the name of a header field"),
        ],
    )
    def test_header_fields_of_several_lines(
        self, which: str, name: str, value: str, words: str
    ) -> None:
        """A server that replays them would send fields of the file's choice."""
        fields = (("content-type", "text/plain"), (name, value))
        header = replace(HEADER, **{f"{which}_headers": fields})
        with pytest.raises(RecordingError, match=f"line 1: .*{words}"):
            RecordingReader().receive_line(encode_line(header))

    def test_header_fields_of_one_line(self) -> None:
        header = replace(
            HEADER, response_headers=(("x-!#$%&'*+.^_`|~9", "\ta \x01 \x7f é 月 \x85"),)
        )
        assert RecordingReader().receive_line(encode_line(header)) == header

    def test_line_that_is_not_utf_8(self) -> None:
        with pytest.raises(RecordingError, match="line 2: "):
            Recording.decode(MOON_FILE.splitlines()[0].encode() + b'\n[0, "t", "\xff"]\n')

    @pytest.mark.parametrize("line", [Chunk(0, b"A"), Ending(0)])
    def test_where_no_response_began_only_a_fault_follows(self, line: Line) -> None:
        with pytest.raises(RecordingError, match="line 2: without a response, only the error"):
            Recording.decode(encode_line(NO_HEAD) + encode_line(line))

    def test_truncated(self) -> None:
        lines = MOON_FILE.splitlines(keepends=True)
        for count in range(1, len(lines)):
            with pytest.raises(
                RecordingError, match=f"line {count + 1}: the recording stops without its ending"
            ) as caught:
                Recording.decode("".join(lines[:count]).encode())
            assert caught.value.line_number == count + 1
        with pytest.raises(RecordingError, match="line 1: the recording is empty"):
            Recording.decode(b"")

    @pytest.mark.parametrize("missing", range(1, 40))
    def test_truncated_in_a_line(self, missing: int) -> None:
        with pytest.raises(RecordingError):
            Recording.decode(MOON_FILE.encode()[: -missing - 1])

    def test_incomplete_characters_become_replacement_characters(self) -> None:
        reader = RecordingReader()
        reader.receive_line(encode_line(HEADER))
        assert reader.receive_line(b'[0, "t", "A\\ud83c"]') == Chunk(0, "A\ufffd".encode())


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
