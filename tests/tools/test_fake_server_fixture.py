"""The fixture `moondream_server` of `moondream_tools.pytest_plugin`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

from moondream_tools import pytest_plugin

pytest_plugins = ["pytester"]

# A run inside this process forgets at its end what it imported first: see tests/transports/
# pytest_plugin/projects.py.
for _name in ("anyio._backends._asyncio", "anyio._backends._trio", "moondream_tools._fake_server"):
    import_module(_name)

HEADER = """
import pytest
from moondream_transports import AsyncClient, Client
from sansio_moondream import Endpoint, MoondreamError, QueryRequest

def ask(server):
    with Client(endpoint=Endpoint(server.url)) as client:
        return client.query(question="What?").text
"""
# No summary (-rN): where the variable CI is set, pytest repeats every message in it.
PLUGIN = ("-p", "moondream_tools.pytest_plugin", "-p", "no:cacheprovider", "-W", "error", "-rN")


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # so that the runs start sooner
    return pytester


def run(project: pytest.Pytester, tests: str, *options: str, **outcomes: int) -> list[str]:
    """Run tests, check their outcomes, and return the lines of the output."""
    project.makepyfile(HEADER + tests)
    result = project.runpytest_inprocess(*PLUGIN, *options)
    result.assert_outcomes(**outcomes)
    return result.outlines


def test_it_answers_and_has_what_was_asked(project: pytest.Pytester) -> None:
    tests = """
def test_one(moondream_server):
    moondream_server.answer(text="The moon")
    assert ask(moondream_server) == "The moon"
    assert moondream_server.requests == (QueryRequest(question="What?"),)

def test_each_test_has_its_own(moondream_server):
    assert moondream_server.requests == ()

class TestClass:
    @pytest.fixture(autouse=True)
    def answer(self, moondream_server):
        moondream_server.answer(text="The moon")

    def test_another_fixture_may_add_answers(self, moondream_server):
        assert ask(moondream_server) == "The moon"
"""
    run(project, tests, "-p", "moondream_transports.pytest_plugin", passed=3)


def test_a_miss_that_the_program_swallowed_and_an_unused_answer(project: pytest.Pytester) -> None:
    tests = """
def test_miss(moondream_server):
    try:
        ask(moondream_server)
    except MoondreamError:
        pass

def test_unused(moondream_server):
    moondream_server.answer(text="The moon")
"""
    lines = run(project, tests, failed=2)
    expected = [
        "the test passed, but the fake server had no answer for some of the requests:",
        "  POST /v1/query: no answer is left for QueryRequest(question='What?'): none was added",
        "the test passed, but these answers of the fake server were not used:",
        "  1: text='The moon' (for query, caption, chat)",
    ]
    assert [line for line in lines if line in expected] == expected
    assert not any("During handling" in line for line in lines)


def test_the_first_failure_is_not_masked(project: pytest.Pytester) -> None:
    tests = """
def test_miss(moondream_server):
    moondream_server.answer(text="The moon", skill="caption")
    try:
        ask(moondream_server)
    except MoondreamError:
        raise ZeroDivisionError("first") from None

def test_unused(moondream_server):
    moondream_server.answer(text="The moon")
    assert 1 == 2

@pytest.mark.xfail
def test_xfail(moondream_server):
    ask(moondream_server)

def test_skip(moondream_server):
    moondream_server.answer(text="The moon")
    pytest.skip()

def test_setup(moondream_server, no_such_fixture):
    pass
"""
    lines = run(project, tests, failed=2, xfailed=1, skipped=1, errors=1)
    errors = [line.removeprefix("E").strip() for line in lines]
    assert "ZeroDivisionError: first" in errors
    assert (
        "moondream_server had no answer: POST /v1/query: no answer is left for "
        "QueryRequest(question='What?'): left are 1: text='The moon' (for caption)"
    ) in errors
    assert "assert 1 == 2" in errors
    assert not any("not used" in line for line in lines)


def test_a_test_that_asks_for_the_fixture_itself(project: pytest.Pytester) -> None:
    tests = """
def test_one(request):
    server = request.getfixturevalue("moondream_server")
    server.answer(text="The moon", times=2)
    assert ask(server) == "The moon"
"""
    lines = run(project, tests, failed=1)
    assert "the test passed, but these answers of the fake server were not used:" in lines


@pytest.mark.parametrize("failure", ["pytest.fail('mine')", "raise SystemExit('mine')"])
def test_misses_beside_a_failure_of_any_kind(project: pytest.Pytester, failure: str) -> None:
    tests = f"""
def test_one(moondream_server):
    with pytest.raises(MoondreamError):
        ask(moondream_server)
    {failure}
"""
    lines = run(project, tests, failed=1)
    note = "moondream_server had no answer: POST /v1/query: no answer is left"
    assert any(note in line for line in lines)


def test_async_tests(project: pytest.Pytester) -> None:
    tests = """
@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
@pytest.mark.parametrize("answers", [1, 2])
async def test_one(moondream_server, answers):
    moondream_server.answer(text="The moon", times=answers)
    async with AsyncClient(endpoint=Endpoint(moondream_server.url)) as client:
        assert (await client.query(question="?")).text == "The moon"
"""
    run(project, tests, "-p", "anyio", passed=2, failed=2)


def test_a_plugin_that_runs_a_test_again(project: pytest.Pytester) -> None:
    """Each run of the test has its own server."""
    project.makeconftest(
        """
import pytest
from _pytest.runner import runtestprotocol

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    runtestprotocol(item, nextitem=nextitem, log=False)
    item._initrequest()
    runtestprotocol(item, nextitem=nextitem)
    return True
"""
    )
    tests = """
def test_one(moondream_server):
    moondream_server.answer(text="The moon")
    assert ask(moondream_server) == "The moon"
"""
    run(project, tests, passed=1)


def test_an_older_pluggy_can_load_it() -> None:
    """It is loaded in each run of pytest. Hook wrappers of this kind need pluggy 1.2."""
    found: list[Any] = [
        getattr(value, "pytest_impl", None) for value in vars(pytest_plugin).values()
    ]
    options = [each for each in found if each is not None]
    assert len(options) == 2
    assert not any(each.get("wrapper") or each["hookwrapper"] for each in options)


@pytest.mark.slow
def test_it_is_on_where_the_package_is_installed(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In several processes; asked for by its name, and in a run of unittest, too."""
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", raising=False)
    pytester.makeconftest('pytest_plugins = ["moondream_tools.pytest_plugin"]')
    pytester.makepyfile(
        HEADER
        + """
import unittest

@pytest.mark.parametrize("number", range(8))
def test_one(moondream_server, number):
    moondream_server.answer(text=f"The moon {number}")
    assert ask(moondream_server) == f"The moon {number}"

class TestMoon(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def _server(self, moondream_server):
        self.server = moondream_server

    def test_one(self):
        self.server.answer(text="The moon")
        self.assertEqual(ask(self.server), "The moon")

    def test_unused(self):
        self.server.answer(text="The moon")
"""
    )
    result = pytester.runpytest_subprocess("-n", "2", "-p", "no:cacheprovider", "-W", "error")
    result.assert_outcomes(passed=9, failed=1)
