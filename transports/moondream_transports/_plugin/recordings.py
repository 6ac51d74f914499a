"""Recordings beside the tests that replay them.

1. Each test has its own folder (`folders.py`). So tests may run in any order, and in several
   processes. Tests with the same mark `moondream_recording` share a folder.
2. Without `--moondream-record` nothing is recorded, and the network is never reached.
3. Recordings are written after the test has passed, each file atomically, and old ones are removed
   after that. A test that failed changes nothing.
4. A test that passes fails all the same if no recording matched a request, even if the error was
   caught, or if a recording was not used. Each recording is played once.
5. A test that breaks its streams (`break_at`) is recorded whole, and sees the break in the replay
   of what was recorded. Recordings that it does not reach are no failure.
6. A test knows only what it asks itself. So shared recordings that it does not use are no failure,
   and it replaces only those that answer its own requests.
7. No event loop runs here: an async transport is made outside of any, and works in the loop of the
   test.

PYTEST_DONT_REWRITE: nothing here asserts, and pytest warns about a plugin that is already imported.
"""

from __future__ import annotations

from collections.abc import Collection, Generator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from moondream_transports.recording._files import recordings_in
from moondream_transports.recording._folder import RecordingFolder
from moondream_transports.replay import AsyncReplayTransport, ReplayTransport
from sansio_moondream.recording import Recording, find_matches

from .folders import MARK, folder_of, shared_name
from .network import blocked_network

_MODES = {
    "none": "replay, and never reach the network",
    "once": "record a test that has no recordings yet",
    "new": "record the requests that no recording answers, in place of unused recordings",
    "all": "record everything again",
}
# The recordings that were written in this run. Tests that share one record it once.
_WRITTEN = pytest.StashKey[set[Path]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the plugin."""
    modes = "; ".join(f"{mode}: {about}" for mode, about in _MODES.items())
    group = parser.getgroup("moondream")
    group.addoption(
        "--moondream-record",
        choices=list(_MODES),
        default="none",
        help=f"which exchanges with Moondream to record: {modes}",
    )
    about = "keep all tests from the network, whatever they use"
    group.addoption("--moondream-block-network", action="store_true", help=about)
    parser.addini("moondream_block_network", about, type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark of the plugin."""
    config.addinivalue_line(
        "markers", f"{MARK}(name): use the recordings of this name, which tests may share"
    )
    config.stash[_WRITTEN] = set()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Finish the recordings of a test inside its call, so that they can make it fail."""
    try:
        test = item.stash.get(_KEY, None)
        is_blocked = _blocks_network(item.config) if test is None else test.blocks_network
        with blocked_network() if is_blocked else nullcontext(()) as attempts:
            result = yield
        if attempts:
            _fail(
                "the test passed, but it reached for the network (block_network):", "\n", attempts
            )
        # Not the `test` from before: a test may ask for its fixtures itself, by getfixturevalue.
        if (test := item.stash.get(_KEY, None)) is not None:
            test.finish()
        return result
    finally:
        if _KEY in item.stash:
            del item.stash[_KEY]  # a plugin may run the test again


@pytest.fixture
def moondream_options() -> dict[str, Any]:
    """The options of `ReplayTransport` for the recordings of a test. Override it.

    They are `match`, `speed`, `fragmentation`, `seed`, `break_at` and `clock`. With
    `"block_network": True` the test is kept from the network, whatever it uses, and never recorded.
    """
    return {}


@pytest.fixture
def moondream_secrets() -> Collection[str]:
    """The texts to mask in recordings. Override it.

    The key in the headers of a request is always masked.
    """
    return ()


class RecordedTest:
    """What one test replays and records."""

    def __init__(
        self, item: pytest.Item, options: dict[str, Any], secrets: Collection[str]
    ) -> None:
        mode = item.config.getoption("--moondream-record")
        options = {"speed": None, "once": True, **options}
        self.blocks_network = options.pop("block_network", False) or _blocks_network(item.config)
        self.options = options
        self.secrets = secrets
        self.has_break = options.get("break_at") is not None
        self._is_shared = shared_name(item) is not None
        self._written = item.config.stash[_WRITTEN]
        self._folder = folder_of(item)
        self._stored = recordings_in(self._folder)
        is_renewed = mode == "all" and not self.blocks_network
        # With `all`, what was recorded earlier in this run is replayed, and the rest is replaced.
        self._old = [path for path in self._stored if is_renewed and path not in self._written]
        self.files = [path for path in self._stored if path not in self._old]
        self.records = not self.blocks_network and (
            mode in ("new", "all") or (mode == "once" and not self._stored)
        )
        self.recorded: list[Recording] = []
        self.failures: list[str] = []  # of the network, while an exchange was recorded whole
        self.transports: list[ReplayTransport | AsyncReplayTransport] = []

    @property
    def hint(self) -> str:
        """What to do where no recording answers a request."""
        if self.blocks_network:
            return "The test cannot be recorded while block_network is set."
        if not self._stored:
            return "To record the test: --moondream-record=once."
        place = "" if self._is_shared else ", in place of what the test does not use any more"
        return (
            "To record the test again: --moondream-record=all. To record only what is missing"
            f"{place}: --moondream-record=new."
        )

    def finish(self) -> None:
        """Fail a test that does not fit its recordings, and write the new ones."""
        misses = [str(miss) for transport in self.transports for miss in transport.misses]
        if misses and not self.records:
            misses.append(self.hint)
            _fail("the test passed, but some of its requests were not recorded:", "\n", misses)
        if self.failures:
            _fail(
                "the test passed, but some of its requests were not recorded, as they failed by"
                " themselves:",
                "\n",
                self.failures,
            )
        unused = [
            path
            for path in self.files
            if all(path in transport.unused for transport in self.transports)
        ]
        if self._is_shared or self.has_break:
            unused.clear()
        if unused and not self.recorded:
            _fail(
                "the test passed, but did not use these recordings; delete them, or record the"
                " test again (--moondream-record=all):",
                "\n  ",
                [str(path) for path in unused],
            )
        old = [path for path in self._old if not self._is_shared or self._is_answered_anew(path)]
        folder = RecordingFolder(self._folder)
        self._written.update(folder.replace([*old, *unused], self.recorded))

    def _is_answered_anew(self, path: Path) -> bool:
        """Return whether the test recorded another answer to the same request."""
        if not path.exists():  # another process replaced it meanwhile
            return False
        asked = Recording.decode(path.read_bytes()).header
        return bool(find_matches(asked, [recording.header for recording in self.recorded]).found)


_KEY = pytest.StashKey[RecordedTest]()


def recorded_test(request: pytest.FixtureRequest) -> RecordedTest:
    """Return the state of a test, which its sync and its async transport share."""
    item: pytest.Item = request.node
    if _KEY not in item.stash:
        item.stash[_KEY] = RecordedTest(
            item,
            request.getfixturevalue("moondream_options"),
            request.getfixturevalue("moondream_secrets"),
        )
    return item.stash[_KEY]


def _blocks_network(config: pytest.Config) -> bool:
    return bool(
        config.getoption("--moondream-block-network") or config.getini("moondream_block_network")
    )


def _fail(reason: str, separator: str, details: Collection[str]) -> None:
    pytest.fail(separator.join([reason, *details]), pytrace=False)
