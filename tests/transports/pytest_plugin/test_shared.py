"""The mark `moondream_recording`: recordings that tests share."""

from __future__ import annotations

import pytest

from tests.transports.pytest_plugin.projects import Project

pytest_plugins = ["pytester"]

SHARED = """
@pytest.mark.moondream_recording("moon")
class TestShared:
    def test_one(self, moondream_transport):
        assert ask(moondream_transport) == "A moon"

    def test_two(self, moondream_transport):
        assert ask(moondream_transport) == "A moon"
"""
MORE = """
    def test_three(self, moondream_transport):
        assert ask(moondream_transport, "Why?") == "A moon"
"""
NAME = "recordings/shared.moon/001-query.jsonl"


@pytest.mark.parametrize("mode", ["once", "new", "all"])
def test_recorded_by_the_first_test(project: Project, mode: str) -> None:
    """The second one replays it, in the same run."""
    project.write(SHARED)
    project.run(mode, passed=2)
    assert (project.connections, [*project.recordings]) == (1, [NAME])
    project.run("none", passed=2)
    project.run("none", "-k", "two", passed=1)
    project.run(mode, passed=2)
    assert project.connections == (1 if mode == "all" else 0)
    assert [*project.recordings] == [NAME]


def test_files_of_a_folder_share_it(project: Project) -> None:
    for name in ("test_new.py", "test_old.py"):
        project.write(SHARED, name)
    project.run("once", passed=4)
    assert (project.connections, [*project.recordings]) == (1, [NAME])


def test_each_test_uses_what_it_asks(project: Project) -> None:
    project.write(SHARED + MORE)
    result = project.run("once", passed=2, failed=1)
    result.stdout.fnmatch_lines(["*--moondream-record=new*"])
    project.run("new", passed=3)
    assert (project.connections, len(project.recordings)) == (1, 2)
    project.run("none", passed=3)
    project.run("all", "-k", "one", passed=1)
    assert (project.connections, len(project.recordings)) == (1, 2)
    project.run("none", passed=3)


def test_new_does_not_remove_what_others_use(project: Project) -> None:
    project.write(SHARED)
    project.run("once", passed=2)
    project.write(SHARED + MORE)
    project.run("new", "-k", "three", passed=1)
    assert len(project.recordings) == 2


@pytest.mark.slow
def test_several_processes(project: Project) -> None:
    """Both may record it. Each recording answers both tests."""
    project.write(SHARED)
    for mode in ("once", "all"):
        plugins = ["-p", "moondream_transports.pytest_plugin", "-p", "xdist"]
        project.pytester.runpytest_subprocess(
            *plugins, "-p", "no:cacheprovider", "-n", "2", f"--moondream-record={mode}"
        ).assert_outcomes(passed=2)
        assert 1 <= len(project.recordings) <= 2
        project.run("none", passed=2)
        assert project.connections == 0


@pytest.mark.parametrize("arguments", ["", "1", "'a', 'b'", "name='a'"])
def test_mark_without_one_name(project: Project, arguments: str) -> None:
    project.write(SHARED.replace('"moon"', arguments))
    result = project.run("once", errors=2)
    result.stdout.fnmatch_lines(["*TypeError: the mark should have one name*"])


def test_mark_is_declared(project: Project) -> None:
    plugin = ["-p", "moondream_transports.pytest_plugin"]
    result = project.pytester.runpytest_inprocess(*plugin, "--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.moondream_recording(name): *"])
