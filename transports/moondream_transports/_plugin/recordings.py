"""Recordings beside the tests that replay them.

1. Each test has its own folder, named after it: `recordings/test_file/test_name/` beside the file.
   So tests may run in any order, and in several processes.
2. Without `--moondream-record` nothing is recorded, and the network is never reached.
3. Recordings are written after the test has passed, each file atomically. A test that failed
   changes nothing.
4. A test that passes fails all the same if no recording matched a request, even if the error was
   caught, or if a recording was not used. Each recording is played once.
5. No event loop runs here: an async transport is made outside of any, and works in the loop of the
   test.

PYTEST_DONT_REWRITE: nothing here asserts, and pytest warns about a plugin that is already imported.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Generator
from pathlib import Path
from typing import Any

import pytest

from moondream_transports.recording._files import recordings_in, safe_name
from moondream_transports.recording._folder import RecordingFolder
from moondream_transports.replay import AsyncReplayTransport, ReplayTransport
from sansio_moondream.recording import Recording

HINT = (
    "To record the test again: --moondream-record=all; to add to its recordings:"
    " --moondream-record=new."
)
_MODES = {
    "none": "replay, and never reach the network",
    "once": "record a test that has no recordings yet",
    "new": "record the requests that no recording answers",
    "all": "record everything again",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of the plugin."""
    modes = "; ".join(f"{mode}: {about}" for mode, about in _MODES.items())
    parser.getgroup("moondream").addoption(
        "--moondream-record",
        choices=list(_MODES),
        default="none",
        help=f"which exchanges with Moondream to record: {modes}",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Finish the recordings of a test inside its call, so that they can make it fail."""
    try:
        result = yield
        if (test := item.stash.get(_KEY, None)) is not None:
            test.finish()
        return result
    finally:
        if _KEY in item.stash:
            del item.stash[_KEY]  # a plugin may run the test again


@pytest.fixture
def moondream_options() -> dict[str, Any]:
    """The options of `ReplayTransport` for the recordings of a test. Override it.

    They are `match`, `speed`, `fragmentation`, `seed` and `break_at`.
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
        self.folder = _folder_of(item)
        self.files = recordings_in(self.folder)
        self.options: dict[str, Any] = {"speed": None, "once": True, **options}
        self.secrets = secrets
        self.replays = mode in ("none", "new") or (mode == "once" and bool(self.files))
        self.records = mode in ("new", "all") or not self.replays
        self.recorded: list[Recording] = []
        self.transports: list[ReplayTransport | AsyncReplayTransport] = []

    def finish(self) -> None:
        """Fail a test that does not fit its recordings, and write the new ones."""
        misses = [str(miss) for transport in self.transports for miss in transport.misses]
        if misses and not self.records:
            _fail("the test passed, but some of its requests were not recorded:", "\n", misses)
        unused = [
            str(path)
            for path in self.files
            if self.transports and all(path in transport.unused for transport in self.transports)
        ]
        if unused:
            _fail("the test passed, but did not use these recordings; delete them:", "\n  ", unused)
        if not self.replays:
            for path in self.files:
                path.unlink()
        save = RecordingFolder(self.folder)
        for recording in self.recorded:
            save(recording)


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


def _fail(reason: str, separator: str, details: list[str]) -> None:
    pytest.fail(separator.join([reason, *details]), pytrace=False)


def _folder_of(item: pytest.Item) -> Path:
    """Return the folder of a test, beside its file.

    A name that is not valid as a file's name gets a digest, so that no two tests share a folder.
    """
    nodes = [node for node in item.listchain() if isinstance(node, pytest.Class | pytest.Item)]
    name = "::".join(node.name for node in nodes)  # xdist adds to `nodeid`
    folder = ".".join(map(safe_name, name.split("::")))
    if folder != name.replace("::", "."):
        folder += "-" + hashlib.sha256(name.encode()).hexdigest()[:8]
    return item.path.parent / "recordings" / safe_name(item.path.stem) / folder
