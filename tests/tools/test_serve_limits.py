"""What clients may cost `moondream-stream serve`. `record` has the same server."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from moondream_tools.cli import Exit, main
from sansio_moondream.recording import Chunk, Ending, Recording, RecordingHeader
from tests.helpers import END
from tests.tools.programs import Program, running, write
from tests.tools.serving import BODY, http_request, post, raw

HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
LARGE = Recording(
    RecordingHeader(
        *("POST", "/v1/query", (), {"question": "?", "stream": True}),
        200,
        (("content-type", "text/event-stream"),),
    ),
    (*[Chunk(0, b":" + b"m" * 99_998 + b"\n")] * 200, Chunk(0, END)),
    Ending(0),
)


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A server with limits that a test can reach. Its only recording has 20 MB."""
    folder = write(tmp_path_factory.mktemp("large"), "large.jsonl", LARGE.encode())
    limits = ["--max-connections", "3", "--request-timeout", "1", "--idle-timeout", "1"]
    with running("serve", folder, "--speed", "max", *limits) as program:
        yield program


def connected(server: Program) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


def rest(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


class TestTimeouts:
    @pytest.mark.parametrize(
        "begun",
        [
            b"P",
            b"POST /v1/query HTTP/1.1\r\nHost: local",
            b"POST /v1/query HTTP/1.1\r\nHost: localhost\r\nContent-Length: 7\r\n\r\n",
            b"POST /v1/query HTTP/1.1\r\nHost: localhost\r\nContent-Length: 7\r\n\r\n{",
            HEALTH + b"POST /v1",
        ],
        ids=["a byte", "half a head", "no body", "half a body", "behind another request"],
    )
    def test_a_request_that_does_not_come_whole(self, strict: Program, begun: bytes) -> None:
        so_far = len(strict.lines)
        answer = raw(strict, begun)
        assert b"HTTP/1.1 408 " in answer
        assert answer.endswith(b"the request did not come whole within 1 s")
        strict.wait_for_line("408, ", "did not come whole", after=so_far)

    def test_a_body_that_drips(self, strict: Program) -> None:
        """Each byte comes in time, but the body does not."""
        head = b"POST /v1/query HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\n"
        so_far = len(strict.lines)
        with connected(strict) as connection:
            connection.sendall(head)
            connection.settimeout(0.1)
            answer = b""
            until = time.monotonic() + 20
            while not answer and time.monotonic() < until:
                connection.sendall(b" ")
                with suppress(TimeoutError):
                    answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 408 ")
        strict.wait_for_line("408, ", after=so_far)

    @pytest.mark.parametrize("first", [b"", HEALTH], ids=["a new one", "a kept one"])
    def test_a_connection_without_a_request_is_closed_without_a_word(
        self, strict: Program, first: bytes
    ) -> None:
        so_far = len(strict.lines)
        assert raw(strict, first).count(b"HTTP/1.1") == (1 if first else 0)
        assert all("/health 200" in line for line in strict.lines[so_far:])

    def test_a_client_that_does_not_read(self, strict: Program) -> None:
        so_far = len(strict.lines)
        with connected(strict) as connection:
            connection.sendall(post())
            assert connection.recv(4) == b"HTTP"  # and no more
            strict.wait_for_line("the client left", "read nothing for 1 s", after=so_far)

    @pytest.mark.slow
    def test_a_client_that_reads_slowly(self, tmp_path: Path) -> None:
        """It is not refused, though one write takes longer than the timeout."""
        body = b":" + b"m" * 12_000_000 + b"\n"
        recording = Recording(LARGE.header, (Chunk(0, body), Chunk(0, END)), Ending(0))
        write(tmp_path, "large.jsonl", recording.encode())
        received = 0
        with (
            running("serve", tmp_path, "--speed", "max", "--idle-timeout", "2") as server,
            connected(server) as connection,
        ):
            connection.sendall(post())
            began = time.monotonic()
            while data := connection.recv(65536):
                received += len(data)
                if time.monotonic() - began < 5:
                    time.sleep(0.05)  # this is what such a client does
        assert received > len(body)


class TestConnections:
    def test_more_than_are_allowed(self, strict: Program) -> None:
        so_far = len(strict.lines)
        with ExitStack() as stack:
            for _ in range(3):
                stack.enter_context(connected(strict)).sendall(HEALTH)
            refused = stack.enter_context(connected(strict))
            refused.sendall(HEALTH)
            head, _, body = rest(refused).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 503 ")
            assert body == b"this server has its most connections (3): try again later"
            strict.wait_for_line("503, ", "most connections (3)", after=so_far)
        until = time.monotonic() + 20
        while http_request(strict, "GET", "/health", None)[0] == 503:
            assert time.monotonic() < until

    def test_many_more_are_closed_at_once(self, strict: Program) -> None:
        with ExitStack() as stack:
            for _ in range(3 + 64):
                stack.enter_context(connected(strict))
            refused = stack.enter_context(connected(strict))
            with suppress(ConnectionError):
                assert refused.recv(1) == b""
        until = time.monotonic() + 20
        status = 0
        while status != 200:
            assert time.monotonic() < until
            with suppress(http.client.HTTPException, ConnectionError):
                status = http_request(strict, "GET", "/health", None)[0]


class TestSizes:
    @pytest.mark.parametrize("body", ["[" + "[]," * 5_000 + "[]]", '["' + '","' * 10_000 + '"]'])
    def test_many_values(self, server: Program, body: str) -> None:
        status, _, answer = http_request(server, body=f'{{"question": "?", "x": {body}}}')
        assert status == 413
        assert json.loads(answer) == {"error": "the JSON has more than about 10,000 values"}

    @pytest.mark.parametrize(
        ("filler", "size", "status"),
        [
            ("moon ", 1_048_576, 200),
            ("moon ", 1_048_577, 413),
            ("moon", 1_048_577, 413),
            ("\\n", 1_048_577, 413),
            ("data:;base64,AAAA", 1_048_577, 200),
            ("/9j/4AAQ", 1_048_577, 200),
            ("\\/9j\\/4AAQ", 1_048_577, 200),
            ("/9j/ moon", 1_048_577, 413),
        ],
    )
    def test_text(self, server: Program, filler: str, size: int, status: int) -> None:
        """A picture may be longer."""
        begin, end = '{"question": "?", "x": "', '"}'
        room = size - len(begin) - len(end)
        body = begin + filler * (room // len(filler)) + end
        body += " " * (size - len(body))
        assert (len(body), http_request(server, body=body)[0]) == (size, status)

    def test_not_so_many_values(self, server: Program) -> None:
        body = json.dumps({"question": '[,]\\"{' * 20_000, "x": [1] * 5_000, "stream": True})
        assert http_request(server, body=body)[0] == 200

    @pytest.mark.parametrize(("depth", "status"), [(60, 200), (61, 400)])
    def test_depth(self, server: Program, depth: int, status: int) -> None:
        body = f'{{"question": "[[", "x": {"[" * depth}{"]" * depth}}}'
        assert http_request(server, body=body)[0] == status

    @pytest.mark.slow
    def test_the_bodies_of_all_requests(self, server: Program) -> None:
        """Each is allowed, but together they have more than 256 MiB."""
        mib = 1024 * 1024
        head = f"POST /v1/query HTTP/1.1\r\nHost: localhost\r\nContent-Length: {32 * mib}\r\n\r\n"
        with ExitStack() as stack:
            connections = [stack.enter_context(connected(server)) for _ in range(9)]
            for connection in connections[:8]:
                connection.sendall(head.encode() + bytes(31 * mib))
            with suppress(ConnectionError):
                connections[8].sendall(head.encode() + bytes(31 * mib))
            server.wait_for_line("503, ", "the server holds many large requests: try again later")
        assert http_request(server)[0] == 200

    def test_a_body_in_many_small_chunks(self, server: Program) -> None:
        head = b"POST /v1/query HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        answer = raw(server, head + b"1\r\n \r\n" * 20_000)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"too many small chunks" in answer
        data = BODY.encode().ljust(9_000)
        few = b"".join(b"1\r\n%c\r\n" % byte for byte in data) + b"0\r\n\r\n"
        assert b"HTTP/1.1 200 " in raw(server, head + few, until=b"\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--max-connections", "0"], "it should be a whole number above 0, not '0'"),
        (["--max-connections", "1e3"], "it should be a whole number above 0, not '1e3'"),
        (
            ["--request-timeout", "0"],
            "seconds above 0, at most 1,000,000, not '0'",
        ),
        (["--idle-timeout", "nan"], "above 0, at most 1,000,000, not 'nan'"),
        (["--idle-timeout", "soon"], "above 0, at most 1,000,000, not 'soon'"),
    ],
)
def test_usage(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", *arguments]) == Exit.USAGE
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("command", ["serve", "record"])
def test_the_help_has_the_defaults(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == Exit.OK
    shown = " ".join(capsys.readouterr().out.split())
    assert "beyond this number (default: 256)" in shown
    assert "more the longer it is (default: 10)" in shown
    assert "that does not read (default: 60)" in shown
