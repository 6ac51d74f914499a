"""What each mode of `--moondream-record` records and replays."""

from __future__ import annotations

import functools
import re

import pytest

from tests.guides import ROOT
from tests.transports.pytest_plugin.projects import ONE, Project

pytest_plugins = ["pytester"]


class TestModes:
    def test_none_is_the_default_and_never_reaches_the_network(self, project: Project) -> None:
        project.write(ONE)
        for mode in (None, "none"):
            result = project.run(mode, failed=1)
            result.stdout.fnmatch_lines(
                ["*NoRecording: no recording answers POST /v1/query (match: exact): *"]
            )
            result.stdout.fnmatch_lines(["*To record the test: --moondream-record=once.*"])
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

    def test_new_replaces_what_is_not_used_any_more(self, project: Project) -> None:
        project.write(ONE + "    ask(moondream_transport, 'Why?')\n")
        project.run("once", passed=1)
        kept, _ = project.recordings.items()
        project.write(ONE + "    ask(moondream_transport, 'When?')\n    assert False\n")
        project.run("new", failed=1)
        assert len(project.recordings) == 2
        assert b"Why?" in b"".join(project.recordings.values())
        project.write(ONE + "    ask(moondream_transport, 'When?')\n")
        project.run("new", passed=1)
        assert project.connections == 1
        assert kept in project.recordings.items()
        (changed,) = project.recordings.keys() - {kept[0]}
        assert b"When?" in project.recordings[changed]
        project.run("none", passed=1)

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

    def test_all_of_a_test_that_is_run_again(self, project: Project) -> None:
        """The second time it replays what it recorded the first time."""
        project.pytester.makeconftest("""
            from _pytest.runner import runtestprotocol

            def pytest_runtest_protocol(item, nextitem):
                for _ in range(2):
                    runtestprotocol(item, nextitem=nextitem)
                return True
        """)
        project.write(ONE)
        for _ in range(2):
            project.run("all", passed=2)
            assert project.connections == 1
            assert len(project.recordings) == 1

    def test_another_mode(self, project: Project) -> None:
        project.write(ONE)
        result = project.pytester.runpytest_inprocess(
            "-p", "moondream_transports.pytest_plugin", "--moondream-record=some"
        )
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(["*invalid choice: 'some'*"])


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
    page = (ROOT / "docs" / "how-to" / "recordings.md").read_text()
    for name, code in re.findall(
        r"^```python\n# (\w+\.py)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL
    ):
        (project.pytester.path / name).write_text(
            code.replace("http://localhost:2020", project.server.url)
        )
    run = functools.partial(project.pytester.runpytest_inprocess, "-p", "no:cacheprovider")
    run().assert_outcomes(failed=4)
    run("--moondream-record=once").assert_outcomes(passed=4)
    assert [*project.recordings] == [
        "recordings/shared.moon/001-query.jsonl",
        "recordings/test_cable/test_it_keeps_what_came/001-query.jsonl",
        "recordings/test_moon/test_it_knows_the_moon/001-query.jsonl",
    ]
    run().assert_outcomes(passed=4)
    assert project.server.connections == 3
