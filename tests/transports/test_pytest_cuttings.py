"""The fixture that feeds a client every cutting: what it gives, and that clients which depend on the cutting fail by its name."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from moondream_transports import AsyncClient, Client, UrllibTransport
from moondream_transports._cutting_server import framed
from moondream_transports.pytest_plugin import CutRecording, Cuttings
from sansio_moondream import ConnectionLost, Endpoint, QueryRequest
from sansio_moondream.recording import Ending, Piece, Recording, RecordingError, RecordingHeader
from tests.helpers import LOCAL, QUERY, TRACES

pytest_plugins = ["pytester", "moondream_transports.pytest_plugin"]

FIRST, SECOND, END = 'data: {"chunk": "a 月"}\n\n'.encode(), b'data: {"chunk": " rises"}\n\n', b'data: {"completed": true}\n\n'
BODY = FIRST + SECOND + END
HEAD = (("content-type", "text/event-stream"), ("transfer-encoding", "chunked"), ("x-request-id", "7"))
MOON = Recording(
    RecordingHeader("POST", "/v1/query", status_code=200, response_headers=HEAD),
    tuple(Piece(0.01, data) for data in (FIRST, SECOND, END)),
    Ending(0.01),
)
BROKEN = Recording(MOON.header, MOON.pieces[:2], Ending(0.01, "ConnectionLost", "reset"))


def ask(url: str) -> bytes:
    """All bytes of the response, read as they come."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        connection.sendall(f"GET {parts.path}/v1/query HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


class TestWhatItGives:
    def test_the_cuttings(self, moondream_cuttings: Cuttings, tmp_path: Path):
        names = ["whole", *(f"cut at {offset}" for offset in range(1, len(BODY))), "byte by byte"]
        cuttings = list(moondream_cuttings(MOON))
        assert [cutting.name for cutting in cuttings] == names
        assert [cuttings[at].pieces for at in (0, 1, -1)] == [[BODY], [BODY[:1], BODY[1:]], [BODY[at : at + 1] for at in range(len(BODY))]]
        for cutting in cuttings:
            assert b"".join(cutting.pieces) == BODY
            assert [piece.data for piece in cutting.recording.pieces] == cutting.pieces
            assert (cutting.recording.header, cutting.recording.ending) == (MOON.header, MOON.ending)
        (tmp_path / "moon.jsonl").write_bytes(MOON.encode())
        for path in (tmp_path / "moon.jsonl", str(tmp_path / "moon.jsonl")):
            assert [cutting.name for cutting in moondream_cuttings(path)] == names

    def test_some_of_a_long_body(self, moondream_cuttings: Cuttings):
        (body,) = [trace.body for trace in TRACES if trace.name == "engine-segment"]
        long = Recording(MOON.header, (Piece(0, body),), MOON.ending)
        assert len(body) > 1000
        assert len(list(moondream_cuttings(long))) == pytest.approx(252, abs=10)
        assert len(list(moondream_cuttings(long, most=20))) == pytest.approx(22, abs=2)
        assert len(list(moondream_cuttings(MOON, most=None))) == len(BODY) + 1

    def test_no_body(self, moondream_cuttings: Cuttings):
        (cutting,) = [cutting for cutting in moondream_cuttings(Recording(MOON.header, (), Ending(0))) if cutting.name == "whole"]
        assert cutting.pieces == []
        assert ask(cutting.url()).endswith(b"\r\n\r\n0\r\n\r\n")

    def test_no_recording(self, moondream_cuttings: Cuttings, tmp_path: Path):
        (tmp_path / "moon.jsonl").write_text("{}\n")
        with pytest.raises(RecordingError, match="should be the header of a recording"):
            moondream_cuttings(tmp_path / "moon.jsonl")
        with pytest.raises(FileNotFoundError):
            moondream_cuttings(tmp_path / "sun.jsonl")

    def test_it_shows_where(self, moondream_cuttings: Cuttings):
        reprs = [repr(cutting) for cutting in moondream_cuttings(MOON)]
        assert reprs[0] == "<CutRecording whole>"
        assert reprs[9].startswith('<CutRecording cut at 9, between b\'data: {"c\' and b\'hunk": "a \\xe6\\x9c\\x88"}\\n\\ndata: {')


