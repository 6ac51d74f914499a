"""`moondream-stream record` as a program: its server, signals, wrong usage."""

from __future__ import annotations

import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from moondream_tools.cli import Exit, main
from moondream_transports.conformance._certificates import client_tls, server_tls
from moondream_transports.conformance._fault_server import FaultServer
from moondream_transports.conformance._faults import WHOLE_BODY, answers, sized
from sansio_moondream import ServerError
from sansio_moondream.recording import Recording
from tests.helpers import QUERY
from tests.tools.programs import Program, running
from tests.tools.proxies import SCRIPT, Scripted, asked, client


class TestUpstream:
    def test_nobody_there(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            url = f"http://127.0.0.1:{server.getsockname()[1]}/moon/v1"
        with running("record", "--upstream", url, "--to", tmp_path) as program:
            assert program.url.endswith("/moon/v1")  # the path of the server is the path here
            _, error = asked(program, QUERY)
        assert isinstance(error, ServerError)
        assert (
            error.status_code,
            "ConnectError: the connection could not be made" in error.message,
        ) == (502, True)
        (path,) = tmp_path.glob("*.jsonl")
        assert Recording.decode(path.read_bytes()).ending.fault == "ConnectError"

    def test_https(self, tmp_path: Path) -> None:
        authority = tmp_path / "authority.pem"
        context = client_tls()
        (certificate,) = context.get_ca_certs(binary_form=True)
        authority.write_text(ssl.DER_cert_to_PEM_cert(certificate))
        for trusted in (True, False):
            script = answers(sized(WHOLE_BODY)) if trusted else answers()
            folder = tmp_path / str(trusted)
            environment = {"SSL_CERT_FILE": str(authority)} if trusted else {}
            with (
                FaultServer(script, ssl_context=server_tls("localhost")) as server,
                running(
                    "record", "--upstream", server.url, "--to", folder, **environment
                ) as program,
            ):
                _, outcome = asked(program, QUERY)
            (path,) = folder.glob("*.jsonl")
            ending = Recording.decode(path.read_bytes()).ending.fault
            assert (ending, isinstance(outcome, ServerError)) == (
                ("eof", False) if trusted else ("TLSError", True)
            )

    def test_no_http(self, scripted: Scripted) -> None:
        SCRIPT.append(answers(b"SSH-2.0-OpenSSH_9.9\r\n"))
        _, error = asked(scripted.program, QUERY)
        assert isinstance(error, ServerError)
        assert "does not speak HTTP/1.1" in error.message
        assert scripted.recorded.new()[0].ending.fault == "RemoteProtocolError"


class TestTheProgram:
    def test_an_aborted_exchange_is_recorded(self, upstream: Program, tmp_path: Path) -> None:
        with running("record", "--upstream", upstream.url, "--to", tmp_path) as program:
            with client(program, X_Moondream_Fault="stall@2").stream(QUERY) as stream:
                next(stream)
                next(stream)
                program.process.send_signal(signal.SIGINT)
                program.wait_for_line("exchanges still running: 1;")
                status, log = program.stopped(signal.SIGINT)
            assert (status, "Traceback" in log) == (Exit.INTERRUPTED, False)
        (path,) = tmp_path.glob("*.jsonl")
        recording = Recording.decode(path.read_bytes())
        assert (
            b"".join(chunk.data for chunk in recording.chunks).count(b"data: "),
            recording.ending.fault,
        ) == (2, "left")

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ([], "--upstream"),
            (
                ["--upstream", "localhost:2020", "--to", "x"],
                "did you mean http://localhost:2020/v1?",
            ),
            (["--upstream", "http://user:hunter2@localhost", "--to", "x"], "not 'localhost'"),
            (["--upstream", "http://localhost"], "--to"),
            (["--upstream", "http://localhost", "--to", __file__], "exists"),
        ],
    )
    def test_usage(
        self, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["record", *arguments]) == Exit.USAGE
        out, err = capsys.readouterr()
        assert (out, words in err, "hunter2" in err) == ("", True, False)

    def test_without_the_extra(self, tmp_path: Path) -> None:
        code = (
            "import sys; sys.modules['anyio'] = None; "
            "from moondream_tools.cli import main; sys.exit(main(sys.argv[1:]))"
        )
        command = [
            sys.executable,
            "-c",
            code,
            "record",
            "--upstream",
            "http://localhost",
            "--to",
            str(tmp_path),
        ]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert (ran.returncode, ran.stdout) == (Exit.USAGE, "")
        assert "pip install 'sansio-moondream[cli]'" in ran.stderr
