"""Long bodies through `moondream-stream record`, and recordings that cannot be written."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from moondream_tools.cli import Exit, main
from moondream_transports.conformance._fault_server import (
    LAST_CHUNK,
    FaultServer,
    Peer,
    chunk,
    head,
)
from moondream_transports.conformance._faults import WHOLE_BODY, sized
from sansio_moondream.recording import OMITTED, Recording
from tests.helpers import END, QUERY
from tests.tools.programs import TIMEOUT, Program, running
from tests.tools.proxies import KEY, SCRIPT, Recorded, Scripted, asked, http_request, post

MIB = 1 << 20
LINES = b"".join(b": %06d moon\n" % number for number in range(MIB // 14))


@contextmanager
def recording(folder: Path, script: Callable[[Peer], None], *options: str) -> Iterator[Program]:
    with (
        FaultServer(script) as upstream,
        running("record", "--upstream", upstream.url, "--to", folder, *options) as program,
    ):
        yield program


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripted]:
    """A proxy that records 1 MiB of each body."""
    folder = tmp_path_factory.mktemp("short")

    def script(peer: Peer) -> None:
        SCRIPT.pop()(peer)

    with (
        FaultServer(script) as server,
        running(
            *("record", "--upstream", server.url, "--to", folder, "--max-body", "1")
        ) as program,
    ):
        yield Scripted(server, Recorded(program, folder))


class TestTheLimit:
    def test_what_is_left_out(self, short: Scripted) -> None:
        """The client gets all of it. The key is masked, though the body is written in parts."""
        body = (LINES[: 600 * 1024] + KEY.encode()) * 3
        SCRIPT.append(lambda peer: peer.answer(sized(body)))
        answer = http_request(short.program, "POST", "/v1/query", "{}", Authorization=KEY)[2]
        assert answer == body
        (recorded,) = short.recorded.new()
        written = b"".join(chunk.data for chunk in recorded.chunks)
        assert written == body.replace(KEY.encode(), b"*" * len(KEY))[:MIB]
        assert recorded.ending.fault == OMITTED
        left_out = f"{len(body) - MIB:,} bytes of the body were left out, as it is too long"
        assert recorded.ending.message == left_out

    def test_what_just_fits(self, short: Scripted) -> None:
        body = LINES.ljust(MIB)
        SCRIPT.append(lambda peer: peer.answer(sized(body)))
        assert http_request(short.program, "POST", "/v1/query", "{}")[2] == body
        (recorded,) = short.recorded.new()
        assert b"".join(chunk.data for chunk in recorded.chunks) == body
        assert recorded.ending.fault == "eof"

    def test_usage(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["record", "--max-body", "0"]) == Exit.USAGE
        assert "it should be a whole number above 0" in capsys.readouterr().err
        assert main(["record", "--help"]) == Exit.OK
        assert "how much it lacks (default: 16)" in " ".join(capsys.readouterr().out.split())


def test_a_long_body_is_written_while_it_comes(tmp_path: Path) -> None:
    """The second signal ends the exchange in the middle. Its recording has an ending, too."""
    more = threading.Event()

    def script(peer: Peer) -> None:
        peer.answer(head(), chunk(LINES + KEY.encode()))
        assert more.wait(TIMEOUT)
        peer.send(chunk(b": more\n"))
        peer.wait_until_closed()

    def has_part() -> bool:
        return any(part.stat().st_size > MIB / 4 for part in tmp_path.glob(".*.part"))

    with (
        recording(tmp_path, script) as program,
        socket.create_connection(("127.0.0.1", program.port), timeout=TIMEOUT) as connection,
    ):
        connection.sendall(post(f"Authorization: {KEY}"))
        received = b""
        while KEY.encode() not in received:
            received += connection.recv(65536)
        until = time.monotonic() + TIMEOUT
        while not has_part():
            assert time.monotonic() < until
            time.sleep(0.01)
        more.set()
        while b": more\n" not in received:
            received += connection.recv(65536)
        program.process.send_signal(signal.SIGINT)
        program.wait_for_line("exchanges still running: 1;")
        status, log = program.stopped(signal.SIGTERM)
    assert (status, "001-query.jsonl" in log) == (Exit.INTERRUPTED, True)
    (path,) = tmp_path.iterdir()
    recorded = Recording.decode(path.read_bytes())
    written = b"".join(chunk.data for chunk in recorded.chunks)
    assert written == LINES + b"*" * len(KEY) + b": more\n"
    assert recorded.ending.fault == "left"


class TestWhatIsNotWritten:
    @pytest.mark.parametrize(
        ("value", "words"),
        [
            ("[" * 100 + "]" * 100, "the body of the request nests deeper than 61"),
            ("[" + "[]," * 10_000 + "[]]", "the JSON has more than about 10,000 values"),
            ("1e999", "the numbers in the body of the request should be finite"),
            (f'"{"moon " * 220_000}"', "more than 1,048,576 bytes besides pictures"),
            ("[}", "the body of the request is not JSON"),
            (
                '[{"password": "' + '1"}, {"password": "'.join(map(str, range(65))) + '"}]',
                "more than 64 secrets",
            ),
            (f'{{"data:{"moon " * 220_000}": 1}}', "more than 1,048,576 bytes besides pictures"),
        ],
    )
    def test_requests(self, short: Scripted, value: str, words: str) -> None:
        """They are forwarded: what they are worth is the server's to say."""
        so_far = len(short.program.lines)
        SCRIPT.append(lambda peer: peer.answer(sized(WHOLE_BODY)))
        body = f'{{"key": "{KEY}", "x": {value}}}'
        assert http_request(short.program, "POST", "/v1/query", body)[2] == WHOLE_BODY
        line = short.program.wait_for_line("not recorded: ", words, after=so_far)
        assert KEY not in line
        assert {*short.recorded.folder.iterdir()} == short.recorded.names

    def test_a_folder_that_is_gone_in_the_middle(self, tmp_path: Path) -> None:
        folder = tmp_path / "gone"

        def script(peer: Peer) -> None:
            peer.answer(head(), chunk(LINES))
            peer.wait_for_event()
            peer.send(chunk(END) + LAST_CHUNK)

        with (
            FaultServer(script) as server,
            running("record", "--upstream", server.url, "--to", folder) as program,
        ):
            with socket.create_connection(("127.0.0.1", program.port), timeout=TIMEOUT) as sock:
                sock.sendall(post())
                until = time.monotonic() + TIMEOUT
                while not (parts := list(folder.glob(".*.part"))):
                    assert sock.recv(65536)
                    assert time.monotonic() < until
                parts[0].unlink()
                folder.rmdir()
                server.saw_event()
                received = b""
                while not received.endswith(LAST_CHUNK):
                    received += sock.recv(65536)
            program.wait_for_line("POST /v1/query 200", "not recorded: ")
        assert not folder.exists()


def test_unfinished_files_of_others_stay(upstream: Program, tmp_path: Path) -> None:
    """Two programs record to one folder. The second removes no file of the first."""

    def script(peer: Peer) -> None:
        peer.answer(head(), chunk(LINES))
        peer.wait_until_closed()

    with recording(tmp_path, script) as first:
        with socket.create_connection(("127.0.0.1", first.port), timeout=TIMEOUT) as connection:
            connection.sendall(post())
            until = time.monotonic() + TIMEOUT
            while not (parts := list(tmp_path.glob(".*.part"))):
                assert connection.recv(65536)
                assert time.monotonic() < until
            with running("record", "--upstream", upstream.url, "--to", tmp_path) as second:
                assert parts[0].exists()
                assert asked(second, QUERY)[1].text
        first.wait_for_line("POST /v1/query 200")
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "001-query.jsonl",
        "002-query.jsonl",
    ]
