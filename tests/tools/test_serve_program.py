"""`moondream-stream serve` as a program: signals, help, wrong usage."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest

from moondream_tools.cli import Exit, main
from sansio_moondream import ConnectionLost
from sansio_moondream.recording import Chunk, Ending, Recording, RecordingHeader
from tests.helpers import QUERY
from tests.tools.programs import running, write
from tests.tools.serving import client, post


class TestTheProgram:
    @pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_lets_answers_end(self, how: signal.Signals) -> None:
        with running("serve", "--speed", "2") as server:
            with (
                socket.create_connection(("127.0.0.1", server.port)),
                client(server).stream(QUERY) as stream,
            ):
                next(stream)
                server.process.send_signal(how)
                server.wait_for_line("exchanges still running: 1;")
                with pytest.raises(OSError, match="refused"):
                    socket.create_connection(("127.0.0.1", server.port), timeout=20).close()
                assert len(list(stream)) > 5
                assert stream.result().text
            assert server.ended()[0] == Exit.OK

    def test_a_second_signal_aborts_them(self) -> None:
        with running("serve", "--fault", "stall@1") as server:
            with client(server).stream(QUERY) as stream:
                next(stream)
                server.process.send_signal(signal.SIGTERM)
                server.wait_for_line("exchanges still running: 1;")
                status, log = server.stopped(signal.SIGTERM)
                with pytest.raises(ConnectionLost):
                    next(stream)
            assert status == Exit.INTERRUPTED
            assert "200, 74 bytes" in log
            assert ", aborted (query.jsonl, fault stall)" in log

    @pytest.mark.parametrize("half_closed", [False, True])
    def test_a_second_signal_ends_it_though_a_client_does_not_read(
        self, tmp_path: Path, half_closed: bool
    ) -> None:
        header = RecordingHeader(
            "POST",
            "/v1/query",
            (),
            {"question": "?", "stream": True},
            200,
            (("content-type", "text/event-stream"),),
        )
        write(
            tmp_path,
            "large.jsonl",
            Recording(header, (Chunk(0, b"x" * 9_000_000),), Ending(0)).encode(),
        )
        with (
            running("serve", tmp_path) as server,
            socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection,
        ):
            connection.sendall(post())
            assert connection.recv(4) == b"HTTP"  # and no more
            if half_closed:  # then its exchange is over, but what was written still waits for it
                connection.shutdown(socket.SHUT_WR)
                server.wait_for_line("the client left")
            server.process.send_signal(signal.SIGINT)
            if not half_closed:
                server.wait_for_line("exchanges still running: 1;")
            assert (
                server.stopped(signal.SIGTERM)[0] == Exit.INTERRUPTED
            )  # another signal, since two of a kind can merge

    def test_the_help_names_all_faults_and_headers(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["serve", "--help"]) == Exit.OK
        shown = capsys.readouterr().out
        assert all(
            word in shown
            for word in (
                "X-Moondream-Fault",
                "X-Moondream-Speed",
                "truncate",
                "keep-alive",
                "Retry-After",
            )
        )

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["{tmp}/none"], "none is neither a recording nor a folder with recordings"),
            (["{tmp}"], "moondream-stream record --upstream URL --to"),
            (["{tmp}/broken"], "skipped worse/one.jsonl: one.jsonl, line 1:"),
            (
                ["--dialect", "french"],
                "the dialect should be one of engine, cloud, station, demo, not 'french'",
            ),
            (["--speed", "0"], "the speed should be a number above 0"),
            (["--fault", "close@x"], "should be followed by a number"),
            (["--fault", "429:2"], "a percentage above 0, such as 2%, and at most 100%, not '2'"),
            (["--fault", "429:x%"], "not 'x%'"),
            (["--fault", "429:0%"], "not '0%'"),
            (["--fault", "429:101%"], "not '101%'"),
            (["--fault", "none:2%"], "a fault should be one of"),
            (["--fault", "429:60%", "--fault", "503:40.1%"], "at most 100%, not 100.1%"),
            (["--fault", "close", "--fault", "429:1%"], "without a rate has 100%"),
            (["--latency", "-1"], "the latency should be a number of seconds from 0 to 1,000,000"),
            (
                ["--retry-after", "soon"],
                "if not none, should be a whole number from 0 on, not 'soon'",
            ),
            (["--seed", "-1"], "the seed should be a whole number from 0 on, not '-1'"),
            (["--log", "{tmp}"], "directory"),
            (["--fragmentation", "0"], "a number of bytes above 0"),
            (["--port", "{taken}"], "in use"),
            (["--port", "70000"], "a number from 0 to 65535, not '70000'"),
            (["--port", "-1"], "a number from 0 to 65535, not '-1'"),
            (["--port", "9999999"], "a number from 0 to 65535"),
            (["--host", ""], "the host should be a name or an address"),
            (["--host", "192.0.2.1"], "192.0.2.1"),
        ],
    )
    def test_usage(
        self, arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write(tmp_path / "broken" / "worse", "one.jsonl", b"{}\n") if "broken" in str(
            arguments
        ) else None
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            assert (
                main(
                    [
                        "serve",
                        *(argument.format(tmp=tmp_path, taken=port) for argument in arguments),
                    ]
                )
                == Exit.USAGE
            )
        out, err = capsys.readouterr()
        assert (out, words in err) == ("", True), err
