"""Projects with tests that use the pytest plugin, and a server that they may reach."""

from __future__ import annotations

from importlib import import_module

import pytest

from moondream_transports.conformance._fault_server import (
    LAST_CHUNK,
    FaultServer,
    Peer,
    chunk,
    head,
)
from tests.helpers import END, delta

# A run inside this process forgets at its end what it imported first. Of these modules, which are
# imported late, tests after it would have a second copy, whose exceptions are others.
for _name in (
    "anyio._backends._asyncio",
    "anyio._backends._trio",
    "httpcore",
    "httpcore2",
    "moondream_transports.replay",
):
    import_module(_name)

HEADER = """
from moondream_transports import AsyncClient, Client
from sansio_moondream import Endpoint, QueryRequest, MoondreamError, encode_image
import os, pytest

ENDPOINT = Endpoint(os.environ["SERVER"], api_key="s3cret-key-0123")

def ask(transport, question="What?"):
    with Client(transport, ENDPOINT).stream(QueryRequest(question=question)) as stream:
        return "".join(stream.text())

async def ask_async(transport, question="What?"):
    async with AsyncClient(transport, ENDPOINT).stream(QueryRequest(question=question)) as stream:
        return "".join([text async for text in stream.text()])
"""
ONE = """
def test_one(moondream_transport):
    assert ask(moondream_transport) == "A moon"
"""


def answer(peer: Peer) -> None:
    peer.answer(head(), chunk(delta("A")), chunk(delta(" moon")), chunk(END), LAST_CHUNK)


class Project:
    """A project with tests, and a server that it may reach."""

    def __init__(self, pytester: pytest.Pytester, server: FaultServer) -> None:
        self.pytester = pytester
        self.server = server

    @property
    def recordings(self) -> dict[str, bytes]:
        root = self.pytester.path
        return {
            str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*.jsonl"))
        }

    def write(self, tests: str, name: str = "test_moon.py") -> None:
        (self.pytester.path / name).write_text(HEADER + tests)

    def run(self, mode: str | None = None, *arguments: str, **outcomes: int) -> pytest.RunResult:
        """Run the tests, see the outcomes, and say how many connections they made."""
        plugin = [
            "-p",
            "moondream_transports.pytest_plugin",
            "-p",
            "no:cacheprovider",
            "-W",
            "error",
        ]
        before = self.server.connections
        option = [] if mode is None else [f"--moondream-record={mode}"]
        result = self.pytester.runpytest_inprocess(*plugin, *option, *arguments)
        result.assert_outcomes(**outcomes)
        self.connections = self.server.connections - before
        return result
