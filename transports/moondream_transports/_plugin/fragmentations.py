"""A pytest fixture that feeds your own client every fragmentation of a recording.

1. A fragmentation has the head, the bytes and the ending of the recording. Only the chunks differ.
2. The error of a failing test gets a note that names the current fragmentation.
3. The addresses answer until the test ends.

PYTEST_DONT_REWRITE: nothing here asserts, and pytest warns about a plugin that is already imported.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from moondream_transports.replay import AsyncReplayTransport, ReplayTransport
from sansio_moondream.recording import Chunk, Match, Recording, RecordingReader, encode_line
from sansio_moondream.testing import every_fragmentation

from .segments import Border, segments_of

if TYPE_CHECKING:
    from .addresses import Addresses

_SHOWN_BYTES = 40


class FragmentedRecording:
    """A recording whose body arrives in other chunks.

    Attributes:
        name: `"whole"`, `"split at 17"` (after 17 bytes), or `"byte by byte"`.
        chunks: of the body. None of them is empty.
        recording: the recording with these chunks.
    """

    def __init__(
        self, name: str, chunks: list[bytes], recording: Recording, addresses: Addresses
    ) -> None:
        self.name = name
        self.chunks = chunks
        self.recording = replace(recording, chunks=tuple(Chunk(0, chunk) for chunk in chunks))
        self._recorded = recording
        self._addresses = addresses

    def transport(self) -> ReplayTransport:
        """Return a transport that answers at once in these chunks."""
        return ReplayTransport([self.recording], speed=None, match=Match.SKILL)

    def async_transport(self) -> AsyncReplayTransport:
        """Return an async transport that answers at once in these chunks."""
        return AsyncReplayTransport([self.recording], speed=None, match=Match.SKILL)

    def url(self, border: Border = "both") -> str:
        """Return an address on this machine that answers in these chunks, at every path below it.

        Use it for a client that takes no transport of this package. It answers until the test ends.
        A recording that ended in an error breaks off.

        Args:
            border: `"both"` sends each chunk as one HTTP chunk in one TCP segment. `"chunks"` sends
                all HTTP chunks in one segment. `"segments"` sends the recorded HTTP chunks, in
                segments that end where the chunks of this fragmentation end.

        Raises RecordingError for a recording that could not be read from a file, such as one with
        a line end in a header field.
        """
        RecordingReader().receive_line(encode_line(self._recorded.header))
        return self._addresses.add(segments_of(self._recorded, self.chunks, border))

    def __repr__(self) -> str:
        around = ""
        if len(self.chunks) == 2:
            before, after = self.chunks
            around = f", between {before[-_SHOWN_BYTES:]!r} and {after[:_SHOWN_BYTES]!r}"
        return f"<FragmentedRecording {self.name}{around}>"


class Fragmentations:
    """Make the fragmentations of a recording. `moondream_fragmentations` makes it.

    Attributes:
        current: the fragmentation that the test has now, or None.
    """

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses
        self.current: FragmentedRecording | None = None

    def __call__(
        self, recording: Recording | str | PathLike[str], most: int | None = 250
    ) -> Iterator[FragmentedRecording]:
        """Iterate over the fragmentations: whole, split in two, and byte by byte.

        Args:
            recording: a `Recording`, or the path of its file.
            most: how many offsets to split a long body at. They are line ends, places inside
                characters, and evenly spaced ones. None is all offsets.

        Raises RecordingError for a file that is not a recording, and OSError.
        """
        whole = (
            recording
            if isinstance(recording, Recording)
            else Recording.decode(Path(recording).read_bytes())
        )
        return self._fragment(whole, most)

    def _fragment(self, recording: Recording, most: int | None) -> Iterator[FragmentedRecording]:
        body = b"".join(chunk.data for chunk in recording.chunks)
        for name, chunks in every_fragmentation(body, most):
            # To many clients an empty chunk is the end of the body.
            if all(chunks) or name == "whole":
                filled = [chunk for chunk in chunks if chunk]
                self.current = FragmentedRecording(name, filled, recording, self._addresses)
                yield self.current
        self.current = None


class _Notes:
    """Add the current fragmentation to the error of a test."""

    def __init__(self, item: pytest.Item, fragmentations: Fragmentations) -> None:
        self._item = item
        self._fragmentations = fragmentations

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[Any]
    ) -> Generator[None, Any, Any]:
        current = self._fragmentations.current
        if item is self._item and call.when == "call" and call.excinfo and current is not None:
            call.excinfo.value.add_note(f"moondream_fragmentations: it was {current!r}")
        return (yield)


@pytest.fixture
def moondream_fragmentations(request: pytest.FixtureRequest) -> Iterator[Fragmentations]:
    """Every fragmentation of a recording, for a test of your own client.

    Iterate over `moondream_fragmentations("query.jsonl")`. Give your code the `chunks`, the
    `transport()`, the `async_transport()` or the `url()` of each fragmentation. The results must be
    the same for all. An error of the test names the fragmentation.
    """
    from .addresses import Addresses  # it imports the conformance suite, which takes a while

    addresses = Addresses()
    fragmentations = Fragmentations(addresses)
    notes = _Notes(request.node, fragmentations)
    request.config.pluginmanager.register(notes)
    yield fragmentations
    request.config.pluginmanager.unregister(notes)
    addresses.close()
