"""A pytest fixture that feeds your own client every fragmentation of a recording; `pytest_plugin`
has it for you.

1. A fragmentation has the recording's head, its bytes and its ending. Only the chunks differ.
2. A test that fails names the fragmentation that it took last, in a note on what it raised.
3. Addresses answer until the test ends.

PYTEST_DONT_REWRITE: nothing here asserts, and pytest would warn where this was imported before it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from os import PathLike
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from sansio_moondream.recording import Chunk, Match, Recording
from sansio_moondream.testing import every_fragmentation

from ._fragmentation_server import Cut, FragmentationServer
from ._replay import AsyncReplayTransport, ReplayTransport

_SHOWN = 40


class FragmentedRecording:
    """A recording whose body comes in other chunks.

    Attributes:
        name: `"whole"`, `"split at 17"` (after 17 bytes), or `"byte by byte"`.
        chunks: the body in these chunks, none of them empty.
        recording: as it would have been recorded, had it come so.
    """

    def __init__(
        self, name: str, chunks: list[bytes], recording: Recording, server: FragmentationServer
    ) -> None:
        self.name = name
        self.chunks = chunks
        self.recording = replace(recording, chunks=tuple(Chunk(0, chunk) for chunk in chunks))
        self._recorded = recording
        self._server = server

    def transport(self) -> ReplayTransport:
        """For code that takes a `Client` or a `Transport`: answers at once, in these chunks."""
        return ReplayTransport([self.recording], speed=None, match=Match.SKILL)

    def async_transport(self) -> AsyncReplayTransport:
        """For code that takes an `AsyncClient` or an `AsyncTransport`: answers at once, in these
        chunks.
        """
        return AsyncReplayTransport([self.recording], speed=None, match=Match.SKILL)

    def url(self, cut: Cut = "both") -> str:
        """For any other client: an address on this machine that answers so, at every path below it,
        until the test ends.

        Each chunk is an HTTP chunk and a TCP segment of its own. With `"chunks"` all chunks come in
        one segment; with `"segments"` the chunks stay those of the recording, and only the segments
        end where the chunks do. A recording that ended in a fault breaks off."""
        return self._server.url(self._recorded, self.chunks, cut)

    def __repr__(self) -> str:
        around = ""
        if len(self.chunks) == 2:
            before, after = self.chunks
            around = f", between {before[-_SHOWN:]!r} and {after[:_SHOWN]!r}"
        return f"<FragmentedRecording {self.name}{around}>"


class Fragmentations:
    """Gives the fragmentations of a recording; see `moondream_fragmentations`."""

    def __init__(self, server: FragmentationServer) -> None:
        self._server = server
        self.taken: FragmentedRecording | None = None

    def __call__(
        self, recording: Recording | str | PathLike[str], most: int | None = 250
    ) -> Iterator[FragmentedRecording]:
        """Whole, cut in two, and byte by byte, one after the other; `recording` is one, or the path
        of its file.

        Of a long body no more than `most` offsets are cut at: at line ends, inside characters, and
        evenly between. None is for all. Raises RecordingError for a file that is no recording, and
        OSError for one that cannot be read."""
        whole = (
            recording
            if isinstance(recording, Recording)
            else Recording.decode(Path(recording).read_bytes())
        )
        return self._cut(whole, most)

    def _cut(self, recording: Recording, most: int | None) -> Iterator[FragmentedRecording]:
        body = b"".join(chunk.data for chunk in recording.chunks)
        for name, chunks in every_fragmentation(body, most):
            if (
                all(chunks) or name == "whole"
            ):  # an empty chunk is the end of a body to many a client
                self.taken = FragmentedRecording(
                    name, [chunk for chunk in chunks if chunk], recording, self._server
                )
                yield self.taken
        self.taken = None


class _Notes:
    """Says on what failed the test which fragmentation it was."""

    def __init__(self, item: pytest.Item, fragmentations: Fragmentations) -> None:
        self._item = item
        self._fragmentations = fragmentations

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[Any]
    ) -> Generator[None, Any, Any]:
        taken = self._fragmentations.taken
        if (
            item is self._item
            and call.when == "call"
            and call.excinfo is not None
            and taken is not None
        ):
            call.excinfo.value.add_note(f"moondream_fragmentations: it was {taken!r}")
        return (yield)


@pytest.fixture
def moondream_fragmentations(request: pytest.FixtureRequest) -> Iterator[Fragmentations]:
    """Every fragmentation of a recording, for your own client: `for fragmentation in
    moondream_fragmentations("query.jsonl")`.

    Give your code its `chunks`, its `transport()` or `async_transport()`, or its `url()`, and
    compare what comes out: it must be the same for all. What the test raises names the
    fragmentation."""
    server = FragmentationServer()
    fragmentations = Fragmentations(server)
    notes = _Notes(request.node, fragmentations)
    request.config.pluginmanager.register(notes)
    yield fragmentations
    request.config.pluginmanager.unregister(notes)
    server.close()
