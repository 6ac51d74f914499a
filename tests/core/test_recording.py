"""The recording format: what goes in comes out, and what should not be in it is not."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import pickle
import string
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_moondream import (
    CaptionRequest,
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    Endpoint,
    FirstEventTimeout,
    HTTPRequest,
    IdleTimeout,
    IncompleteStream,
    MoondreamError,
    QueryRequest,
    RemoteProtocolError,
    TLSError,
    TotalTimeout,
    TransportError,
)
from sansio_moondream.recording import (
    EOF,
    FORMAT_VERSION,
    Chunk,
    Ending,
    Line,
    Recording,
    RecordingError,
    RecordingHeader,
    RecordingReader,
    encode_line,
    ending_error,
    mask_chunks,
    mask_text,
)
from tests.helpers import PIXEL

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
MOON_FILE = """\
{"recording": 1, "request": {"method": "POST", "path": "/v1/query", "headers": [["accept", "text/event-stream"]], \
"body": {"question": "What?"}}, "response": {"seconds": 0.25, "status_code": 200, "headers": [["content-type", "text/event-stream"]]}}
[0.052, "t", "data: {\\"chunk\\": \\" 月🌙\\"}\\n\\n"]
[0.01, "b", "gIE="]
[0.0, "t", "\\n"]
[0.001, "x", "eof"]
"""
ENDING_ERRORS: list[type[MoondreamError]] = [
    TransportError,
    ConnectError,
    TLSError,
    ConnectTimeout,
    FirstEventTimeout,
    IncompleteStream,
    ConnectionLost,
    IdleTimeout,
    TotalTimeout,
    RemoteProtocolError,
]


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
            (2, MOON_FILE.splitlines()[0], "a line should be"),
            (2, '[0, "t", "A', "not JSON"),
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
            (2, '[1e400, "t", "A"]', "seconds should be"),
            (2, f'[{"9" * 500}, "t", "A"]', "seconds should be"),
            (2, '[0, "x", "eof", 1]', "a line should be"),
            (
                2,
                '[0, "x", "KeyError"]',
                "should be eof, left or one of TransportError, ConnectError",
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

    def test_line_that_is_not_utf_8(self) -> None:
        with pytest.raises(RecordingError, match="line 2: "):
            Recording.decode(MOON_FILE.splitlines()[0].encode() + b'\n[0, "t", "\xff"]\n')

    @pytest.mark.parametrize("line", [Chunk(0, b"A"), Ending(0)])
    def test_where_no_response_began_only_a_fault_follows(self, line: Line) -> None:
        with pytest.raises(RecordingError, match="line 2: without a response, only the error"):
            Recording.decode(encode_line(NO_HEAD) + encode_line(line))

    def test_cut_short(self) -> None:
        lines = MOON_FILE.splitlines(keepends=True)
        for count in range(1, len(lines)):
            with pytest.raises(
                RecordingError, match=f"line {count + 1}: the recording stops without its ending"
            ) as caught:
                Recording.decode("".join(lines[:count]).encode())
            assert caught.value.line_number == count + 1
        with pytest.raises(RecordingError, match="line 1: the recording is empty"):
            Recording.decode(b"")

    @pytest.mark.parametrize("cut", range(1, 40))
    def test_cut_in_a_line(self, cut: int) -> None:
        with pytest.raises(RecordingError):
            Recording.decode(MOON_FILE.encode()[: -cut - 1])

    def test_half_characters_become_replacement_characters(self) -> None:
        reader = RecordingReader()
        reader.receive_line(encode_line(HEADER))
        assert reader.receive_line(b'[0, "t", "A\\ud83c"]') == Chunk(0, "A\ufffd".encode())


class TestEnding:
    @pytest.mark.parametrize("kind", ENDING_ERRORS)
    def test_faults(self, kind: type[MoondreamError]) -> None:
        error = ending_error(Ending(1, kind.__name__, "what happened"))
        assert type(error) is kind
        assert str(error) == "what happened"

    def test_eof_is_no_fault(self) -> None:
        assert ending_error(Ending(1, EOF)) is None

    @pytest.mark.parametrize("name", ["LocalProtocolError", "APIError", "ValueError", "EOF", ""])
    def test_other_names(self, name: str) -> None:
        with pytest.raises(ValueError, match="the ending should be eof, left or one of"):
            Ending(0, name)


KEY = 'k3y-with-"quotes"-and-é'
PAYLOAD = PIXEL.data_url.partition(",")[2]
ENDPOINT = Endpoint(
    url="https://moondream.test/v1",
    api_key="plain-key",
    headers={"Cookie": "c=1", "Authorization": "Bearer b"},
)


def asked(body: Any) -> Any:
    """What of a request's body is recorded."""
    return RecordingHeader.of(
        HTTPRequest("POST", "http://h/v1/query", (), json.dumps(body).encode())
    ).request_body


