"""Messages have the words of the command line: options and files, not names of Python."""

from __future__ import annotations

import re
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from moondream_tools import FakeServer
from moondream_tools._wording import advice, describe_error, with_options
from moondream_tools.cli import Exit
from moondream_transports import Timeouts
from moondream_transports.conformance._fault_server import FaultServer
from moondream_transports.conformance._faults import answers, sized
from sansio_moondream import (
    AuthenticationError,
    BadRequestError,
    ConnectError,
    ConnectionLost,
    FirstEventTimeout,
    IncompleteStream,
    NotFoundError,
    PayloadTooLargeError,
    RateLimitError,
    TLSError,
)
from tests.tools.command_line import SHIPPED

URL = "http://localhost:1/v1"
PYTHON = re.compile(
    r"Timeouts\.|Limits\.|\b\w+=(True|False|\{)|Match\b|\bNone\b|\b[a-z]+_[a-z]+\b|Errno|"
    r"could not convert|invalid (int|float)|cannot be read as a URL"
)


def of_options() -> list[tuple[str, str]]:
    """The commands with each of their options that takes a value."""
    found = [
        ("query", option)
        for option in (
            "--temperature", "--top-p", "--max-tokens", "--max-objects", "--max-side", "--retries",
            "--connect-timeout", "--first-event-timeout", "--idle-timeout", "--total-timeout",
            "--speed",
        )
    ]  # fmt: skip
    found += [
        ("serve", option)
        for option in (
            "--match", "--dialect", "--speed", "--fragmentation", "--latency", "--fault", "--seed",
            "--retry-after", "--host", "--port", "--allow-origin", "--max-connections",
            "--request-timeout", "--idle-timeout",
        )
    ]  # fmt: skip
    found += [
        ("bulk query", option)
        for option in (
            "--rate", "--burst", "--concurrent", "--retries", "--give-up-after", "--limit",
            "--rows-per-shard", "--price-per-request", "--seconds", "--input-tokens", "--max-side",
        )
    ]  # fmt: skip
    return found


@pytest.mark.parametrize(("command", "option"), of_options())
def test_a_wrong_value_of_an_option(run: Any, command: str, option: str) -> None:
    for value in ("", "foo", "nan", "-inf", "1e999", "9" * 5000, "\udce9\x1b"):
        if option == "--host" and value:
            break  # any other text may be the name of a host
        ran = run(*command.split(), f"{option}={value}")
        assert (ran.status, ran.out) == (Exit.USAGE, "")
        assert f"argument {option}: " in ran.err
        assert not PYTHON.search(ran.err.split("not '")[0]), ran.err
        assert "\x1b" not in ran.err


@pytest.mark.parametrize("name", Timeouts.__struct_fields__)
def test_a_timeout_is_named_by_its_option(name: str, run: Any) -> None:
    for message in (f"nothing within 3 seconds (Timeouts.{name})", f"(Timeouts.{name} is 3)"):
        assert f"--{name.replace('_', '-')}-timeout" in describe_error(FirstEventTimeout(message))
    assert f"--{name.replace('_', '-')}-timeout SECONDS" in run("query", "--help").out


@pytest.mark.parametrize(
    ("command", "total", "retries"), [("query", 600, 0), ("chat", 600, 0), ("bulk query", 4200, 6)]
)
def test_the_help_has_the_defaults(run: Any, command: str, total: int, retries: int) -> None:
    shown = " ".join(run(*command.split(), "--help").out.split())
    for number in (10, 60, 30, total):
        assert f"none for no limit (default: {number})" in shown
    assert f"at most N times (default: {retries})" in shown


