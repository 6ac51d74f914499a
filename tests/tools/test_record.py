"""`moondream-stream record`: run as a program between clients and servers of all kinds."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import queue
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from moondream_tools.cli import Exit, main
from moondream_transports import (
    AnyioTransport,
    AsyncClient,
    Client,
    ReplayTransport,
    Timeouts,
    UrllibTransport,
)
from moondream_transports.conformance._certificates import client_tls, server_tls
from moondream_transports.conformance._fault_server import (
    LAST_CHUNK,
    FaultServer,
    Peer,
    chunk,
    head,
)
from moondream_transports.conformance._faults import DELTAS, F1, WHOLE_BODY, WORDS, answers, sized
from sansio_moondream import (
    AuthenticationError,
    ConnectionLost,
    Endpoint,
    Event,
    IncompleteStream,
    MoondreamError,
    QueryRequest,
    RemoteProtocolError,
    Request,
    ServerError,
    TextDelta,
)
from sansio_moondream.recording import LEFT, Match, Recording
from tests.helpers import END, LOCAL, OWN, PIXEL, QUERY, delta, record
from tests.tools.programs import TIMEOUT, Program, running

KEY = "planted-key-7f3a"


class Recorded:
    """A `record` program and the folder that it writes to."""

    def __init__(self, program: Program, folder: Path) -> None:
        self.program = program
        self.folder = folder
        self.names = set(folder.glob("*.jsonl"))

    def new(self, count: int = 1) -> list[Recording]:
        """So many recordings that were not there before; waits for them."""
        until = time.monotonic() + TIMEOUT
        while len(found := sorted(set(self.folder.glob("*.jsonl")) - self.names)) < count:
            assert time.monotonic() < until, (found, self.program.lines)
            time.sleep(0.01)
        assert len(found) == count
        self.names.update(found)
        return [Recording.decode(path.read_bytes()) for path in found]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Program]:
    with running("serve", "--speed", "max") as program:
        yield program


@pytest.fixture(scope="module")
def proxy_of_serve(
    upstream: Program, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Recorded]:
    folder = tmp_path_factory.mktemp("recorded") / "here"
    with running("record", "--upstream", upstream.url, "--to", folder) as program:
        yield Recorded(program, folder)


@pytest.fixture
def proxy(proxy_of_serve: Recorded) -> Recorded:
    proxy_of_serve.names = set(proxy_of_serve.folder.glob("*.jsonl"))
    return proxy_of_serve


class Scripted:
    """A server whose next exchange is the test's to write, and a proxy before it."""

    def __init__(self, server: FaultServer, recorded: Recorded) -> None:
        self.server = server
        self.recorded = recorded
        self.program = recorded.program


SCRIPT: list[Callable[[Peer], None]] = []


@pytest.fixture(scope="module")
def scripted_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripted]:
    folder = tmp_path_factory.mktemp("scripted")

    def script(peer: Peer) -> None:
        SCRIPT.pop()(peer)

    with (
        FaultServer(script) as server,
        running("record", "--upstream", server.url, "--to", folder) as program,
    ):
        yield Scripted(server, Recorded(program, folder))


@pytest.fixture
def scripted(scripted_proxy: Scripted) -> Scripted:
    SCRIPT.clear()
    scripted_proxy.recorded.names = set(scripted_proxy.recorded.folder.glob("*.jsonl"))
    return scripted_proxy


def client(program: Program, /, **headers: str) -> Client:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return Client(UrllibTransport(proxies={}), Endpoint(program.url, api_key=KEY, headers=fields))


def asked(program: Program, request: Request[Any], /, **headers: str) -> tuple[list[Event], Any]:
    events: list[Event] = []
    try:
        with client(program, **headers).stream(request) as stream:
            events.extend(stream)
            return events, stream.result()
    except MoondreamError as error:
        return events, error