class TestHeaderOfAnExchange:
    def test_only_harmless_headers(self) -> None:
        response = [
            ("Content-Type", "text/event-stream"),
            ("Set-Cookie", "c=2"),
            ("X-Org-Id", "o1"),
            ("OpenAI-Organization", "o1"),
            ("X-Request-Id", "plain-key-7"),
            ("Retry-After", "3"),
        ]
        header = RecordingHeader.of(
            QueryRequest(question="What?").to_http(ENDPOINT),
            200,
            response,
            seconds=0.5,
            secrets=["plain-key"],
        )
        assert [name for name, _ in header.request_headers] == [
            "accept",
            "accept-encoding",
            "content-type",
            "user-agent",
        ]
        assert header.response_headers == (
            ("content-type", "text/event-stream"),
            ("x-request-id", "*********-7"),
            ("retry-after", "3"),
        )
        assert (header.method, header.path, header.status_code, header.seconds) == (
            "POST",
            "/v1/query",
            200,
            0.5,
        )
        line = encode_line(header)
        for secret in (b"plain-key", b"c=1", b"c=2", b"Bearer", b"o1", b"moondream.test"):
            assert secret not in line

    def test_a_redirect_loses_its_user_and_query(self) -> None:
        request = QueryRequest(question="What?").to_http(ENDPOINT)
        header = RecordingHeader.of(
            request, 307, {"Location": "https://me:pass@host.test/v2?token=t#f"}
        )
        assert header.response_headers == (("location", "https://host.test/v2"),)

    def test_no_response(self) -> None:
        assert (
            RecordingHeader.of(QueryRequest(question="What?").to_http(ENDPOINT)).status_code is None
        )

    def test_pictures_are_described(self) -> None:
        header = RecordingHeader.of(CaptionRequest(image=PIXEL).to_http(ENDPOINT))
        assert header.request_body == {
            "image_url": {
                "sha256": hashlib.sha256(PIXEL.data).hexdigest(),
                "media_type": "image/gif",
                "bytes": len(PIXEL.data),
                "width": 1,
                "height": 1,
            },
            "stream": True,
        }
        assert (
            Recording.decode(Recording(header, (), Ending(0, "TransportError")).encode()).header
            == header
        )

    @pytest.mark.parametrize(
        ("url", "described"),
        [
            (
                "data:image/webp;base64,AAAA",
                {"media_type": "image/webp", "bytes": 3, "width": None},
            ),
            ("DATA:;base64,!", {"media_type": None, "bytes": 1, "width": None}),
            ("data:image/png;base64,a", {"media_type": "image/png", "bytes": 1, "height": None}),
        ],
    )
    def test_pictures_that_are_none(self, url: str, described: dict[str, Any]) -> None:
        """Whatever is in a data URL may be somebody's picture."""
        body = json.dumps({"messages": [{"content": [{"image_url": {"url": url}}]}]}).encode()
        header = RecordingHeader.of(HTTPRequest("POST", "http://h/v1/chat/completions", (), body))
        seen = header.request_body["messages"][0]["content"][0]["image_url"]["url"]
        assert described.items() <= seen.items()

    @pytest.mark.parametrize(
        "text",
        [
            f" {PIXEL.data_url}\n",
            PAYLOAD,
            f"\n{PAYLOAD} ",
            PAYLOAD.rstrip("="),
            base64.encodebytes(PIXEL.data).decode(),
            "\n".join(PAYLOAD[at : at + 10] for at in range(0, len(PAYLOAD), 10)),
            base64.urlsafe_b64encode(PIXEL.data).decode(),
        ],
        ids=["blanks", "bare", "bare, blanks", "no padding", "MIME", "short lines", "of URLs"],
    )
    def test_however_a_picture_is_written_it_is_the_same(self, text: str) -> None:
        assert asked({"image_url": text}) == asked({"image_url": PIXEL.data_url})

    @pytest.mark.parametrize(
        "picture",
        [b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"RIFF1234WEBP"],
    )
    def test_base64_of_every_format(self, picture: bytes) -> None:
        data = picture + bytes(range(256))
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(data).decode()
            (seen,) = asked([text])
            assert seen["sha256"] == hashlib.sha256(data).hexdigest()
            assert mask_text(f'"{text}"') == f'"{"*" * len(text)}"'
            assert (
                asked(f"See: {text}!")
                == f"See: [a picture of {len(data)} bytes, sha256 {seen['sha256']}]!"
            )

    def test_pictures_inside_texts(self) -> None:
        digest = hashlib.sha256(PIXEL.data).hexdigest()
        words = f"data:image/gif;base64,[a picture of {len(PIXEL.data)} bytes, sha256 {digest}]"
        seen = asked({"question": f"Hi ![x]({PIXEL.data_url}), ![y]({PIXEL.data_url})?"})
        assert seen == {"question": f"Hi ![x]({words}), ![y]({words})?"}
        assert asked(seen) == seen  # a recorded request can be sent, and recorded, again

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "What?",
            "A" * 100,
            "/9j/, which is how it begins " * 9,
            "Give data:image/png;base64,... or data:image/png;base64,<it>",
            "é",
        ],
    )
    def test_texts_that_are_no_pictures(self, text: str) -> None:
        assert asked(text) == mask_text(text) == text

    def test_a_large_picture(self) -> None:
        """Thirteen megabytes as sent: what is not linear would take minutes."""
        payload = base64.b64encode(b"\xff\xd8\xff\xe0" + bytes(range(256)) * 38_000).decode()
        assert asked(payload)["bytes"] == asked(f"data:;base64,{payload}")["bytes"] == 9_728_004
        assert len(asked(f"See {payload} or data:;base64,{payload}!")) < 400
        assert set(mask_chunks([payload.encode()], pictures=[payload[:32]])[0]) == {ord("*")}

    def test_secrets_in_the_body(self) -> None:
        body = {
            "question": f"my key is {KEY}",
            "org_id": "o-1",
            "orgId": 7,
            "n": 1,
            KEY: [KEY, None, True],
        }
        header = RecordingHeader.of(
            HTTPRequest("POST", f"http://h/{KEY}/query?key={KEY}", (), json.dumps(body).encode()),
            secrets=[KEY],
        )
        masked = "*" * len(KEY.encode())
        assert header.path == f"/{masked}/query"
        assert header.request_body == {
            "question": f"my key is {masked}",
            "org_id": "***",
            "orgId": "*",
            "n": 1,
            masked: [masked, None, True],
        }

    def test_secrets_that_are_numbers(self) -> None:
        body = {"pin": 12345678, "price": 0.5, "count": 1234, "yes": True}
        header = RecordingHeader.of(
            HTTPRequest("POST", "http://h/v1/query", (), json.dumps(body).encode()),
            secrets=["12345678"],
        )
        assert header.request_body == {**body, "pin": "********"}

    def test_a_body_that_is_not_json(self) -> None:
        with pytest.raises(ValueError, match="not JSON"):
            RecordingHeader.of(HTTPRequest("POST", "http://h/v1/query", (), b"image=..."))


