"""Cases 12 and 13 of "What broke in trials": the pytest plugin, in pytest runs of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from moondream_transports.conformance._fault_server import (
    LAST_CHUNK,
    FaultServer,
    Peer,
    chunk,
    head,
)
from sansio_moondream.recording import Recording
from tests.helpers import END, delta

pytest_plugins = ["pytester"]

HEADER = """
import os, pytest
from moondream_transports import Client, BreakAt
from sansio_moondream import ConnectionLost, Endpoint, QueryRequest

def ask(transport, question="What?"):
    request = QueryRequest(question=question)
    with Client(transport, Endpoint(os.environ["SERVER"])).stream(request) as stream:
        return "".join(stream.text())
"""
ONE = """
def test_one(moondream_transport):
    assert ask(moondream_transport, {question!r}).startswith("A moon")
"""
FAULT = """
@pytest.fixture
def moondream_options():
    return {"break_at": BreakAt(ConnectionLost("broke"), after_events=1)}
"""
LARGE = " and another moon" * 20_000  # more than the disk of `FULL_DISK` takes


def script(peer: Peer) -> None:
    """Answer with a text that the question asks for."""
    _, body = peer.read_request()
    text = f"A moon{LARGE if b'large' in body else ''}"
    peer.send(head() + chunk(delta(text)) + chunk(END) + LAST_CHUNK)
    peer.wait_until_closed()


class Project:
    """A project with tests, and a server that they may reach."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester

    @property
    def recordings(self) -> dict[str, bytes]:
        root = self.pytester.path
        found = sorted(root.rglob("*.jsonl"))
        return {str(path.relative_to(root)): path.read_bytes() for path in found}

    def write(self, tests: str, name: str = "test_moon.py") -> Path:
        path: Path = self.pytester.path / name
        path.write_text(HEADER + tests)
        return path

    def run(self, mode: str, *arguments: str, apart: bool = False) -> pytest.RunResult:
        """Run the tests; `apart` in a process of their own."""
        plugin = ["-p", "moondream_transports.pytest_plugin", "-p", "no:cacheprovider"]
        run = self.pytester.runpytest_subprocess if apart else self.pytester.runpytest_inprocess
        return run(*plugin, f"--moondream-record={mode}", *arguments)


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    with FaultServer(script) as server:
        monkeypatch.setenv("SERVER", server.url)
        monkeypatch.setenv("no_proxy", "*")
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        yield Project(pytester)


FULL_DISK = """
import resource, signal

def test_one(moondream_transport):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    assert ask(moondream_transport, "large?").startswith("A moon")
"""


class TestAll:
    """Case 12. `--moondream-record=all` replaces recordings."""

    @pytest.mark.slow
    def test_a_failing_disk_leaves_the_old_recordings(self, project: Project) -> None:
        project.write(ONE.format(question="large?"))
        project.run("all").assert_outcomes(passed=1)
        before = project.recordings
        assert len(before) == 1
        project.write(FULL_DISK)
        result = project.run("all", apart=True)
        assert result.ret != 0
        assert project.recordings == before

    def test_names_that_differ_outside_ascii_have_folders_of_their_own(
        self, project: Project
    ) -> None:
        for name in ("test_\u6708.py", "test_\u65e5.py"):
            project.write(ONE.format(question=name), name)
        project.run("all").assert_outcomes(passed=2)
        assert len({str(Path(name).parent) for name in project.recordings}) == 2
        project.run("none").assert_outcomes(passed=2)

    def test_long_names_that_differ_at_their_end_have_folders_of_their_own(
        self, project: Project
    ) -> None:
        for name in (f"test_{'m' * 80}_one.py", f"test_{'m' * 80}_two.py"):
            project.write(ONE.format(question=name), name)
        project.run("all").assert_outcomes(passed=2)
        assert len({str(Path(name).parent) for name in project.recordings}) == 2
        project.run("none").assert_outcomes(passed=2)


class TestFaults:
    """Case 13. A fault of `moondream_options` is for the replay."""

    def test_a_test_with_a_fault_can_be_recorded(self, project: Project) -> None:
        """The exchange is recorded whole, and the test sees the fault all the same."""
        project.write(
            FAULT
            + """
def test_one(moondream_transport):
    with pytest.raises(ConnectionLost):
        ask(moondream_transport)
"""
        )
        project.run("once").assert_outcomes(passed=1)
        ((_, content),) = project.recordings.items()
        assert Recording.decode(content).ending.fault == "eof"
        project.run("none").assert_outcomes(passed=1)

    def test_recordings_behind_a_fault_do_not_count_as_unused(self, project: Project) -> None:
        ask_twice = """
def test_one(moondream_transport):
    ask(moondream_transport, "What?")
    ask(moondream_transport, "Why?")
"""
        project.write(ask_twice)
        project.run("once").assert_outcomes(passed=1)
        assert len(project.recordings) == 2
        broken_off = ask_twice.replace(
            "    ask", "    with pytest.raises(ConnectionLost):\n        ask", 1
        )
        broken_off = broken_off.replace(
            '    ask(moondream_transport, "Why?")\n', "        ask(moondream_transport, 'Why?')\n"
        )
        project.write(FAULT + broken_off)
        project.run("none").assert_outcomes(passed=1)

    def test_a_mark_names_a_recording_that_tests_share(self, project: Project) -> None:
        project.write(
            """
@pytest.mark.moondream_recording("moon")
def test_one(moondream_transport):
    assert ask(moondream_transport) == "A moon"

@pytest.mark.moondream_recording("moon")
def test_two(moondream_transport):
    assert ask(moondream_transport) == "A moon"
"""
        )
        project.run("once").assert_outcomes(passed=2)
        assert len(project.recordings) == 1
        project.run("none").assert_outcomes(passed=2)