class TestTransports:
    def test_sync(self, moondream_cuttings: Cuttings):
        for cutting in moondream_cuttings(MOON):
            with Client(cutting.transport(), LOCAL).stream(QUERY) as stream:
                assert stream.result().text == "a 月 rises"

    def test_async(self, moondream_cuttings: Cuttings):
        async def ask(cutting: CutRecording) -> str:
            async with AsyncClient(cutting.async_transport(), LOCAL).stream(QUERY) as stream:
                return (await stream.result()).text

        for cutting in moondream_cuttings(MOON):
            assert asyncio.run(ask(cutting)) == "a 月 rises"

    def test_a_fault(self, moondream_cuttings: Cuttings):
        for cutting in moondream_cuttings(BROKEN, most=5):
            with Client(cutting.transport(), LOCAL).stream(QUERY) as stream, pytest.raises(ConnectionLost):
                stream.result()
            assert stream.snapshot and stream.snapshot.text == "a 月 rises"


class TestAddresses:
    @pytest.mark.parametrize("cut", ["both", "chunks", "segments"])
    def test_any_client(self, moondream_cuttings: Cuttings, cut: str):
        for cutting in moondream_cuttings(MOON, most=20):
            client = Client(UrllibTransport(), Endpoint(cutting.url(cut)))  # type: ignore[arg-type]
            with client.stream(QueryRequest(question="What is this?")) as stream:
                assert stream.result().text == "a 月 rises"
                assert stream.result().metadata.request_id == "7"

    def test_a_fault(self, moondream_cuttings: Cuttings):
        for cutting in moondream_cuttings(BROKEN, most=5):
            with Client(UrllibTransport(), Endpoint(cutting.url())).stream(QUERY) as stream, pytest.raises(ConnectionLost):
                stream.result()
            assert stream.snapshot and stream.snapshot.text == "a 月 rises"

    def test_no_head(self, moondream_cuttings: Cuttings):
        for cutting in moondream_cuttings(Recording(RecordingHeader("POST", "/v1/query"), (), Ending(0, "ConnectFailed"))):
            assert ask(cutting.url()) == b""

    def test_a_request_in_chunks_is_read_to_its_end(self, moondream_cuttings: Cuttings):
        cutting = next(moondream_cuttings(MOON))
        parts = urlsplit(cutting.url())
        with socket.create_connection((parts.hostname, parts.port)) as connection:
            head = f"POST {parts.path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
            connection.sendall(head + b"3;x=y\r\nabc\r\n0\r\nTrailer: x\r\n\r\n")
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert answer == b"".join(framed(MOON, [BODY], "both"))

    def test_what_is_sent(self, moondream_cuttings: Cuttings):
        cutting = next(cutting for cutting in moondream_cuttings(MOON) if cutting.name == "cut at 9")
        head = (
            b"HTTP/1.1 200 Recorded\r\ncontent-type: text/event-stream\r\nx-request-id: 7\r\n"
            b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        )
        chunks = [b"9\r\n" + BODY[:9] + b"\r\n", b"%x\r\n" % (len(BODY) - 9) + BODY[9:] + b"\r\n", b"0\r\n\r\n"]
        recorded = [b"%x\r\n" % len(piece) + piece + b"\r\n" for piece in (FIRST, SECOND, END)]
        segments = {
            "both": [head, *chunks],
            "chunks": [b"".join([head, *chunks])],
            "segments": [head, recorded[0][:13], recorded[0][13:] + recorded[1] + recorded[2], b"0\r\n\r\n"],
        }
        for cut in ("both", "chunks", "segments"):
            assert list(framed(MOON, cutting.pieces, cut)) == segments[cut]
            assert ask(cutting.url(cut)) == b"".join(segments[cut])


