"""What makes a test fail, and what it then says."""

from __future__ import annotations

from tests.transports.pytest_plugin.projects import ONE, Project

pytest_plugins = ["pytester"]


class TestWhatFails:
    def test_recordings_that_are_not_used(self, project: Project) -> None:
        project.write(ONE + "    assert ask(moondream_transport, 'Why?')\n")
        project.run("once", passed=1)
        project.write(ONE)
        for mode in ("none", "once", "new"):
            result = project.run(mode, failed=1)
            result.stdout.fnmatch_lines(
                [
                    "*did not use these recordings*--moondream-record=all*",
                    "*recordings/test_moon/test_one/002-query.jsonl",
                ]
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
            [
                "*some of its requests were not recorded*",
                "no recording answers POST /v1/query*",
                "To record the test: --moondream-record=once.",
            ]
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

    def test_a_test_that_asks_for_the_fixture_itself(self, project: Project) -> None:
        project.write(
            """
def test_one(request):
    transport = request.getfixturevalue("moondream_transport")
    with pytest.raises(Exception, match="no recording answers"):
        ask(transport)
"""
        )
        project.run("none", failed=1).stdout.fnmatch_lines(
            ["the test passed, but some of its requests were not recorded:"]
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
