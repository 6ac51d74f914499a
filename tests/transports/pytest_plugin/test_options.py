"""Options, secrets, the network, and the folders of the recordings."""

from __future__ import annotations

from pathlib import Path

from sansio_moondream.recording import Recording
from tests.transports.pytest_plugin.projects import ONE, Project

pytest_plugins = ["pytester"]


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
        "break_at": BreakAt(ConnectionLost("cable unplugged"), after_events=1),
    }

def test_one(moondream_transport):
    with pytest.raises(ConnectionLost, match="cable unplugged") as caught:
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
        assert any(name.parts[2].startswith("TestMoon.test_one-") for name in names)
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
