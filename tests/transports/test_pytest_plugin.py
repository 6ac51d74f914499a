"""The pytest plugin, in pytest runs of its own: what is recorded, replayed, and what fails."""

from __future__ import annotations

import functools
import re
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


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    with FaultServer(answer) as server:
        monkeypatch.setenv("SERVER", server.url)
        monkeypatch.setenv("no_proxy", "*")
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # the runs start sooner so
        yield Project(pytester, server)


class TestModes:
    def test_none_is_the_default_and_never_reaches_the_network(self, project: Project) -> None:
        project.write(ONE)
        for mode in (None, "none"):
            result = project.run(mode, failed=1)
            result.stdout.fnmatch_lines(
                [
                    "*NoRecording: no recording answers POST /v1/query (match: exact): there are no recordings*"
                ]
            )
            result.stdout.fnmatch_lines(["*--moondream-record=new*"])
            assert (project.connections, project.recordings) == (0, {})

    @pytest.mark.parametrize("mode", ["once", "new", "all"])
    def test_recorded_then_replayed(self, project: Project, mode: str) -> None:
        project.write(ONE)
        project.run(mode, passed=1)
        assert project.connections == 1
        ((name, content),) = project.recordings.items()
        assert name == "recordings/test_moon/test_one/001-query.jsonl"
        assert b"s3cret" not in content
        project.run("none", passed=1)
        assert (project.connections, project.recordings) == (0, {name: content})

    def test_once_records_no_test_twice(self, project: Project) -> None:
        project.write(ONE)
        project.run("once", passed=1)
        project.run("once", passed=1)
        assert project.connections == 0
        project.write(
            ONE.replace("transport)", "transport, 'Why?')").replace(
                "(moondream_transport, 'Why?'):", "(moondream_transport):"
            )
        )
        result = project.run("once", failed=1)
        result.stdout.fnmatch_lines(
            [
                "*the nearest is *001-query.jsonl, where",
                "*question: recorded 'What?', asked 'Why?'*",
            ]
        )
        assert project.connections == 0

    def test_new_records_what_is_missing(self, project: Project) -> None:
        project.write(ONE)
        project.run("new", passed=1)
        before = project.recordings
        project.write(
            ONE
            + "    assert ask(moondream_transport, 'Why?')\n    assert ask(moondream_transport)\n"
        )
        project.run("new", passed=1)
        assert project.connections == 2
        assert [*project.recordings] == [
            f"recordings/test_moon/test_one/00{number}-query.jsonl" for number in (1, 2, 3)
        ]
        assert before.items() <= project.recordings.items()
        project.run("none", passed=1)
        project.run("new", passed=1)
        assert project.connections == 0

    def test_all_records_everything_anew(self, project: Project) -> None:
        project.write(ONE + "    assert ask(moondream_transport, 'Why?')\n")
        project.run("all", passed=1)
        project.write(ONE)
        project.run("all", passed=1)
        assert project.connections == 1
        assert [*project.recordings] == ["recordings/test_moon/test_one/001-query.jsonl"]

    @pytest.mark.parametrize("mode", ["once", "new", "all"])
    def test_a_test_that_fails_changes_nothing(self, project: Project, mode: str) -> None:
        project.write(ONE + "    assert False\n")
        project.run(mode, failed=1)
        assert project.recordings == {}

    def test_a_test_that_is_run_again_begins_anew(self, project: Project) -> None:
        """As plugins do that give a test another try."""
        project.pytester.makeconftest("""
            from _pytest.runner import runtestprotocol

            def pytest_runtest_protocol(item, nextitem):
                runtestprotocol(item, nextitem=nextitem, log=False)
                item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
                runtestprotocol(item, nextitem=nextitem)
                return True
        """)
        project.write(
            """
            tries = ["Why?", "When?"]

            def test_one(moondream_transport):
                assert ask(moondream_transport, tries.pop()) == "A moon"
                assert not tries
        """.replace("\n            ", "\n")
        )
        project.run("once", passed=1)
        ((name, content),) = project.recordings.items()
        assert name.endswith("001-query.jsonl")
        assert b"Why?" in content

    def test_another_mode(self, project: Project) -> None:
        project.write(ONE)
        result = project.pytester.runpytest_inprocess(
            "-p", "moondream_transports.pytest_plugin", "--moondream-record=some"
        )
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(["*invalid choice: 'some'*"])


