"""Clients of users under the fixture: a client that depends on the fragmentation fails."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.transports.pytest_plugin.moon import BODY, FIRST, MOON

pytest_plugins = ["pytester"]

RIGHT = {
    "chunks": """
        def text_of(fragmentation):
            stream = ResponseStream(REQUEST)
            header = fragmentation.recording.header
            stream.receive_response(header.status_code, header.response_headers)
            for chunk in fragmentation.chunks:
                stream.receive_data(chunk)
            stream.receive_eof()
            return stream.result().text
    """,
    "transport": """
        def text_of(fragmentation):
            client = Client(fragmentation.transport(), Endpoint("http://localhost:2020/v1"))
            with client.stream(REQUEST) as stream:
                return stream.result().text
    """,
    "address": """
        def text_of(fragmentation):
            with urlopen(fragmentation.url(), data=b"{}") as response:
                return texts(line for line in response)
    """,
}
WRONG = {
    "it decodes each chunk for itself": """
        def text_of(fragmentation):
            decoded = [chunk.decode(errors="replace") for chunk in fragmentation.chunks]
            return texts("".join(decoded).encode().splitlines())
    """,
    "it takes lines from each chunk for itself": """
        def text_of(fragmentation):
            lines = (line for chunk in fragmentation.chunks for line in chunk.splitlines())
            return texts(line for line in lines if line.endswith(b"}"))
    """,
    "it takes lines from each read for itself": """
        def text_of(fragmentation):
            with urlopen(fragmentation.url(), data=b"{}") as response:
                chunks = iter(response.read1, b"")
                lines = (line for chunk in chunks for line in chunk.splitlines())
                return texts(line for line in lines if line.endswith(b"}"))
    """,
}
TEST = """
    import json
    from urllib.request import urlopen

    from moondream_transports import Client
    from sansio_moondream import Endpoint, QueryRequest, ResponseStream

    REQUEST = QueryRequest(question="What is this?")

    def texts(lines):
        messages = [json.loads(line[6:]) for line in lines if line.startswith(b"data: ")]
        return "".join(message.get("chunk", "") for message in messages)

    def test_the_fragmentation_does_not_matter(moondream_fragmentations):
        for fragmentation in moondream_fragmentations("moon.jsonl"):
            assert text_of(fragmentation) == "a 月 rises"
"""
RunTests = Callable[[str], pytest.RunResult]


@pytest.fixture
def run_tests(pytester: pytest.Pytester) -> RunTests:
    def run(client: str) -> pytest.RunResult:
        (pytester.path / "moon.jsonl").write_bytes(MOON.encode())
        pytester.makepyfile(
            TEST.replace("    def test_the", client.replace("\n    ", "\n") + "\n    def test_the")
        )
        return pytester.runpytest(
            "-p", "moondream_transports.pytest_plugin", "-p", "no:cacheprovider"
        )

    return run


@pytest.mark.parametrize("client", RIGHT)
def test_a_right_client_passes(run_tests: RunTests, client: str):
    run_tests(RIGHT[client]).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("client", "offset"), [*zip(WRONG, (FIRST.index("月".encode()) + 1, 1, 1), strict=True)]
)
def test_a_wrong_client_fails_with_the_offset(run_tests: RunTests, client: str, offset: int):
    result = run_tests(WRONG[client])
    result.assert_outcomes(failed=1)
    assert (
        f"moondream_fragmentations: it was <FragmentedRecording split at {offset}, "
        f"between {BODY[:offset]!r} and " in result.stdout.str()
    )


def test_a_failure_after_them_all_names_none(run_tests: RunTests):
    result = run_tests(
        RIGHT["chunks"]
        + """
        def test_other(moondream_fragmentations):
            list(moondream_fragmentations('moon.jsonl'))
            assert 0
"""
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.no_fnmatch_line("*it was*")


def test_it_is_not_there_unless_asked_for(pytester: pytest.Pytester):
    pytester.makepyfile("def test_it(moondream_fragmentations): pass")
    result = pytester.runpytest("-p", "no:cacheprovider")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'moondream_fragmentations' not found"])
