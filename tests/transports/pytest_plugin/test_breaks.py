"""Tests whose streams break on purpose: they are recorded whole, and break in the replay."""

from __future__ import annotations

import pytest

from sansio_moondream.recording import Recording
from tests.helpers import END
from tests.transports.pytest_plugin.projects import Project

pytest_plugins = ["pytester"]

BREAK = """
import asyncio
from moondream_transports import BreakAt, Fragmentation
from sansio_moondream import ConnectionLost, QueryRequest

@pytest.fixture
def moondream_options():
    return {"break_at": BreakAt(ConnectionLost("cable"), after_events=1)}

class Test:
    def test_sync(self, moondream_transport):
        with pytest.raises(ConnectionLost, match="cable") as caught:
            ask(moondream_transport)
        assert caught.value.partial.text == "A"

    def test_async(self, moondream_async_transport):
        with pytest.raises(ConnectionLost, match="cable") as caught:
            asyncio.run(ask_async(moondream_async_transport))
        assert caught.value.partial.text == "A"
"""


@pytest.mark.parametrize(
    "mode",
    ["once", *(pytest.param(mode, marks=pytest.mark.slow) for mode in ("new", "all"))],
)
def test_recorded_whole(project: Project, mode: str) -> None:
    project.write(BREAK)
    for turn in range(2):
        project.run(mode, passed=2)
        assert project.connections == (2 if mode == "all" or turn == 0 else 0)
        recordings = [Recording.decode(content) for content in project.recordings.values()]
        assert [recording.ending.fault for recording in recordings] == ["eof", "eof"]
        bodies = [b"".join(chunk.data for chunk in each.chunks) for each in recordings]
        assert all(body.endswith(END) for body in bodies)
    project.run("none", passed=2)
    assert project.connections == 0


def test_other_options_count_while_recording(project: Project) -> None:
    project.write(
        """
from moondream_transports import BreakAt, Fragmentation, Timeouts
from sansio_moondream import ConnectionLost

@pytest.fixture
def moondream_options():
    return {
        "break_at": BreakAt(ConnectionLost("cable"), after_bytes=3),
        "fragmentation": Fragmentation.EACH_BYTE,
    }

def test_one(moondream_transport):
    request = QueryRequest(question="What?").to_http(ENDPOINT)
    stream = moondream_transport.send(request, Timeouts())
    assert [stream.read(1) for _ in range(3)] == [b"d", b"a", b"t"]
    with pytest.raises(ConnectionLost, match="cable"):
        stream.read(1)
"""
    )
    project.run("once", passed=1)
    project.run("none", passed=1)


def test_network_that_fails_by_itself(project: Project) -> None:
    """The true error is raised, and nothing is kept: the test did not see its own break."""
    project.write(
        BREAK
        + """
@pytest.fixture
def moondream_network():
    from moondream_transports import UrllibTransport
    class Cut(UrllibTransport):
        def send(self, request, timeouts):
            stream = super().send(request, timeouts)
            read = stream.read
            def lost(timeout):
                read(timeout)
                raise ConnectionLost("the network")
            stream.read = lost
            return stream
    return Cut(proxies={}, max_idle=0)
"""
    )
    result = project.run("once", "-k", "test_sync", failed=1)
    result.stdout.fnmatch_lines(["*'the network *'*"])
    assert project.recordings == {}


def test_network_that_fails_by_itself_in_a_test_that_passes(project: Project) -> None:
    project.write(
        BREAK.partition("class")[0]
        + """
@pytest.fixture
def moondream_network():
    from moondream_transports import UrllibTransport
    return UrllibTransport(proxies={"http": "http://localhost:1"}, max_idle=0)

def test_one(moondream_transport):
    with pytest.raises(MoondreamError):
        ask(moondream_transport)
"""
    )
    result = project.run("once", failed=1)
    result.stdout.fnmatch_lines(
        ["*not recorded, as they failed by themselves:*", "ConnectError: *"]
    )
    assert project.recordings == {}


def test_what_the_break_hides_is_not_unused(project: Project) -> None:
    both = "\ndef test_one(moondream_transport):\n"
    asks = "    ask(moondream_transport)\n    ask(moondream_transport, 'Why?')\n"
    project.write(both + asks)
    project.run("once", passed=1)
    raises = "    with pytest.raises(ConnectionLost):\n"
    project.write(BREAK.partition("class")[0] + both + raises + asks.replace("    ", "        "))
    for mode in ("none", "once", "new"):
        project.run(mode, passed=1)
        assert project.connections == 0
    assert len(project.recordings) == 2
