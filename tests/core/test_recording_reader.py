"""The recording format: a reader of a file that is still written, or damaged."""

from __future__ import annotations

import json
import pickle

import pytest
from msgspec.structs import replace

from sansio_moondream.recording import (
    Chunk,
    Ending,
    Line,
    Recording,
    RecordingError,
    RecordingReader,
    encode_line,
)
from tests.core.recordings import HEADER, MOON, MOON_FILE, NO_HEAD


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
