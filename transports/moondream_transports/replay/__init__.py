"""Replay recordings: stores, players, and other fragmentations of a recorded body."""

from sansio_moondream.recording import Match
from sansio_moondream.testing import BreakAt

from ._async.transport import AsyncReplayStream, AsyncReplayTransport
from ._fragmentation import AnyFragmentation, Fragmentation
from ._player import Player
from ._store import NoRecording, Source, Store, play
from ._sync.transport import ReplayStream, ReplayTransport

__all__ = [
    "AnyFragmentation",
    "AsyncReplayStream",
    "AsyncReplayTransport",
    "BreakAt",
    "Fragmentation",
    "Match",
    "NoRecording",
    "Player",
    "ReplayStream",
    "ReplayTransport",
    "Source",
    "Store",
    "play",
]
