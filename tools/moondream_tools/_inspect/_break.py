"""A recording that is broken on purpose: cut elsewhere, with damaged bytes, or ended early.

1. What was asked is data of the page (`Asked`). Offsets are those of the body as it was received: a
   compressed body is broken compressed.
2. Damage comes first, then the fault that ends the body, then the fragmentation. Offsets stay the
   same in all three. Of several faults that end the body, the first one does.
3. The replay's own `play` breaks and fragments. A chunk comes at the time of its last byte.
4. Silence lasts as long as the deadlines of the client: those of the recording, or the defaults.
"""

from __future__ import annotations

from contextlib import suppress
from math import inf
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from moondream_tools.trace import Trace
from moondream_transports import Timeouts
from moondream_transports.replay import AnyFragmentation, BreakAt, Fragmentation, play
from sansio_moondream import ConnectionLost, MoondreamError
from sansio_moondream.recording import Chunk, Ending, Recording

from ._answers import Refused
from ._plain import plain_outcomes
from ._save import as_test, file_name, redacted
from ._store import Entry

MAX_CHUNKS = 200_000
"""How many chunks a broken recording may have."""
_MAX_NAMED = 3  # faults in the name of a file

Offset: TypeAlias = Annotated[int, Meta(ge=0)]


class Fault(Struct, frozen=True, forbid_unknown_fields=True):
    """A fault at a byte.

    Attributes:
        kind: `close` and `reset` end the connection, `silence` leaves it open, `damage` changes
            the byte.
        at: how many bytes of the body come before it.
        value: what the damaged byte becomes. By default no character of UTF-8 has this byte.
    """

    kind: Literal["close", "reset", "silence", "damage"]
    at: Offset
    value: Annotated[int, Meta(ge=0, le=255)] = 0xFF


class Asked(Struct, frozen=True, forbid_unknown_fields=True):
    """How to break a recording.

    Attributes:
        fragmentation: the size of the chunks in bytes, the offsets where they are cut, or None for
            the recorded chunks. No offset (`[]`) is one chunk.
        faults: in any order.
    """

    fragmentation: Annotated[int, Meta(ge=1)] | list[Offset] | None = None
    faults: list[Fault] = []

    def check(self, size: int) -> None:
        """Raise ValueError if a body of so many bytes cannot be broken so."""
        for fault in self.faults:
            if fault.at >= size + (fault.kind != "damage"):
                raise ValueError(
                    f"a fault should be in the body of {size:,} bytes, not at byte {fault.at:,}"
                )
        if isinstance(self.fragmentation, int) and size > MAX_CHUNKS * self.fragmentation:
            raise ValueError(
                f"a body of {size:,} bytes cannot be shown in chunks of {self.fragmentation:,}: "
                f"{MAX_CHUNKS:,} chunks are the most, so ask for larger ones"
            )

    @property
    def last_fault(self) -> Fault | None:
        """The fault that ends the body, or None."""
        ends = (fault for fault in self.faults if fault.kind != "damage")
        return min(ends, key=lambda fault: fault.at, default=None)

    @property
    def damage(self) -> dict[int, int]:
        """The damaged bytes, by their offsets."""
        return {fault.at: fault.value for fault in self.faults if fault.kind == "damage"}

    @property
    def summary(self) -> str:
        """What is done, in a few words."""
        match self.fragmentation:
            case None:
                words: list[str] = []
            case 1:
                words = ["byte by byte"]
            case int(size):
                words = [f"in chunks of {size}"]
            case []:
                words = ["whole"]
            case offsets:
                words = ["cut at", *map(str, offsets[:_MAX_NAMED])]
        for fault in self.faults[:_MAX_NAMED]:
            words += [fault.kind, "at", str(fault.at)]
        return " ".join(words) or "as recorded"


class SaveAsked(Asked, frozen=True, forbid_unknown_fields=True, rename={"as_": "as"}):
    """How to break a recording, and save it.

    Attributes:
        as_: the kind of file.
    """

    as_: Literal["recording", "test"] = "recording"


T = TypeVar("T", bound=Asked)


