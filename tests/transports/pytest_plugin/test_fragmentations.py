"""The fixture that feeds a client every fragmentation: what it gives."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

import pytest

from moondream_transports import AsyncClient, Client, UrllibTransport
from moondream_transports._plugin.addresses import Addresses
from moondream_transports._plugin.segments import segments_of
from moondream_transports.conformance._fault_server import TIMEOUT
from moondream_transports.pytest_plugin import Fragmentations, FragmentedRecording
from sansio_moondream import ConnectionLost, Endpoint, QueryRequest
from sansio_moondream.recording import Chunk, Ending, Recording, RecordingError, RecordingHeader
from tests.helpers import LOCAL, QUERY, TRACES
from tests.transports.pytest_plugin.moon import BODY, BROKEN, END, FIRST, MOON, SECOND

pytest_plugins = ["pytester", "moondream_transports.pytest_plugin"]


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

    def test_a_client_that_leaves_or_closes_its_half(
        self, moondream_fragmentations: Fragmentations
    ):
        fragmentation = next(moondream_fragmentations(MOON))
        parts = urlsplit(fragmentation.url())
        head = f"GET {parts.path} HTTP/1.1\r\nHost: x\r\n".encode()
        with socket.create_connection((parts.hostname, parts.port)) as connection:
            connection.sendall(head)  # and nothing more: no failure of the test
        with socket.create_connection((parts.hostname, parts.port)) as connection:
            connection.sendall(head + b"\r\n")
            connection.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert answer == b"".join(segments_of(MOON, [BODY], "both"))

    @pytest.mark.parametrize(
        "sent", [b"", b"POST /0 HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"]
    )
    def test_the_end_breaks_off_what_is_open(self, sent: bytes):
        """A pool of a client may hold a connection on which it never asked."""
        addresses = Addresses()
        parts = urlsplit(addresses.add(segments_of(MOON, [BODY], "both")))
        with socket.create_connection((parts.hostname, parts.port), 20) as connection:
            connection.sendall(sent)
            assert ask(parts.geturl())  # so the connection before this one is accepted, too
            began = monotonic()
            addresses.close()
            assert connection.recv(1) == b""
        assert monotonic() - began < TIMEOUT / 2

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