class TestAddresses:
    @pytest.mark.parametrize(
        ("url", "words"),
        [
            ("localhost:2020", "did you mean http://localhost:2020/v1?"),
            ("localhost:2020/v1", "did you mean http://localhost:2020/v1?"),
            ("htp://localhost", "such as http://localhost:2020/v1, not 'htp://localhost'\n"),
            ("http://me:hunter2@localhost/v1", "not 'localhost/v1' with a user name, a query or"),
            ("me:hunter2@localhost", "did you mean http://localhost/v1?"),
            ("http://localhost/v1?key=hunter2", "not 'http://localhost/v1' with a user"),
            ("", "not ''"),
            ("http://[::1", "not 'http://[::1'"),
            ("http://caf\udce9/v1", "not 'http://caf\\udce9/v1'"),
        ],
    )
    @pytest.mark.parametrize("source", ["--endpoint", "MOONDREAM_ENDPOINT"])
    def test_that_is_none(
        self, run: Any, url: str, words: str, source: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if source == "--endpoint":
            ran = run("query", "What?", f"--endpoint={url}")
        else:
            monkeypatch.setenv(source, url)
            ran = run("query", "What?")
            if not url:  # as if it were not set
                assert "no server to ask" in ran.err
                return
        assert (ran.status, ran.out) == (Exit.USAGE, "")
        assert ran.err.startswith(f"moondream-stream: {source} should be the address of a server")
        assert words in ran.err and "hunter2" not in ran.err

    def test_nobody_listens(self, run: Any) -> None:
        with FaultServer(answers()) as server:
            pass
        ran = run("query", "What?", "--endpoint", server.url)
        host = server.url.split("/")[2]
        assert ran.status == Exit.UNREACHABLE
        assert ran.err == (
            "moondream-stream: no answer: the connection could not be made: connection refused "
            f"[POST {server.url}/query]\nIs a server running at {host}? The address of one looks "
            "like http://localhost:2020/v1\n"
        )

    def test_the_proxy_is_named(self, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        with FaultServer(answers()) as server:
            proxy = f"127.0.0.1:{server.port}"
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.setenv("http_proxy", f"http://me:hunter2@{proxy}")
        ran = run("query", "What?", "--endpoint", "http://moondream.test/v1")
        assert ran.status == Exit.UNREACHABLE
        assert f"by way of the proxy {proxy} could not be made: connection refused" in ran.err
        assert ran.err.endswith(
            "\nIs the proxy of the environment the right one? "
            "NO_PROXY=moondream.test asks the server without it\n"
        )
        assert "hunter2" not in ran.err

    def test_a_key_for_a_proxy(self, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.setenv("http_proxy", "http://proxy.test:3128")
        monkeypatch.setenv("MOONDREAM_API_KEY", "planted-key")
        ran = run(
            "query", "What?", "--endpoint", "http://moondream.test/v1", "--allow-insecure-key"
        )
        assert ran.status == Exit.USAGE
        assert ran.err.startswith("moondream-stream: not sent: a key would go to the proxy")
        assert "or add the server to NO_PROXY" in ran.err and "proxies=" not in ran.err

    def test_a_page_of_something_else(self, run: Any) -> None:
        with FaultServer(answers(sized(b"<html>", kind="text/html", status_code=404))) as server:
            ran = run("query", "What?", "--endpoint", server.url)
        assert "a Moondream server? Its address looks like http://localhost:2020/v1" in ran.err

    def test_tls_to_plain_http(self, run: Any) -> None:
        with FaultServer(lambda peer: peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
            ran = run("query", "What?", "--endpoint", server.url.replace("http:", "https:"))
        assert ran.status == Exit.UNREACHABLE
        assert "the server does not speak TLS: begin its address with http://" in ran.err

    def test_advice_is_only_for_what_may_be_the_address(self) -> None:
        known = NotFoundError("no model", type="not_found_error", url=f"{URL}/query")
        assert advice(known) is None
        assert advice(NotFoundError("no", url="https://api.moondream.ai/v1/query")) is None
        assert advice(BadRequestError("no", url=f"{URL}/query")) is None

    def test_advice_names_the_option_that_helps(self) -> None:
        for error, words in (
            (AuthenticationError("no"), "MOONDREAM_API_KEY "),
            (RateLimitError("no"), "--retries N "),
            (PayloadTooLargeError("no"), "--max-side PIXELS "),
        ):
            assert (advice(error) or "").startswith(words)


class TestReasons:
    def test_of_no_connection(self) -> None:
        untrusted = ssl.SSLCertVerificationError(1, "long")
        untrusted.verify_message = "self-signed certificate"
        for cause, words in (
            (untrusted, "the certificate of the server is not trusted: self-signed certificate"),
            (
                socket.gaierror(-2, "Not known"),
                "the name cannot be looked up: not known",
            ),
            (OSError("odd"), "OSError: odd"),
            (
                ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 9)"),  # of asyncio
                "connection refused",
            ),
        ):
            kind = TLSError if cause is untrusted else ConnectError
            error = kind(f"the connection could not be made: {type(cause).__name__}: {cause}")
            error.__cause__ = cause
            assert f"the connection could not be made: {words}" in describe_error(error)

    def test_of_a_broken_connection(self) -> None:
        broken = ConnectionLost("the connection broke: ConnectionResetError: [Errno 104] Reset")
        assert describe_error(broken) == "the connection broke: reset"
        ended = IncompleteStream("the stream ended; what arrived until then is in .partial")
        assert describe_error(ended) == "the stream ended"

    def test_what_a_server_says_is_not_changed(self) -> None:
        said = "max_side and Timeouts.idle, question should"
        assert said in describe_error(BadRequestError(said, status_code=400))

    @pytest.mark.parametrize(
        ("message", "words"),
        [
            ("more text than Limits.max_text_bytes (7 bytes)", "the limit max_text_bytes (7"),
            (
                "picture_column is given, although pictures is False",
                "and so is --no-pictures",
            ),
            ("go on without a format, or", "go on without --format, or"),
            ("the file id_column.csv", "the file id_column.csv"),
        ],
    )
    def test_names(self, message: str, words: str) -> None:
        assert words in with_options(message)

    def test_of_files(self) -> None:
        assert (
            describe_error(FileNotFoundError(2, "No such file", "a.png")) == "a.png: no such file"
        )
        assert describe_error(PermissionError(13, "Permission denied", b"a\xff")) == (
            "a\ufffd: permission denied"
        )
        assert describe_error(OSError("odd")) == "odd"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["query", "What?", "--speed", "2", "--endpoint", URL], "--speed is for recordings"),
        (["query", "What?", "--replay", "R", "--endpoint", URL], "--endpoint is for a server"),
        (["query", "What?", "--replay", "R", "--allow-insecure-key"], "-key is for a server"),
        (["serve", "--allow-origin", "example.com"], "the origin of a page, such as https://"),
        (["serve", "--allow-origin", "https://example.com/page"], "the origin of a page"),
        (["record", "--upstream", "example.com", "--to", "x"], "mean http://example.com/v1?"),
        (["query", "What?", "--model", " "], "--model: model should be"),
        (["query", "caf\udce9", "--endpoint", URL], "that is not blank, in UTF-8"),
    ],
)
def test_refused_in_words(run: Any, arguments: list[str], words: str) -> None:
    ran = run(*[str(SHIPPED) if argument == "R" else argument for argument in arguments])
    assert (ran.status, ran.out) == (Exit.USAGE, "")
    assert words in ran.err


