"""A pytest fixture that feeds your own client every cutting of a recording; `pytest_plugin` has it for you.

1. A cutting has the recording's head, its bytes and its ending. Only the pieces differ.
2. A test that fails names the cutting that it took last, in a note on what it raised.
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

from sansio_moondream.recording import Match, Piece, Recording
from sansio_moondream.testing import every_cutting

from ._cutting_server import Cut, CuttingServer
from ._replay import AsyncReplayTransport, ReplayTransport

_SHOWN = 40


class CutRecording:
    """A recording whose body comes in other pieces.

    Attributes:
        name: `"whole"`, `"cut at 17"` (after 17 bytes), or `"byte by byte"`.
        pieces: the body in these pieces, none of them empty.
        recording: as it would have been recorded, had it come so.
    """

    def __init__(self, name: str, pieces: list[bytes], recording: Recording, server: CuttingServer) -> None:
        self.name = name
        self.pieces = pieces
        self.recording = replace(recording, pieces=tuple(Piece(0, piece) for piece in pieces))
        self._recorded = recording
        self._server = server

    def transport(self) -> ReplayTransport:
        """For code that takes a `Client` or a `Transport`: answers at once, in these pieces."""
        return ReplayTransport([self.recording], speed=None, match=Match.SKILL)

    def async_transport(self) -> AsyncReplayTransport:
        """For code that takes an `AsyncClient` or an `AsyncTransport`: answers at once, in these pieces."""
        return AsyncReplayTransport([self.recording], speed=None, match=Match.SKILL)

    def url(self, cut: Cut = "both") -> str:
        """For any other client: an address on this machine that answers so, at every path below it, until the test ends.

        Each piece is an HTTP chunk and a TCP segment of its own. With `"chunks"` all chunks come in one segment; with `"segments"`
        the chunks stay those of the recording, and only the segments end where the pieces do. A recording that ended in a fault
        breaks off.
        """
        return self._server.url(self._recorded, self.pieces, cut)

    def __repr__(self) -> str:
        around = ""
        if len(self.pieces) == 2:
            before, after = self.pieces
            around = f", between {before[-_SHOWN:]!r} and {after[:_SHOWN]!r}"
        return f"<CutRecording {self.name}{around}>"


class Cuttings:
    """Gives the cuttings of a recording; see `moondream_cuttings`."""

    def __init__(self, server: CuttingServer) -> None:
        self._server = server
        self.taken: CutRecording | None = None

    def __call__(self, recording: Recording | str | PathLike[str], most: int | None = 250) -> Iterator[CutRecording]:
        """Whole, cut in two, and byte by byte, one after the other; `recording` is one, or the path of its file.

        Of a long body no more than `most` offsets are cut at: at line ends, inside characters, and evenly between. None is for all.
        Raises RecordingError for a file that is no recording, and OSError for one that cannot be read.
        """
        whole = recording if isinstance(recording, Recording) else Recording.decode(Path(recording).read_bytes())
        return self._cut(whole, most)

    def _cut(self, recording: Recording, most: int | None) -> Iterator[CutRecording]:
        body = b"".join(piece.data for piece in recording.pieces)
        for name, pieces in every_cutting(body, most):
            if all(pieces) or name == "whole":  # an empty piece is the end of a body to many a client
                self.taken = CutRecording(name, [piece for piece in pieces if piece], recording, self._server)
                yield self.taken
        self.taken = None


class _Notes:
    """Says on what failed the test which cutting it was."""

    def __init__(self, item: pytest.Item, cuttings: Cuttings) -> None:
        self._item = item
        self._cuttings = cuttings

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[Any]) -> Generator[None, Any, Any]:
        taken = self._cuttings.taken
        if item is self._item and call.when == "call" and call.excinfo is not None and taken is not None:
            call.excinfo.value.add_note(f"moondream_cuttings: it was {taken!r}")
        return (yield)


@pytest.fixture
def moondream_cuttings(request: pytest.FixtureRequest) -> Iterator[Cuttings]:
    """Every cutting of a recording, for your own client: `for cutting in moondream_cuttings("query.jsonl")`.

    Give your code its `pieces`, its `transport()` or `async_transport()`, or its `url()`, and compare what comes out: it must be the
    same for all. What the test raises names the cutting.
    """
    server = CuttingServer()
    cuttings = Cuttings(server)
    notes = _Notes(request.node, cuttings)
    request.config.pluginmanager.register(notes)
    yield cuttings
    request.config.pluginmanager.unregister(notes)
    server.close()