# --- Users' clients -----------------------------------------------------------------------------------------------------------

RIGHT = {
    "pieces": """
        def text_of(cutting):
            stream = ResponseStream(REQUEST)
            stream.receive_response(cutting.recording.header.status_code, cutting.recording.header.response_headers)
            for piece in cutting.pieces:
                stream.receive_data(piece)
            stream.receive_eof()
            return stream.result().text
    """,
    "transport": """
        def text_of(cutting):
            with Client(cutting.transport(), Endpoint("http://localhost:2020/v1")).stream(REQUEST) as stream:
                return stream.result().text
    """,
    "address": """
        def text_of(cutting):
            with urlopen(cutting.url(), data=b"{}") as response:
                return texts(line for line in response)
    """,
}
WRONG = {
    "it decodes each piece for itself": """
        def text_of(cutting):
            return texts("".join(piece.decode(errors="replace") for piece in cutting.pieces).encode().splitlines())
    """,
    "it takes lines from each piece for itself": """
        def text_of(cutting):
            return texts(line for piece in cutting.pieces for line in piece.splitlines() if line.endswith(b"}"))
    """,
    "it takes lines from each chunk for itself": """
        def text_of(cutting):
            with urlopen(cutting.url(), data=b"{}") as response:
                return texts(line for chunk in iter(response.read1, b"") for line in chunk.splitlines() if line.endswith(b"}"))
    """,
}
TEST = """
    import json
    from urllib.request import urlopen

    from moondream_transports import Client
    from sansio_moondream import Endpoint, QueryRequest, ResponseStream

    REQUEST = QueryRequest(question="What is this?")

    def texts(lines):
        return "".join(json.loads(line[6:]).get("chunk", "") for line in lines if line.startswith(b"data: "))

    def test_the_cutting_does_not_matter(moondream_cuttings):
        for cutting in moondream_cuttings("moon.jsonl"):
            assert text_of(cutting) == "a 月 rises"
"""
RunTests = Callable[[str], pytest.RunResult]


@pytest.fixture
def run_tests(pytester: pytest.Pytester) -> RunTests:
    def run(client: str) -> pytest.RunResult:
        (pytester.path / "moon.jsonl").write_bytes(MOON.encode())
        pytester.makepyfile(TEST.replace("    def test_the", client.replace("\n    ", "\n") + "\n    def test_the"))
        return pytester.runpytest("-p", "moondream_transports.pytest_plugin", "-p", "no:cacheprovider")

    return run


@pytest.mark.parametrize("client", RIGHT)
def test_a_right_client_passes(run_tests: RunTests, client: str):
    run_tests(RIGHT[client]).assert_outcomes(passed=1)


@pytest.mark.parametrize(("client", "offset"), [*zip(WRONG, (FIRST.index("月".encode()) + 1, 1, 1), strict=True)])
def test_a_wrong_client_fails_and_is_told_where(run_tests: RunTests, client: str, offset: int):
    result = run_tests(WRONG[client])
    result.assert_outcomes(failed=1)
    assert f"moondream_cuttings: it was <CutRecording cut at {offset}, between {BODY[:offset]!r} and " in result.stdout.str()


def test_a_failure_after_them_all_names_none(run_tests: RunTests):
    result = run_tests(
        RIGHT["pieces"] + "\n        def test_other(moondream_cuttings):\n            list(moondream_cuttings('moon.jsonl')); assert 0\n"
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.no_fnmatch_line("*it was*")


def test_it_is_not_there_unless_asked_for(pytester: pytest.Pytester):
    pytester.makepyfile("def test_it(moondream_cuttings): pass")
    result = pytester.runpytest("-p", "no:cacheprovider")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'moondream_cuttings' not found"])