def test_a_key_that_is_none(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOONDREAM_API_KEY", "planted\nkey\udce9")
    ran = run("query", "What?")
    assert (ran.status, ran.err) == (
        Exit.USAGE,
        "moondream-stream: MOONDREAM_API_KEY has a character that no key has: set it again\n",
    )


def test_a_key_over_plain_http(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOONDREAM_API_KEY", "planted-key")
    ran = run("query", "What?", "--endpoint", "http://moondream.test/v1")
    assert ran.status == Exit.USAGE
    assert "would go to moondream.test over plain http" in ran.err
    assert "or --allow-insecure-key" in ran.err and "planted" not in ran.err


def test_a_port_in_use(run: Any, fake: FakeServer) -> None:
    port = fake.url.split("/")[2].partition(":")[2]
    ran = run("serve", "--port", port)
    assert (ran.status, ran.out) == (Exit.USAGE, "")
    assert f"127.0.0.1:{port} is in use by another program: choose another --port" in ran.err


def test_a_folder_for_recordings_that_is_a_file(run: Any, tmp_path: Path) -> None:
    pytest.importorskip("anyio")
    ran = run("record", "--upstream", URL, "--to", __file__)
    assert (ran.status, ran.err) == (Exit.USAGE, f"moondream-stream: {__file__}: file exists\n")
