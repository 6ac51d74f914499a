"""The programs of docs/how-to/resume.md under uvicorn, alone and behind nginx."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from moondream_tools import FakeServer
from tests.guides import BLOCK, ROOT, write_files

from .apps import QUESTION
from .asgi import EventSource
from .programs import LONGEST_WAIT, free_port, program, uvicorn

PAGE = ROOT / "docs" / "how-to" / "resume.md"
WORDS = [f" word-{number}" for number in range(40)]
GIF = b"GIF89a\1\0\1\0\0\0\0;"
KIND = {"content-type": "application/json"}

pytestmark = pytest.mark.slow


@pytest.fixture
def model() -> Iterator[FakeServer]:
    """Answers 40 words in 2 seconds."""
    with FakeServer() as server:
        server.answer(text="".join(WORDS), seconds=0.05, times=None)
        yield server


class Reader(EventSource):
    """Over HTTP, and its connections break."""

    def __init__(self, client: httpx2.Client, url: str) -> None:
        super().__init__(lambda *_: None, url)  # type: ignore[arg-type]
        self.client = client

    def read(self, max_bytes: int) -> int:
        """Read so many bytes of one connection, and return the status of the response."""
        headers = {"last-event-id": self.last_id} if self.last_id else {}
        with self.client.stream("GET", self.target, headers=headers) as response:
            body = b""
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) >= max_bytes:
                    break
            self.feed(body)
            return response.status_code


def check_reload(client: httpx2.Client) -> str:
    """Ask, read the answer over connections that break, and return its id."""
    made = client.post("/v1/query", content=QUESTION, headers=KIND)
    assert made.status_code == 201, made.text
    reader = Reader(client, made.json()["url"])
    while reader.read(500) == 200:
        pass
    assert "".join(re.findall('"text":"( word-[0-9]+)"', "".join(reader.data))) == "".join(WORDS)
    assert len(reader.data) == len(WORDS) + 1 == int(reader.last_id)
    id_: str = made.json()["id"]
    return id_


def test_the_server(model: FakeServer, tmp_path: Path):
    for file in write_files(PAGE, tmp_path):
        file.write_text(file.read_text().replace("http://localhost:2020/v1", model.url))
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (
        program(uvicorn("resumable", port), port, tmp_path, UPSTREAM=model.url),
        httpx2.Client(base_url=url, timeout=LONGEST_WAIT) as client,
    ):
        check_reload(client)
        assert b"export" in client.get("/moondream-relay.js").content


def test_a_stop_lets_readers_finish(model: FakeServer, tmp_path: Path):
    write_files(PAGE, tmp_path)
    port = free_port()
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=LONGEST_WAIT) as client:
        with program(uvicorn("resumable", port), port, tmp_path, UPSTREAM=model.url):
            made = client.post("/v1/query", content=QUESTION, headers=KIND).json()
            response = client.send(client.build_request("GET", made["url"]), stream=True)
            chunks = response.iter_bytes()
            first = next(chunks)  # the server is asked to stop now
        rest = b"".join(chunks)
        assert (first + rest).count(b"\n\n") == len(WORDS) + 1
        assert b'"kind":"completed"' in rest


@pytest.mark.parametrize("name", ["mounted", "one_for_all"])
def test_a_stop_ends_readers_that_stay(moondream_server: FakeServer, tmp_path: Path, name: str):
    moondream_server.answer(text="".join(WORDS), fault="stall@3")
    for file in write_files(PAGE, tmp_path):  # a drain of 10 seconds is too long for a test
        code = file.read_text().replace("RelayApp(client)", "RelayApp(client, drain_seconds=1)")
        file.write_text(code.replace("on_signal(10)", "on_signal(1)"))
    port = free_port()
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=LONGEST_WAIT) as client:
        with program(uvicorn(name, port), port, tmp_path, UPSTREAM=moondream_server.url):
            url = "/story"
            if name == "mounted":
                url = client.post("/moon/v1/query", content=QUESTION, headers=KIND).json()["url"]
                assert url.startswith("/moon/streams/")
            response = client.send(client.build_request("GET", url), stream=True)
        assert b"server_stopping" in response.read()


def test_flask(model: FakeServer, tmp_path: Path):
    write_files(PAGE, tmp_path)
    port = free_port()
    command = [sys.executable, "flask_captions.py"]
    with (
        program(command, port, tmp_path, UPSTREAM=model.url, PORT=str(port)),
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=LONGEST_WAIT) as client,
    ):
        made = client.post("/captions", files={"picture": GIF})
        reader = Reader(client, f"/captions/{made.json()['id']}")
        while reader.read(500) == 200:
            pass
        assert len(reader.data) == len(WORDS) + 1
        refused = client.get("/captions/x")
        assert refused.status_code == 404
        assert refused.json()["error"]["type"] == "stream_not_found"


def test_one_stream_for_all(model: FakeServer, tmp_path: Path):
    write_files(PAGE, tmp_path)
    port = free_port()
    with (
        program(uvicorn("one_for_all", port), port, tmp_path, UPSTREAM=model.url),
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=LONGEST_WAIT) as client,
    ):
        bodies = [client.get("/story").content for _ in range(2)]
        assert bodies[0] == bodies[1]
        assert bodies[0].count(b"\n\n") == len(WORDS) + 1
        assert client.get("/story", headers={"last-event-id": "41"}).status_code == 204
        assert len(model.requests) == 1


def test_two_workers_behind_nginx(model: FakeServer, tmp_path: Path):
    if shutil.which("nginx") is None:
        pytest.skip("needs nginx: `make ci-tools`")
    write_files(PAGE, tmp_path)
    (server,) = (code for kind, code in BLOCK.findall(PAGE.read_text()) if kind == "nginx")
    ports = {name: free_port() for name in ("8000", "8001", "8002")}
    for known, port in ports.items():
        server = re.sub(rf"\b{known}\b", str(port), server)
    temporary = "".join(
        f"{kind}_temp_path {tmp_path}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;" if os.getuid() == 0 else ""
    (tmp_path / "nginx.conf").write_text(
        f"{user}\ndaemon off;\npid {tmp_path}/nginx.pid;\nerror_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}{server}}}\n"
    )
    nginx = ["nginx", "-p", str(tmp_path), "-e", "stderr", "-c", str(tmp_path / "nginx.conf")]
    with ExitStack() as running:
        for name, known in (("a", "8001"), ("b", "8002")):
            port = ports[known]
            environment = {"UPSTREAM": model.url, "WORKER": name}
            command = uvicorn("worker", port)
            running.enter_context(program(command, port, tmp_path, **environment))
        running.enter_context(program(nginx, ports["8000"], tmp_path))
        url = f"http://127.0.0.1:{ports['8000']}"
        client = running.enter_context(httpx2.Client(base_url=url, timeout=LONGEST_WAIT))
        ids = [check_reload(client) for _ in range(4)]
        assert {id_[:2] for id_ in ids} == {"a-", "b-"}
        for id_ in ids:
            assert client.get(f"/streams/{id_}").status_code == 200
            assert client.delete(f"/streams/{id_}").status_code == 204
            other = {"a": "b", "b": "a"}[id_[0]] + id_[1:]
            assert client.get(f"/streams/{other}").status_code == 404