class TestWhatFails:
    def test_recordings_that_are_not_used(self, project: Project) -> None:
        project.write(ONE + "    assert ask(moondream_transport, 'Why?')\n")
        project.run("once", passed=1)
        project.write(ONE)
        for mode in ("none", "once", "new"):
            result = project.run(mode, failed=1)
            result.stdout.fnmatch_lines(
                ["*did not use these recordings*", "*recordings/test_moon/test_one/002-query.jsonl"]
            )

    def test_a_miss_that_the_program_swallowed(self, project: Project) -> None:
        project.write(
            """
def test_one(moondream_transport):
    try:
        ask(moondream_transport)
    except Exception:
        pass
"""
        )
        result = project.run("none", failed=1)
        result.stdout.fnmatch_lines(
            ["*some of its requests were not recorded*", "no recording answers POST /v1/query*"]
        )

    def test_each_recording_is_played_once(self, project: Project) -> None:
        project.write(ONE)
        project.run("once", passed=1)
        project.write(ONE + "    ask(moondream_transport)\n")
        result = project.run("none", failed=1)
        result.stdout.fnmatch_lines(["*all matching recordings [(]1[)] were played, each once*"])

    def test_a_broken_recording(self, project: Project) -> None:
        project.write(ONE)
        project.run("once", passed=1)
        (name,) = project.recordings
        path = project.pytester.path / name
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join([*lines[:2], b"[0\n", *lines[2:]]))
        project.run("none", failed=1).stdout.fnmatch_lines(
            ["*RecordingError: 001-query.jsonl, line 3: the line is not JSON*"]
        )
        path.write_bytes(b"{}\n")
        project.run("none", errors=1).stdout.fnmatch_lines(
            ["*RecordingError: 001-query.jsonl, line 1: *"]
        )

    def test_what_expects_to_fail_or_is_skipped_is_let_be(self, project: Project) -> None:
        project.write(
            """
@pytest.mark.xfail
def test_xfail(moondream_transport):
    ask(moondream_transport)

def test_skip(moondream_transport):
    pytest.skip()
"""
        )
        project.run("none", xfailed=1, skipped=1)


class TestLoops:
    """Under asyncio, anyio (on both its loops) and trio, with one fixture."""

    TESTS = """
import asyncio

def test_asyncio(moondream_async_transport):
    assert asyncio.run(ask_async(moondream_async_transport)) == "A moon"

def test_trio(moondream_async_transport):
    trio = pytest.importorskip("trio")
    assert trio.run(ask_async, moondream_async_transport) == "A moon"

@pytest.mark.anyio
async def test_anyio(moondream_async_transport):
    assert await ask_async(moondream_async_transport) == "A moon"

def test_both(moondream_transport, moondream_async_transport):
    assert ask(moondream_transport) == "A moon"
    assert asyncio.run(ask_async(moondream_async_transport, "Why?")) == "A moon"
"""

    def test_record_and_replay(self, project: Project) -> None:
        project.write(self.TESTS)
        result = project.run("none", "-p", "anyio", failed=5)
        project.run("once", "-p", "anyio", passed=5)
        assert project.connections == 6
        project.run("none", "-p", "anyio", passed=5)
        assert project.connections == 0
        assert len(project.recordings) == 6
        assert result.ret == 1

    def test_new(self, project: Project) -> None:
        project.write(self.TESTS)
        project.run("new", "-p", "anyio", passed=5)
        assert project.connections == 6
        project.run("new", "-p", "anyio", passed=5)
        assert project.connections == 0


