"""A pytest plugin with the fixture `moondream_server`. docs/how-to/fake-server.md describes it.

It is on where this package is installed. Until a test uses the fixture it imports only pytest. It
has no hook wrappers: older versions of pluggy do not know them, and would end each run of pytest.

PYTEST_DONT_REWRITE: nothing here asserts, and pytest warns about a plugin that is already imported.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from moondream_tools import FakeServer

__all__ = ["moondream_server"]

_KEY = pytest.StashKey["FakeServer"]()


@pytest.fixture
def moondream_server(request: pytest.FixtureRequest) -> Iterator[FakeServer]:
    """A server that answers like Moondream's, for a test of any client, in any language.

    Add an answer with `moondream_server.answer(text="The moon")`, and give your client the address
    `moondream_server.url`. What was asked is in `moondream_server.requests`. The test fails
    if a request had no answer, even if the error was caught, or if an answer was not used.
    """
    from moondream_tools import FakeServer

    with closing(FakeServer().start()) as server:
        request.node.stash[_KEY] = server
        yield server
        _take_from(request.node)


@pytest.hookimpl(trylast=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Check the server of a test that has passed, in its call, so that it can make the test fail.

    A test may have asked for the fixture itself, by `request.getfixturevalue`.
    """
    server = _take_from(item)
    if server is None:
        return
    server.close()  # now all that was received has its place
    problems = ""
    try:
        server.check()
    except AssertionError as error:
        problems = str(error)
    if problems:
        pytest.fail(f"the test passed, but {problems}", pytrace=False)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Note what had no answer beside the failure of a test."""
    if call.when == "call" and call.excinfo and (server := _take_from(item)) is not None:
        for miss in server.misses:
            call.excinfo.value.add_note(f"moondream_server had no answer: {miss}")


def _take_from(item: pytest.Item) -> FakeServer | None:
    server = item.stash.get(_KEY, None)
    if server is not None:
        del item.stash[_KEY]
    return server
