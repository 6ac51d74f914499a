"""Fixtures of the tests of the tools: the command line, and the servers as programs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moondream_tools import FakeServer
from moondream_tools.cli import main
from moondream_transports.conformance._fault_server import FaultServer, Peer
from tests.helpers import PIXEL
from tests.tools.command_line import Ran
from tests.tools.programs import Program, running
from tests.tools.proxies import SCRIPT, Recorded, Scripted


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MOONDREAM_API_KEY", raising=False)
    monkeypatch.delenv("MOONDREAM_MODEL", raising=False)
    monkeypatch.delenv("MOONDREAM_ENDPOINT", raising=False)
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def image(tmp_path: Path) -> str:
    path = tmp_path / "pixel.gif"
    path.write_bytes(PIXEL.data)
    return str(path)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    return lambda *arguments: Ran(main([str(argument) for argument in arguments]), capsys)


@pytest.fixture(scope="module")
def server() -> Iterator[Program]:
    with running("serve", "--speed", "max") as program:
        yield program


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server


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


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with three pictures."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / f"{name}.gif").write_bytes(PIXEL.data)
    return folder
