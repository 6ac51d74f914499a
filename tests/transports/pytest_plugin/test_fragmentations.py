"""The fixture that feeds a client every fragmentation: what it gives, and that clients which depend
on the fragmentation fail by its name.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from moondream_transports import AsyncClient, Client, UrllibTransport
from moondream_transports._plugin.server import segments_of
from moondream_transports.pytest_plugin import Fragmentations, FragmentedRecording
from sansio_moondream import ConnectionLost, Endpoint, QueryRequest
from sansio_moondream.recording import Chunk, Ending, Recording, RecordingError, RecordingHeader
from tests.helpers import LOCAL, QUERY, TRACES

pytest_plugins = ["pytester", "moondream_transports.pytest_plugin"]

FIRST, SECOND, END = (
    'data: {"chunk": "a 月"}\n\n'.encode(),
    b'data: {"chunk": " rises"}\n\n',
    b'data: {"completed": true}\n\n',
)
BODY = FIRST + SECOND + END
HEAD = (
    ("content-type", "text/event-stream"),
    ("transfer-encoding", "chunked"),
    ("x-request-id", "7"),
)
MOON = Recording(
    RecordingHeader("POST", "/v1/query", status_code=200, response_headers=HEAD),
    tuple(Chunk(0.01, data) for data in (FIRST, SECOND, END)),
    Ending(0.01),
)
BROKEN = Recording(MOON.header, MOON.chunks[:2], Ending(0.01, "ConnectionLost", "reset"))


def ask(url: str) -> bytes:
    """All bytes of the response, read as they come."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        connection.sendall(f"GET {parts.path}/v1/query HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


class TestWhatItGives:
    def test_the_fragmentations(self, moondream_fragmentations: Fragmentations, tmp_path: Path):
        names = ["whole", *(f"split at {offset}" for offset in range(1, len(BODY))), "byte by byte"]
        fragmentations = list(moondream_fragmentations(MOON))
        assert [fragmentation.name for fragmentation in fragmentations] == names
        assert [fragmentations[at].chunks for at in (0, 1, -1)] == [
            [BODY],
            [BODY[:1], BODY[1:]],
            [BODY[at : at + 1] for at in range(len(BODY))],
        ]
        for fragmentation in fragmentations:
            assert b"".join(fragmentation.chunks) == BODY
            assert [chunk.data for chunk in fragmentation.recording.chunks] == fragmentation.chunks
            assert (fragmentation.recording.header, fragmentation.recording.ending) == (
                MOON.header,
                MOON.ending,
            )
        (tmp_path / "moon.jsonl").write_bytes(MOON.encode())
        for path in (tmp_path / "moon.jsonl", str(tmp_path / "moon.jsonl")):
            assert [fragmentation.name for fragmentation in moondream_fragmentations(path)] == names

    def test_some_of_a_long_body(self, moondream_fragmentations: Fragmentations):
        (body,) = [trace.body for trace in TRACES if trace.name == "engine-segment"]
        long = Recording(MOON.header, (Chunk(0, body),), MOON.ending)
        assert len(body) > 1000
        assert len(list(moondream_fragmentations(long))) == pytest.approx(252, abs=10)
        assert len(list(moondream_fragmentations(long, most=20))) == pytest.approx(22, abs=2)
        assert len(list(moondream_fragmentations(MOON, most=None))) == len(BODY) + 1

    def test_no_body(self, moondream_fragmentations: Fragmentations):
        (fragmentation,) = [
            fragmentation
            for fragmentation in moondream_fragmentations(Recording(MOON.header, (), Ending(0)))
            if fragmentation.name == "whole"
        ]
        assert fragmentation.chunks == []
        assert ask(fragmentation.url()).endswith(b"\r\n\r\n0\r\n\r\n")

    def test_no_recording(self, moondream_fragmentations: Fragmentations, tmp_path: Path):
        (tmp_path / "moon.jsonl").write_text("{}\n")
        with pytest.raises(RecordingError, match="should be the header of a recording"):
            moondream_fragmentations(tmp_path / "moon.jsonl")
        with pytest.raises(FileNotFoundError):
            moondream_fragmentations(tmp_path / "sun.jsonl")

    def test_it_shows_where(self, moondream_fragmentations: Fragmentations):
        reprs = [repr(fragmentation) for fragmentation in moondream_fragmentations(MOON)]
        assert reprs[0] == "<FragmentedRecording whole>"
        assert reprs[9].startswith(
            "<FragmentedRecording split at 9, between b'data: {\"c' "
            'and b\'hunk": "a \\xe6\\x9c\\x88"}\\n\\ndata: {'
        )


