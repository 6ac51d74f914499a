"""`block_network`: tests that reach nothing, whatever they use."""

from __future__ import annotations

import socket

import pytest

from moondream_transports._plugin.network import NetworkBlocked, blocked_network
from tests.transports.pytest_plugin.projects import ONE, Project

pytest_plugins = ["pytester"]

BLOCKED = """
@pytest.fixture
def moondream_options():
    return {"block_network": True}
"""
REACHES = """
import moondream_transports
from moondream_transports import UrllibTransport

def test_reaches():
    ask(UrllibTransport())

def test_swallows():
    try:
        ask(UrllibTransport())
    except Exception:
        pass
"""
ASYNC = """
import asyncio
import moondream_transports

@pytest.mark.parametrize("name", ["AnyioTransport", "AiohttpTransport", "AsyncHttpxTransport"])
def test_asyncio(name, moondream_transport):
    async def main():
        transport = getattr(moondream_transports, name)()
        try:
            await ask_async(transport)
        finally:
            await transport.aclose()
    asyncio.run(main())

def test_trio(moondream_transport):
    trio = pytest.importorskip("trio")
    trio.run(ask_async, moondream_transports.AnyioTransport())

def test_httpx(moondream_transport):
    with moondream_transports.HttpxTransport() as transport:
        ask(transport)
"""


def test_blocked_with_every_library(project: Project) -> None:
    project.write(BLOCKED + ASYNC)
    result = project.run("all", failed=5)
    assert project.connections == 0
    assert result.stdout.str().count("NetworkBlocked: block_network: the test may not") >= 5


@pytest.mark.parametrize("where", ["command line", "ini"])
def test_all_tests(project: Project, where: str) -> None:
    """Also those that use no fixture of the plugin."""
    project.write(REACHES)
    project.run(passed=2)
    assert project.connections == 2
    options = ["--moondream-block-network"] if where == "command line" else []
    if where == "ini":
        project.pytester.makeini("[pytest]\nmoondream_block_network = true\n")
    result = project.run("none", *options, failed=2)
    assert project.connections == 0
    result.stdout.fnmatch_lines(
        ["*the test passed, but it reached for the network (block_network):*"]
    )


def test_replays_and_never_records(project: Project) -> None:
    project.write(ONE)
    project.run("once", passed=1)
    before = project.recordings
    project.write(BLOCKED + ONE)
    for mode in ("none", "once", "new", "all"):
        project.run(mode, passed=1)
        assert (project.connections, project.recordings) == (0, before)
    project.write(
        BLOCKED + ONE.replace("transport)", "transport, 'Why?')", 2).replace(", 'Why?'", "", 1)
    )
    result = project.run("all", failed=1)
    result.stdout.fnmatch_lines(["*cannot be recorded while block_network is set.*"])
    assert (project.connections, project.recordings) == (0, before)


def test_only_while_the_test_runs(project: Project) -> None:
    project.write(
        BLOCKED
        + """
from moondream_transports import UrllibTransport

@pytest.fixture
def reaches():
    ask(UrllibTransport())
    yield
    ask(UrllibTransport())

def test_one(moondream_transport, reaches):
    pass

def test_two():
    ask(UrllibTransport())
"""
    )
    project.run("none", passed=2)
    assert project.connections == 3


def test_what_is_blocked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        address = server.getsockname()
        with blocked_network() as attempts, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            for reach in (
                lambda: client.connect(address),
                lambda: client.connect_ex(address),
                lambda: socket.getaddrinfo("localhost", 80),
                lambda: socket.gethostbyname("localhost"),
                lambda: datagrams.sendto(b"moon", address),
                lambda: datagrams.sendmsg([b"moon"], [], 0, address),
            ):
                with pytest.raises(NetworkBlocked, match="block_network"):
                    reach()
        assert len(attempts) == 6
        client.connect(address)