class TestOverrides:
    def test_options_and_secrets(self, project: Project) -> None:
        project.write(
            ONE
            + """
@pytest.fixture
def moondream_secrets():
    return ["moon"]
"""
        )
        project.run("once", passed=1)
        (content,) = project.recordings.values()
        assert b"moon" not in b"".join(chunk.data for chunk in Recording.decode(content).chunks)
        project.write(
            """
from moondream_transports import Fragmentation, BreakAt
from sansio_moondream import ConnectionLost
from sansio_moondream.recording import Match

@pytest.fixture
def moondream_options():
    return {
        "match": Match.SKILL,
        "fragmentation": Fragmentation.EACH_BYTE,
        "break_at": BreakAt(ConnectionLost("cable cut"), after_events=1),
    }

def test_one(moondream_transport):
    with pytest.raises(ConnectionLost, match="cable cut") as caught:
        ask(moondream_transport, "Why?")
    assert caught.value.partial.text == "A"
"""
        )
        project.run("none", passed=1)

    def test_network(self, project: Project) -> None:
        project.write(
            ONE
            + """
@pytest.fixture
def moondream_network():
    from moondream_transports import ReplayTransport
    return ReplayTransport([])
"""
        )
        project.run("once", failed=1)
        assert project.connections == 0


class TestFolders:
    def test_each_test_has_its_own(self, project: Project) -> None:
        project.write(
            """
class TestMoon:
    def test_one(self, moondream_transport):
        ask(moondream_transport)

@pytest.mark.parametrize("question", ["a/../../../b", "a-b", "a b", "..", "x" * 500, "ü"])
def test_many(moondream_transport, question):
    ask(moondream_transport, question)
"""
        )
        project.run("once", passed=7)
        names = [Path(name) for name in project.recordings]
        assert len(names) == 7
        assert {name.parts[:2] for name in names} == {("recordings", "test_moon")}
        assert {len(name.parts) for name in names} == {4}
        assert "TestMoon.test_one" in {name.parts[2] for name in names}
        project.run("none", passed=7)
        assert project.connections == 0

    def test_several_processes(self, project: Project) -> None:
        """pytest-xdist: tests that run beside each other record and replay the same as one after
        the other.
        """
        project.write(
            """
@pytest.mark.parametrize("number", range(8))
def test_many(moondream_transport, number):
    assert ask(moondream_transport, f"Number {number}?") == "A moon"
"""
        )
        plugin = [
            "-p",
            "moondream_transports.pytest_plugin",
            "-p",
            "xdist",
            "-p",
            "no:cacheprovider",
        ]
        project.pytester.runpytest_subprocess(
            *plugin, "-n", "2", "--moondream-record=once"
        ).assert_outcomes(passed=8)
        assert (project.server.connections, len(project.recordings)) == (8, 8)
        project.run("none", passed=8)
        assert project.connections == 0


def test_it_is_off_before_it_is_asked_for(project: Project) -> None:
    project.write(ONE)
    result = project.pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.stdout.fnmatch_lines(["*fixture 'moondream_transport' not found*"])


def test_a_conftest_can_turn_it_on(project: Project) -> None:
    project.pytester.makeconftest('pytest_plugins = ["moondream_transports.pytest_plugin"]')
    project.write(ONE)
    result = project.pytester.runpytest_inprocess(
        "-p", "no:cacheprovider", "--moondream-record=once"
    )
    result.assert_outcomes(passed=1)
    assert len(project.recordings) == 1


def test_the_example_of_the_guide(project: Project) -> None:
    page = (Path(__file__).parents[2] / "docs" / "recordings.md").read_text()
    for name, code in re.findall(
        r"^```python\n# (\w+\.py)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL
    ):
        (project.pytester.path / name).write_text(
            code.replace("http://localhost:2020", project.server.url)
        )
    run = functools.partial(project.pytester.runpytest_inprocess, "-p", "no:cacheprovider")
    run().assert_outcomes(failed=1)
    run("--moondream-record=once").assert_outcomes(passed=1)
    assert [*project.recordings] == ["recordings/test_moon/test_it_knows_the_moon/001-query.jsonl"]
    run().assert_outcomes(passed=1)
    assert project.server.connections == 1