class TestTransports:
    def test_sync(self, moondream_fragmentations: Fragmentations):
        for fragmentation in moondream_fragmentations(MOON):
            with Client(fragmentation.transport(), LOCAL).stream(QUERY) as stream:
                assert stream.result().text == "a 月 rises"

    def test_async(self, moondream_fragmentations: Fragmentations):
        async def ask(fragmentation: FragmentedRecording) -> str:
            async with AsyncClient(fragmentation.async_transport(), LOCAL).stream(QUERY) as stream:
                return (await stream.result()).text

        for fragmentation in moondream_fragmentations(MOON):
            assert asyncio.run(ask(fragmentation)) == "a 月 rises"

    def test_a_fault(self, moondream_fragmentations: Fragmentations):
        for fragmentation in moondream_fragmentations(BROKEN, most=5):
            with (
                Client(fragmentation.transport(), LOCAL).stream(QUERY) as stream,
                pytest.raises(ConnectionLost),
            ):
                stream.result()
            assert stream.snapshot and stream.snapshot.text == "a 月 rises"


class TestAddresses:
    @pytest.mark.parametrize("border", ["both", "chunks", "segments"])
    def test_any_client(self, moondream_fragmentations: Fragmentations, border: str):
        for fragmentation in moondream_fragmentations(MOON, most=20):
            client = Client(UrllibTransport(), Endpoint(fragmentation.url(border)))  # type: ignore[arg-type]
            with client.stream(QueryRequest(question="What is this?")) as stream:
                assert stream.result().text == "a 月 rises"
                assert stream.result().metadata.request_id == "7"

    def test_a_fault(self, moondream_fragmentations: Fragmentations):
        for fragmentation in moondream_fragmentations(BROKEN, most=5):
            with (
                Client(UrllibTransport(), Endpoint(fragmentation.url())).stream(QUERY) as stream,
                pytest.raises(ConnectionLost),
            ):
                stream.result()
            assert stream.snapshot and stream.snapshot.text == "a 月 rises"

    def test_no_head(self, moondream_fragmentations: Fragmentations):
        for fragmentation in moondream_fragmentations(
            Recording(RecordingHeader("POST", "/v1/query"), (), Ending(0, "ConnectError"))
        ):
            assert ask(fragmentation.url()) == b""

    def test_a_request_in_chunks_is_read_to_its_end(self, moondream_fragmentations: Fragmentations):
        fragmentation = next(moondream_fragmentations(MOON))
        parts = urlsplit(fragmentation.url())
        with socket.create_connection((parts.hostname, parts.port)) as connection:
            head = f"POST {parts.path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            connection.sendall(head.encode() + b"3;x=y\r\nabc\r\n0\r\nTrailer: x\r\n\r\n")
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert answer == b"".join(segments_of(MOON, [BODY], "both"))

    def test_what_is_sent(self, moondream_fragmentations: Fragmentations):
        fragmentation = next(
            fragmentation
            for fragmentation in moondream_fragmentations(MOON)
            if fragmentation.name == "split at 9"
        )
        head = (
            b"HTTP/1.1 200 Recorded\r\ncontent-type: text/event-stream\r\nx-request-id: 7\r\n"
            b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        )
        chunks = [
            b"9\r\n" + BODY[:9] + b"\r\n",
            b"%x\r\n" % (len(BODY) - 9) + BODY[9:] + b"\r\n",
            b"0\r\n\r\n",
        ]
        recorded = [b"%x\r\n" % len(chunk) + chunk + b"\r\n" for chunk in (FIRST, SECOND, END)]
        segments = {
            "both": [head, *chunks],
            "chunks": [b"".join([head, *chunks])],
            "segments": [
                head,
                recorded[0][:13],
                recorded[0][13:] + recorded[1] + recorded[2],
                b"0\r\n\r\n",
            ],
        }
        for border in ("both", "chunks", "segments"):
            assert list(segments_of(MOON, fragmentation.chunks, border)) == segments[border]
            assert ask(fragmentation.url(border)) == b"".join(segments[border])