class TestMasking:
    @pytest.mark.parametrize(
        ("body", "masked"),
        [
            ('{"org_id": "o-1", "a": "b"}', '{"org_id": "***", "a": "b"}'),
            ('{"org_id":"o-1"}', '{"org_id":"***"}'),
            ('{"orgId" : "o-1"}', '{"orgId" : "***"}'),
            ('{"organization_id": "ö"}', '{"organization_id": "**"}'),
            ('{"org_id": 12345}', '{"org_id": 11111}'),
            ('{"org_id": null, "a": 1}', '{"org_id": null, "a": 1}'),
            ('{"org_id": ["x"]}', '{"org_id": ["x"]}'),
            (r'{"org_id": "o\"1\u0031", "a": "b"}', r'{"org_id": "**********", "a": "b"}'),
            (
                r'{"error": "{\"org_id\": \"o\\u0031\", \"a\": 1}"}',
                r'{"error": "{\"org_id\": \"********\", \"a\": 1}"}',
            ),
            ('data: {"org_id":\ndata: "o-1"}', 'data: {"org_id":\ndata: "***"}'),
            ('{"org_id": "o-1', '{"org_id": "***'),
            ("no id here", "no id here"),
        ],
    )
    def test_organisation_ids(self, body: str, masked: str) -> None:
        assert mask_text(body) == masked
        data = body.encode()
        for cut in range(1, len(data)):
            one, other = mask_chunks([data[:cut], data[cut:]])
            assert (one + other).decode() == masked
            assert len(one) == cut

    @given(st.lists(st.binary(max_size=9)), st.binary(min_size=1, max_size=9))
    def test_borders_stay(self, chunks: list[bytes], noise: bytes) -> None:
        chunks = [*chunks, noise, b'"org_id": "', noise]
        assert [len(chunk) for chunk in mask_chunks(chunks, ["aaaa", "bcde"])] == [
            len(chunk) for chunk in chunks
        ]

    @pytest.mark.parametrize(
        "spelling", [KEY, json.dumps(KEY)[1:-1], json.dumps(KEY, ensure_ascii=False)[1:-1]]
    )
    def test_secrets_split_over_chunks(self, spelling: str) -> None:
        data = f'data: {{"error": "no such key: {spelling}!"}}\n\n'.encode()
        masked = f'data: {{"error": "no such key: {"*" * len(spelling.encode())}!"}}\n\n'.encode()
        for size in range(1, len(data)):
            chunks = [data[at : at + size] for at in range(0, len(data), size)]
            assert b"".join(mask_chunks(chunks, [KEY])) == masked

    def test_a_secret_that_begins_with_another(self) -> None:
        assert mask_text("key1 key1-2 key", ["key1", "", "key1-2"]) == "**** ****** key"

    def test_secrets_that_every_body_has_somewhere(self) -> None:
        """They would spoil it: with the key "k", no "chunk" would be left."""
        body = b'data: {"chunk": "key"}'
        assert mask_chunks([body], ["k", "dat", "key"]) == (body,)
        assert mask_text("abc abcd", ["abc", "abcd"]) == "abc ****"

    def test_a_text_that_happens_to_end_as_a_secret_begins(self) -> None:
        """Nothing cuts it off, unlike a body or an error's message."""
        assert mask_text("is this a Bear", ["Bearer x"]) == "is this a Bear"

    def test_it_is_linear(self) -> None:
        """Shapes on which a careless expression would take minutes."""
        for hostile in (
            b"\\" * 500_000,
            b'org_id"' * 80_000,
            b'org_id": "' + b"\\" * 500_001,
            b'org_id"' + b" data:" * 90_000,
        ):
            assert len(mask_chunks([hostile])[0]) == len(hostile)
        for hostile in (
            b";base64," * 60_000,
            b";base64," + b"\\" * 500_000,
            b";base64," + b"\n" * 500_000,
            b"/9j" * 200_000,
            b"/9j" + b"\\" * 500_000,
            b"/" * 500_000,
            b"\\" * 500_000 + b"/",
        ):
            assert len(mask_chunks([hostile], pictures=["/" * 32, "+" * 32])[0]) == len(hostile)