def broken(entry: Entry, asked: Any) -> dict[str, Any]:
    """Return what becomes of a broken recording, as JSON.

    Args:
        entry: a recording.
        asked: JSON of an `Asked`.

    Returns:
        `trace`, by our decoder, and `plain`, a list of what the loops of other clients make of the
        same chunks: see `plain_outcomes`.

    Raises:
        Refused: the recording cannot be broken so.
    """
    asked = _parsed(Asked, asked, entry.recording)
    trace = Trace.of(break_recording(entry.recording, asked), entry.name)
    return {"trace": trace.to_dict(), "plain": plain_outcomes(trace)}


def saved(entry: Entry, asked: Any) -> dict[str, str]:
    """Return the `name` and the `text` of a file with the broken recording.

    Args:
        entry: a recording.
        asked: JSON of a `SaveAsked`.

    Raises:
        Refused: the recording cannot be broken or saved so.
    """
    asked = _parsed(SaveAsked, asked, entry.recording)
    try:
        recording = redacted(break_recording(entry.recording, asked))
        if asked.as_ == "recording":
            text = recording.encode().decode()
            return {"name": file_name(entry.name, asked.summary, ".jsonl"), "text": text}
        text = as_test(entry.name, recording, asked.summary)
        return {"name": f"test_{file_name(entry.name, asked.summary, '.py')}", "text": text}
    except ValueError as error:
        raise Refused(422, str(error)) from None


def _parsed(kind: type[T], asked: Any, recording: Recording) -> T:
    """Read what the page asks for. Raises Refused if the recording cannot be broken so."""
    try:
        parsed = msgspec.convert(asked, kind)
        parsed.check(sum(len(chunk.data) for chunk in recording.chunks))
    except ValueError as error:
        raise Refused(400, str(error)) from None
    return parsed


def break_recording(recording: Recording, asked: Asked) -> Recording:
    """Return the recording of the same exchange with the faults in it."""
    fault = asked.last_fault
    damaged = _damaged(recording, asked.damage)
    if fault is None:
        return replace(damaged, chunks=_played(damaged, asked.fragmentation, None))
    break_at = BreakAt(ConnectionLost(), after_bytes=fault.at)
    made = replace(damaged, chunks=_played(damaged, asked.fragmentation, break_at))
    if fault.kind != "silence":
        message = f"the connection was {'reset' if fault.kind == 'reset' else 'closed'}"
        return replace(made, ending=Ending(0.0, "ConnectionLost", message))
    silent = replace(made, ending=Ending(0.0, "TimeoutError"))
    return replace(silent, ending=Ending(_silence_seconds(silent), "TimeoutError"))


def _damaged(recording: Recording, damage: dict[int, int]) -> Recording:
    if not damage:
        return recording
    chunks: list[Chunk] = []
    start = 0
    for chunk in recording.chunks:
        data = bytearray(chunk.data)
        for at in damage.keys() & range(start, start + len(data)):
            data[at - start] = damage[at]
        chunks.append(Chunk(chunk.seconds, bytes(data)))
        start += len(data)
    return replace(recording, chunks=tuple(chunks))


def _played(
    recording: Recording, fragmentation: AnyFragmentation | None, break_at: BreakAt | None
) -> tuple[Chunk, ...]:
    """Return the chunks that a client reads, with the seconds since the line before."""
    if fragmentation is None:
        fragmentation = Fragmentation.AS_RECORDED
    # The bytes that are left for the last chunk have come before the end.
    at_once = replace(recording, ending=replace(recording.ending, seconds=0.0))
    player = play(at_once, fragmentation=fragmentation, break_at=break_at)
    chunks: list[Chunk] = []
    with suppress(MoondreamError):  # the error that the body ends with
        player.wait(inf)
        player.head()
        while True:
            seconds = player.wait(inf)
            if not (data := player.read()):
                break
            chunks.append(Chunk(seconds, data))
    return tuple(chunks)


def _silence_seconds(recording: Recording) -> float:
    """Return how long a client waits in the silence at the end of a recording.

    Until the first event it is another deadline, which begins with the connection.
    """
    trace = Trace.of(recording)
    timeouts = trace.deadlines or Timeouts()
    now = trace.chunks[-1].at if trace.chunks else trace.times.head or 0.0
    waits = timeouts.idle
    if trace.times.first_event is None and timeouts.first_event is not None:
        waits = (trace.times.connected or 0.0) + timeouts.first_event - now
    left = inf if timeouts.total is None else timeouts.total - now
    return max(0.0, min(inf if waits is None else waits, left, 1e9))
