"""Recordings beside the tests that replay them.

1. Each test has a folder of its own, named after it: `recordings/test_file/test_name/` beside the
   file. So tests may run in any order and in several processes.
2. What may be recorded is for `--moondream-record` to say; without it nothing is, and the network
   is never reached.
3. Recordings are written when the test has passed, one whole file after the other. One that failed
   changes nothing.
4. A test that passes is failed all the same where a request matched no recording, whatever became
   of the error, and where a recording was not used: each is played once.
5. There is no event loop here: an async transport is made outside of any, and works in whichever
the test runs in."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Generator
from pathlib import Path
from typing import Any

import pytest

from sansio_moondream import HTTPRequest
from sansio_moondream.recording import Recording

from ._recording import AsyncRecordingTransport, RecordingTransport
from ._recording_files import RecordingFolder, recordings_in, safe_name
from ._replay import AsyncReplayTransport, ReplayTransport
from ._store import NoRecording
from ._transport import AsyncByteStream, AsyncTransport, ByteStream, Timeouts, Transport
from ._urllib import UrllibTransport

_MODES = {
    "none": "replay, and never reach the network",
    "once": "record a test that has no recordings yet",
    "new": "record what no recording answers",
    "all": "record everything anew",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Pytest asks for the options."""
    parser.getgroup("moondream").addoption(
        "--moondream-record",
        choices=list(_MODES),
        default="none",
        help="what of the exchanges with Moondream to record: "
        + "; ".join(f"{mode}: {what}" for mode, what in _MODES.items()),
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Pytest runs a test; what follows its end belongs to it, so that it can fail."""
    try:
        result = yield
        if (tape := item.stash.get(_TAPE, None)) is not None:
            tape.finish()
        return result
    finally:
        if _TAPE in item.stash:
            del item.stash[_TAPE]  # a plugin may run the test again


@pytest.fixture
def moondream_options() -> dict[str, Any]:
    """How recordings are replayed: the options `match`, `speed`, `cut`, `seed` and `fault` of
    `ReplayTransport`. Override it.
    """
    return {}


@pytest.fixture
def moondream_secrets() -> Collection[str]:
    """What to mask in recordings, beside the key in a request's headers, which is masked without
    saying. Override it.
    """
    return ()


@pytest.fixture
def moondream_network() -> Transport:
    """What `moondream_transport` records: a transport that reaches the network. Override it for one
    of your own.
    """
    return UrllibTransport(max_idle=0)  # nobody here could close connections that are kept


@pytest.fixture
def moondream_async_network() -> AsyncTransport:
    """What `moondream_async_transport` records: a transport that reaches the network. Override it
    for one of your own.
    """
    from ._anyio import AnyioTransport  # an extra

    return AnyioTransport(max_idle=0)  # as above


@pytest.fixture
def moondream_transport(request: pytest.FixtureRequest) -> Transport:
    """A transport for a `Client`, that replays the recordings beside the test, and records where
    `--moondream-record` lets it.
    """
    tape = _tape_of(request)
    recording = (
        RecordingTransport(
            request.getfixturevalue("moondream_network"), tape.saved.append, tape.secrets
        )
        if tape.records
        else None
    )
    if recording is not None and not tape.replays:
        return recording
    replay = ReplayTransport(tape.files, **tape.options)
    tape.replayed.append(replay)
    return _ReplayOrElse(replay, recording)


@pytest.fixture
def moondream_async_transport(request: pytest.FixtureRequest) -> AsyncTransport:
    """As `moondream_transport`, for an `AsyncClient`."""
    tape = _tape_of(request)
    recording = None
    if tape.records:
        recording = AsyncRecordingTransport(
            request.getfixturevalue("moondream_async_network"), tape.saved.append, tape.secrets
        )
        if not tape.replays:
            return recording
    replay = AsyncReplayTransport(tape.files, **tape.options)
    tape.replayed.append(replay)
    return _AsyncReplayOrElse(replay, recording)


class _Tape:
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
        self.saved: list[Recording] = []
        self.replayed: list[ReplayTransport | AsyncReplayTransport] = []

    def finish(self) -> None:
        """The test has passed, so far."""
        if (
            self.replays
            and not self.records
            and (misses := [miss for replay in self.replayed for miss in replay.misses])
        ):
            pytest.fail(
                "\n".join(
                    ["the test passed, but asked for what was not recorded:", *map(str, misses)]
                ),
                pytrace=False,
            )
        unused = [
            str(path)
            for path in self.files
            if self.replayed and all(path in replay.unused for replay in self.replayed)
        ]
        if unused:
            pytest.fail(
                "\n  ".join(
                    ["the test passed, but did not use these recordings; delete them:", *unused]
                ),
                pytrace=False,
            )
        if not self.replays:
            for path in self.files:
                path.unlink()
        save = RecordingFolder(self.folder)
        for recording in self.saved:
            save(recording)


_TAPE = pytest.StashKey[_Tape]()
_HINT = "To record the test anew: --moondream-record=all; to add to what it has: --moondream-record=new."


class _ReplayOrElse:
    def __init__(self, replay: ReplayTransport, other: Transport | None) -> None:
        self.clock = replay.clock
        self._replay = replay
        self._other = other

    def send(self, request: HTTPRequest, timeouts: Timeouts) -> ByteStream:
        try:
            return self._replay.send(request, timeouts)
        except NoRecording as miss:
            if self._other is None:
                miss.add_note(_HINT)
                raise
        return self._other.send(request, timeouts)


class _AsyncReplayOrElse:
    def __init__(self, replay: AsyncReplayTransport, other: AsyncTransport | None) -> None:
        self.clock = replay.clock
        self._replay = replay
        self._other = other

    async def send(self, request: HTTPRequest, timeouts: Timeouts) -> AsyncByteStream:
        try:
            return await self._replay.send(request, timeouts)
        except NoRecording as miss:
            if self._other is None:
                miss.add_note(_HINT)
                raise
        return await self._other.send(request, timeouts)


def _tape_of(request: pytest.FixtureRequest) -> _Tape:
    """One for both transports of a test."""
    item: pytest.Item = request.node
    if _TAPE not in item.stash:
        item.stash[_TAPE] = _Tape(
            item,
            request.getfixturevalue("moondream_options"),
            request.getfixturevalue("moondream_secrets"),
        )
    return item.stash[_TAPE]


def _folder_of(item: pytest.Item) -> Path:
    """Beside the test's file.

    A name that had to be changed to be one gets a digest, so that no two tests share a folder.
    """
    name = "::".join(
        node.name for node in item.listchain() if isinstance(node, pytest.Class | pytest.Item)
    )  # xdist adds to `nodeid`
    folder = ".".join(map(safe_name, name.split("::")))
    if folder != name.replace("::", "."):
        folder += "-" + hashlib.sha256(name.encode()).hexdigest()[:8]
    return item.path.parent / "recordings" / safe_name(item.path.stem) / folder