def lines_of_text() -> st.SearchStrategy[str]:
    return st.text(st.characters(exclude_categories=["Cs"]))


SECONDS = st.floats(0, 1e6).map(lambda seconds: round(seconds, 6))
PAIRS = st.lists(st.tuples(lines_of_text(), lines_of_text()), max_size=3).map(tuple)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | lines_of_text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(string.ascii_letters), inner, max_size=3)
    ),
    max_leaves=5,
)
CHUNKS = st.lists(
    st.builds(Chunk, SECONDS, st.binary(min_size=1) | lines_of_text().filter(bool).map(str.encode)),
    max_size=5,
).map(tuple)
FAULTY = st.builds(
    Ending, SECONDS, st.sampled_from(ENDING_ERRORS).map(lambda kind: kind.__name__), lines_of_text()
)
RECORDINGS = st.builds(
    Recording,
    st.builds(
        RecordingHeader,
        lines_of_text(),
        lines_of_text(),
        PAIRS,
        JSON,
        st.integers(100, 999),
        PAIRS,
        SECONDS,
    ),
    CHUNKS,
    FAULTY | st.builds(Ending, SECONDS),
) | st.builds(
    Recording,
    st.builds(RecordingHeader, lines_of_text(), lines_of_text(), PAIRS, JSON),
    st.just(()),
    FAULTY,
)


@given(RECORDINGS)
def test_what_goes_in_comes_out(recording: Recording) -> None:
    data = recording.encode()
    assert Recording.decode(data) == recording
    assert Recording.decode(data).encode() == data
    assert data.count(b"\n") == len(recording.chunks) + 2
    assert data.decode().splitlines() == data.decode().split("\n")[:-1]  # no other line end in it


LINES = st.lists(st.sampled_from([*MOON_FILE.splitlines(), "[]", '[0, "x"]', "{}"]))


@given(st.binary() | LINES.map(lambda lines: "\n".join(lines).encode()))
def test_only_documented_errors_come_out(data: bytes) -> None:
    with suppress(RecordingError):
        recording = Recording.decode(data)
        assert Recording.decode(recording.encode()) == recording


def test_bytes_that_are_text_are_text() -> None:
    assert encode_line(Chunk(0, b"A")).startswith(b'[0.0, "t"')
    assert encode_line(Chunk(0, "月".encode()[:2])) == b'[0.0, "b", "%b"]\n' % base64.b64encode(
        "月".encode()[:2]
    )
    assert FORMAT_VERSION == 1