# --- Users' clients

RIGHT = {
    "chunks": """
        def text_of(fragmentation):
            stream = ResponseStream(REQUEST)
            header = fragmentation.recording.header
            stream.receive_response(header.status_code, header.response_headers)
            for chunk in fragmentation.chunks:
                stream.receive_data(chunk)
            stream.receive_eof()
            return stream.result().text
    """,
    "transport": """
        def text_of(fragmentation):
            client = Client(fragmentation.transport(), Endpoint("http://localhost:2020/v1"))
            with client.stream(REQUEST) as stream:
                return stream.result().text
    """,
    "address": """
        def text_of(fragmentation):
            with urlopen(fragmentation.url(), data=b"{}") as response:
                return texts(line for line in response)
    """,
}
WRONG = {
    "it decodes each chunk for itself": """
        def text_of(fragmentation):
            decoded = [chunk.decode(errors="replace") for chunk in fragmentation.chunks]
            return texts("".join(decoded).encode().splitlines())
    """,
    "it takes lines from each chunk for itself": """
        def text_of(fragmentation):
            lines = (line for chunk in fragmentation.chunks for line in chunk.splitlines())
            return texts(line for line in lines if line.endswith(b"}"))
    """,
    "it takes lines from each read for itself": """
        def text_of(fragmentation):
            with urlopen(fragmentation.url(), data=b"{}") as response:
                chunks = iter(response.read1, b"")
                lines = (line for chunk in chunks for line in chunk.splitlines())
                return texts(line for line in lines if line.endswith(b"}"))
    """,
}
TEST = """
    import json
    from urllib.request import urlopen

    from moondream_transports import Client
    from sansio_moondream import Endpoint, QueryRequest, ResponseStream

    REQUEST = QueryRequest(question="What is this?")

    def texts(lines):
        messages = [json.loads(line[6:]) for line in lines if line.startswith(b"data: ")]
        return "".join(message.get("chunk", "") for message in messages)

    def test_the_fragmentation_does_not_matter(moondream_fragmentations):
        for fragmentation in moondream_fragmentations("moon.jsonl"):
            assert text_of(fragmentation) == "a 月 rises"
"""
RunTests = Callable[[str], pytest.RunResult]


@pytest.fixture
def run_tests(pytester: pytest.Pytester) -> RunTests:
    def run(client: str) -> pytest.RunResult:
        (pytester.path / "moon.jsonl").write_bytes(MOON.encode())
        pytester.makepyfile(
            TEST.replace("    def test_the", client.replace("\n    ", "\n") + "\n    def test_the")
        )
        return pytester.runpytest(
            "-p", "moondream_transports.pytest_plugin", "-p", "no:cacheprovider"
        )

    return run


@pytest.mark.parametrize("client", RIGHT)
def test_a_right_client_passes(run_tests: RunTests, client: str):
    run_tests(RIGHT[client]).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("client", "offset"), [*zip(WRONG, (FIRST.index("月".encode()) + 1, 1, 1), strict=True)]
)
def test_a_wrong_client_fails_with_the_offset(run_tests: RunTests, client: str, offset: int):
    result = run_tests(WRONG[client])
    result.assert_outcomes(failed=1)
    assert (
        f"moondream_fragmentations: it was <FragmentedRecording split at {offset}, "
        f"between {BODY[:offset]!r} and " in result.stdout.str()
    )


def test_a_failure_after_them_all_names_none(run_tests: RunTests):
    result = run_tests(
        RIGHT["chunks"]
        + """
        def test_other(moondream_fragmentations):
            list(moondream_fragmentations('moon.jsonl'))
            assert 0
"""
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.no_fnmatch_line("*it was*")


def test_it_is_not_there_unless_asked_for(pytester: pytest.Pytester):
    pytester.makepyfile("def test_it(moondream_fragmentations): pass")
    result = pytester.runpytest("-p", "no:cacheprovider")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'moondream_fragmentations' not found"])