def http_request(
    program: Program, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, list[tuple[str, str]], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", program.port, timeout=20)
    try:
        connection.request(
            method, path, body, {name.replace("_", "-"): value for name, value in headers.items()}
        )
        response = connection.getresponse()
        return response.status, response.getheaders(), response.read()
    finally:
        connection.close()


def raw(program: Program, data: bytes) -> bytes:
    """All that comes back for these bytes."""
    with socket.create_connection(("127.0.0.1", program.port), timeout=20) as connection:
        connection.sendall(data)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def post(*headers: str) -> bytes:
    body = json.dumps({"question": "What is this?", "stream": True})
    lines = [
        "POST /v1/query HTTP/1.1",
        "Host: localhost",
        "Connection: close",
        f"Content-Length: {len(body)}",
        *headers,
        "",
        body,
    ]
    return "\r\n".join(lines).encode()


class TestPassingOn:
    @pytest.mark.parametrize("request_", OWN.values(), ids=list(OWN))
    @pytest.mark.parametrize("dialect", ["engine", "cloud", "station"])
    def test_every_skill_streamed_and_whole(
        self, upstream: Program, proxy: Recorded, request_: Request[Any], dialect: str
    ) -> None:
        headers = {"X_Moondream_Dialect": dialect}
        events, result = asked(proxy.program, request_, **headers)
        assert (events, result) == asked(upstream, request_, **headers)
        assert client(proxy.program, **headers).send(request_) == client(upstream, **headers).send(
            request_
        )
        streamed, whole = proxy.new(2)
        for recording in (streamed, whole):
            assert recording.ending.fault == "eof"
            assert KEY not in recording.encode().decode()
        with Client(ReplayTransport([streamed], None, match=Match.SKILL), LOCAL).stream(
            request_
        ) as stream:
            assert list(stream)[:-1] == events[:-1]
        image = streamed.header.request_body.get("image_url")
        if "image" in request_.__struct_fields__ and (picture := request_.image):  # type: ignore[attr-defined]
            assert image["sha256"] == hashlib.sha256(picture.data).hexdigest()

    def test_the_very_bytes(self, upstream: Program, proxy: Recorded) -> None:
        for headers in (
            [],
            ["X-Moondream-Fragmentation: 50"],
            ["X-Moondream-Fault: gzip"],
            ["X-Moondream-Fault: 401"],
        ):
            through, direct = raw(proxy.program, post(*headers)), raw(upstream, post(*headers))
            assert sorted(through.partition(b"\r\n\r\n")[0].lower().split(b"\r\n")) == sorted(
                direct.partition(b"\r\n\r\n")[0].lower().split(b"\r\n")
            )
            if b"chunked" in direct:
                through, direct = (
                    _unchunked(data.partition(b"\r\n\r\n")[2]) for data in (through, direct)
                )
                assert through == direct

    def test_each_chunk_at_once(self, scripted: Scripted) -> None:
        """The server sends the next chunk only when the client has had the one before."""

        def script(peer: Peer) -> None:
            peer.read_request()
            peer.send(head())
            for word in WORDS:
                peer.send(chunk(delta(word)))
                peer.wait_for_event()
            peer.send(chunk(END) + LAST_CHUNK)

        SCRIPT.append(script)
        with client(scripted.program).stream(QUERY) as stream:
            for word in WORDS:
                assert next(stream) == TextDelta(word)
                scripted.server.saw_event()
            assert stream.result().text == "".join(WORDS)
        (recording,) = scripted.recorded.new()
        assert [part.data for part in recording.chunks] == [*map(delta, WORDS), END]

    def test_what_reaches_the_server(self, scripted: Scripted) -> None:
        seen: list[tuple[bytes, bytes]] = []

        def script(peer: Peer) -> None:
            seen.append(peer.read_request())
            peer.send(
                sized(
                    b"{}",
                    kind="application/json",
                    Connection="X-Hop, close",
                    X_Hop="1",
                    X_End="2",
                    Keep_Alive="timeout=5",
                )
            )

        SCRIPT.append(script)
        path = f"/v1/other/path?key={KEY}&x=%20"
        headers = {
            "Accept_Encoding": "gzip;q=1, br, deflate, zstd",
            "X_Moondream_Auth": KEY,
            "TE": "trailers",
            "Cookie": "session=12345678",
        }
        status, fields, body = http_request(scripted.program, "PUT", path, '{"a": 1}', **headers)
        assert (status, body) == (200, b"{}")
        assert {name.lower() for name, _ in fields} == {"content-type", "content-length", "x-end"}
        request_head, request_body = seen[0]
        lines = request_head.decode().split("\r\n")
        assert lines[0] == f"PUT {path} HTTP/1.1"
        assert request_body == b'{"a": 1}'
        assert f"Host: localhost:{scripted.server.port}" in lines
        assert "accept-encoding: gzip;q=1, deflate" in (line.lower() for line in lines)
        assert f"x-moondream-auth: {KEY}" in (line.lower() for line in lines)
        assert not any(line.lower().startswith("te:") for line in lines)
        (recording,) = scripted.recorded.new()
        assert (recording.header.method, recording.header.path, recording.header.request_body) == (
            "PUT",
            "/v1/other/path",
            {"a": 1},
        )
        written = recording.encode().decode()
        assert not any(secret in written for secret in (KEY, "12345678"))
        scripted.program.wait_for_line("PUT /v1/other/path 200", "-path.jsonl")
        assert KEY not in "".join(scripted.program.lines)

    def test_only_codings_that_cannot_be_recorded(self, scripted: Scripted) -> None:
        seen: list[bytes] = []

        def script(peer: Peer) -> None:
            seen.append(peer.read_request()[0])
            peer.send(sized(b"{}", kind="application/json"))

        SCRIPT.append(script)
        assert (
            http_request(scripted.program, "POST", "/v1/query", "{}", Accept_Encoding="br")[0]
            == 200
        )
        assert b"accept-encoding: identity" in seen[0].lower()

    @pytest.mark.parametrize(
        ("method", "body"), [("GET", None), ("POST", b"question=What"), ("HEAD", None)]
    )
    def test_what_is_not_json_passes_unrecorded(
        self, scripted: Scripted, method: str, body: bytes | None
    ) -> None:
        SCRIPT.append(
            lambda peer: peer.answer(
                head(200, [("Content-Length", "2")]) + (b"" if method == "HEAD" else b"ok")
            )
        )
        so_far = len(scripted.program.lines)
        status, _, answer = http_request(scripted.program, method, "/v1/models", body)
        assert (status, answer) == (200, b"" if method == "HEAD" else b"ok")
        scripted.program.wait_for_line(
            f"{method} /v1/models 200",
            "the request has a body that is not JSON" if body else "the request has no body",
            after=so_far,
        )

    def test_no_tunnels_and_no_other_server(self, scripted: Scripted) -> None:
        tunnel = b"CONNECT example.org:443 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        assert raw(scripted.program, tunnel).startswith(b"HTTP/1.1 501 ")
        seen: list[bytes] = []

        def script(peer: Peer) -> None:
            seen.append(peer.read_request()[0])
            peer.send(sized(b"{}", kind="application/json"))

        SCRIPT.append(script)
        absolute = (
            post()
            .replace(b"POST /v1", b"POST http://example.org/v1")
            .replace(b"Host: localhost", b"Host: localhost:7")
        )
        assert raw(scripted.program, absolute).startswith(b"HTTP/1.1 200 ")
        assert seen[0].startswith(b"POST /v1/query HTTP/1.1\r\n")
        assert f"Host: localhost:{scripted.server.port}".encode() in seen[0]

    @pytest.mark.slow
    def test_a_request_of_30_mb(self, scripted: Scripted) -> None:
        received: list[bytes] = []

        def script(peer: Peer) -> None:
            received.append(peer.read_request()[1])
            peer.send(sized(WHOLE_BODY))

        SCRIPT.append(script)
        body = json.dumps(
            {"question": "?", "image_url": "data:image/png;base64," + "A" * 30_000_000}
        )
        assert (
            http_request(scripted.program, "POST", "/v1/query", body, Expect="100-continue")[2]
            == WHOLE_BODY
        )
        assert hashlib.sha256(received[0]).digest() == hashlib.sha256(body.encode()).digest()
        (recording,) = scripted.recorded.new()
        assert recording.header.request_body["image_url"]["bytes"] == 22_500_000
        assert len(recording.encode()) < 2000

    @pytest.mark.slow
    def test_200_at_once(self, upstream: Program, proxy: Recorded) -> None:
        """All are open before any may end."""
        count = 200
        texts: list[str] = []

        async def main() -> None:
            everybody_has_begun, waiting = asyncio.Event(), 0

            async def ask(asker: AsyncClient, number: int) -> None:
                nonlocal waiting
                request = QueryRequest(question=f"What? {number}")
                async with asker.stream(request) as stream:
                    await anext(stream)
                    waiting += 1
                    if waiting == count:
                        everybody_has_begun.set()
                    await everybody_has_begun.wait()
                    texts.append((await stream.result()).text)

            async with AnyioTransport() as transport, asyncio.TaskGroup() as tasks:
                asker = AsyncClient(
                    transport, Endpoint(proxy.program.url), timeouts=Timeouts(60, 60, 60, 60)
                )
                for number in range(count):
                    tasks.create_task(ask(asker, number))

        asyncio.run(main())
        recordings = proxy.new(count)
        assert len(texts) == count and len(set(texts)) == 1
        assert len({recording.header.request_body["question"] for recording in recordings}) == count
        bodies = {b"".join(chunk.data for chunk in recording.chunks) for recording in recordings}
        assert len(bodies) == 1
        assert {recording.ending.fault for recording in recordings} == {"eof"}


def _unchunked(data: bytes) -> bytes:
    """The body, where every chunk is whole."""
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        body, data = body + data[: int(size, 16)], data[int(size, 16) + 2 :]
    return body


class TestEndings:
    @pytest.mark.parametrize(
        ("fault", "error", "ending"),
        [
            ("close@2", ConnectionLost, "ConnectionLost"),
            ("close@0", ConnectionLost, "ConnectionLost"),
            ("truncate@2", IncompleteStream, "eof"),
            ("error@2", ServerError, "eof"),
            ("json-error", ServerError, "eof"),
            ("401", AuthenticationError, "eof"),
            ("503", ServerError, "eof"),
            ("no-head", ConnectionLost, "ConnectionLost"),
            ("garbage@2", ConnectionLost, "RemoteProtocolError"),
        ],
    )
    def test_faults_are_forwarded_and_recorded(
        self,
        upstream: Program,
        proxy: Recorded,
        fault: str,
        error: type[MoondreamError],
        ending: str,
    ) -> None:
        direct = asked(upstream, QUERY, X_Moondream_Fault=fault)
        through = asked(proxy.program, QUERY, X_Moondream_Fault=fault)
        assert (through[0], type(through[1])) == (direct[0], error)
        # Bytes that are not HTTP are not forwarded. The client gets a closed connection.
        assert type(direct[1]) is (
            RemoteProtocolError if ending == "RemoteProtocolError" else error
        )
        (recording,) = proxy.new()
        # A client that has its error may leave before the end of the body.
        assert recording.ending.fault == ending or (recording.ending.fault, ending) == (LEFT, "eof")
        assert recording.header.status_code == (
            None if fault == "no-head" else int(fault) if fault.isdigit() else 200
        )

    def test_a_reset_is_a_reset(self, proxy: Recorded) -> None:
        _, error = asked(proxy.program, QUERY, X_Moondream_Fault="reset")
        assert isinstance(error, ConnectionLost)
        assert "reset" in str(error)
        (recording,) = proxy.new()
        assert "reset" in recording.ending.message

    def test_a_body_that_is_shorter_than_its_length(self, scripted: Scripted) -> None:
        SCRIPT.append(answers(sized(WHOLE_BODY, length=len(WHOLE_BODY) + 7)))
        with pytest.raises(http.client.IncompleteRead) as caught:
            http_request(scripted.program, "POST", "/v1/query", "{}")
        assert caught.value.partial == WHOLE_BODY
        (recording,) = scripted.recorded.new()
        assert recording.ending.fault == "ConnectionLost"

    def test_a_body_that_ends_with_the_connection(self, scripted: Scripted) -> None:
        SCRIPT.append(answers(head(headers=[("Content-Type", "text/event-stream")]), WHOLE_BODY))
        assert http_request(scripted.program, "POST", "/v1/query", "{}")[2] == WHOLE_BODY
        assert scripted.recorded.new()[0].ending.fault == "eof"

    def test_a_client_that_leaves_takes_the_server_along(self, scripted: Scripted) -> None:
        gone: queue.SimpleQueue[bool] = queue.SimpleQueue()

        def script(peer: Peer) -> None:
            peer.answer(*F1)
            gone.put(peer.is_closed_within(TIMEOUT))

        SCRIPT.append(script)
        with client(scripted.program).stream(QUERY) as stream:
            for _ in WORDS:
                next(stream)
        (recording,) = scripted.recorded.new()
        scripted.program.wait_for_line("the client left")
        assert gone.get(timeout=TIMEOUT)
        assert (b"".join(chunk.data for chunk in recording.chunks), recording.ending.fault) == (
            b"".join(DELTAS),
            "left",
        )

    def test_a_client_that_leaves_before_the_head(self, scripted: Scripted) -> None:
        gone: queue.SimpleQueue[bool] = queue.SimpleQueue()
        has_begun = threading.Event()

        def script(peer: Peer) -> None:
            peer.read_request()
            peer.send(b"HTTP/1.1 ")
            has_begun.set()
            gone.put(peer.is_closed_within(TIMEOUT))

        SCRIPT.append(script)
        with socket.create_connection(
            ("127.0.0.1", scripted.program.port), timeout=20
        ) as connection:
            connection.sendall(post())
            assert has_begun.wait(TIMEOUT)
        (recording,) = scripted.recorded.new()
        assert (recording.header.status_code, recording.ending.fault) == (None, "left")
        assert gone.get(timeout=TIMEOUT)

    def test_secrets_in_an_answer(self, scripted: Scripted) -> None:
        """The client gets them; the recording has as many stars."""
        body = (
            record({"chunk": f"your key is {KEY}", "completed": False, "org_id": "a349504c"}) + END
        )
        middle = body.index(KEY.encode()) + 5
        SCRIPT.append(
            answers(
                head(headers=[("Content-Type", "text/event-stream"), ("Set-Cookie", "a=b")]),
                body[:middle],
                body[middle:],
            )
        )
        status, fields, received = http_request(
            scripted.program, "POST", "/v1/query", "{}", Authorization=f"Bearer {KEY}"
        )
        assert (status, received) == (200, body)
        assert ("Set-Cookie", "a=b") in fields or ("set-cookie", "a=b") in fields
        (recording,) = scripted.recorded.new()
        written = b"".join(chunk.data for chunk in recording.chunks)
        assert written == body.replace(KEY.encode(), b"*" * len(KEY)).replace(b"a349504c", b"*" * 8)
        assert "cookie" not in recording.encode().decode().lower()

    def test_a_request_that_is_sent_back(self, scripted: Scripted) -> None:
        """With its picture, and keys in places of their own."""
        payload = PIXEL.data_url.partition(",")[2]
        asked = json.dumps({"image_url": payload, "question": f"Hi ![x]({PIXEL.data_url})"})
        answer = json.dumps({"detail": f"neither {KEY} nor in-the-query", "input": asked}).encode()
        SCRIPT.append(
            answers(head(422, [("Content-Type", "application/json")]), answer[:90], answer[90:])
        )
        path = "/v1/query?api_key=in-the-query"
        assert http_request(scripted.program, "POST", path, asked, X_API_Key=KEY)[::2] == (
            422,
            answer,
        )
        (recording,) = scripted.recorded.new()
        assert (
            recording.header.request_body["image_url"]["sha256"]
            == hashlib.sha256(PIXEL.data).hexdigest()
        )
        written = recording.encode().decode() + "".join(
            chunk.data.decode() for chunk in recording.chunks
        )
        assert not any(
            secret in written for secret in (payload[:40], payload[-40:], KEY, "in-the-query")
        )
        assert sum(len(chunk.data) for chunk in recording.chunks) == len(answer)

    def test_an_own_folder_that_is_gone(self, upstream: Program, tmp_path: Path) -> None:
        """The exchange goes on; the log says that nothing was kept."""
        with running("record", "--upstream", upstream.url, "--to", tmp_path / "gone") as program:
            (tmp_path / "gone").rmdir()
            (tmp_path / "gone").write_text("a file in its place")
            assert asked(program, QUERY)[1].text
            program.wait_for_line("POST /v1/query 200", "not recorded: ")


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
            (["--upstream", "localhost:2020", "--to", "x"], "http(s)://host"),
            (["--upstream", "http://user:secret@localhost", "--to", "x"], "without user"),
            (["--upstream", "http://localhost"], "--to"),
            (["--upstream", "http://localhost", "--to", __file__], "exists"),
        ],
    )
    def test_usage(
        self, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["record", *arguments]) == Exit.USAGE
        out, err = capsys.readouterr()
        assert (out, words in err, "secret" in err) == ("", True, False)

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
        assert "pip install 'sansio-moondream[anyio]'" in ran.stderr
