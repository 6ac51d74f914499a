"""What the page asks for, as JSON."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from moondream_tools._service import known_skill
from moondream_tools._show import duration
from moondream_tools.trace import Trace
from sansio_moondream import TRANSITIONS, State, __version__
from sansio_moondream._wire.error_answers import NO_REASON
from sansio_moondream.recording import EOF

from ._answers import Answer, Refused
from ._app import StreamCall, ValueCall, not_found
from ._ask import Asker
from ._break import broken, saved
from ._images import Pictures
from ._store import AnyEntry, Entry, Running, Store, Unreadable
from ._take_away import take_away


class Api:
    """The calls of the page.

    Args:
        store: the recordings.
        pictures: their pictures.
        asker: asks an endpoint, if there is one.

    Attributes:
        values, streams: as `App` takes them.
    """

    def __init__(self, store: Store, pictures: Pictures, asker: Asker | None = None) -> None:
        self._store = store
        self._pictures = pictures
        self.values: dict[tuple[str, str], ValueCall] = {
            ("GET", "recordings"): lambda _name, _asked: listing(store, pictures, asker),
            ("GET", "trace"): lambda name, _asked: trace_of(self._readable(name)),
            ("GET", "image"): lambda name, _asked: self._image(name),
            ("GET", "takeaway"): lambda name, _asked: take_away(self._entry(name).recording),
            ("POST", "break"): lambda name, asked: broken(self._entry(name), asked),
            ("POST", "save"): lambda name, asked: saved(self._entry(name), asked),
        }
        self.streams: dict[tuple[str, str], StreamCall] = {}
        if asker is not None:
            self.values |= {("POST", "ask"): asker.ask, ("POST", "cancel"): asker.cancel}
            self.streams["GET", "live"] = asker.follow

    def _entry(self, name: str) -> Entry:
        entry = self._readable(name)
        if isinstance(entry, Running):
            raise Refused(409, "the exchange is under way: wait for its end")
        return entry

    def _readable(self, name: str) -> Entry | Running:
        entry = self._store.get(name)
        if entry is None:
            raise not_found(name)
        if isinstance(entry, Unreadable):
            raise Refused(422, entry.message, line=entry.line)
        return entry

    def _image(self, name: str) -> Answer:
        shown = self._pictures.of(self._readable(name).header)
        if shown is None:
            raise Refused(404, "there is no picture of this recording: give it with --image")
        return Answer(shown.image.data, shown.image.media_type)


def listing(store: Store, pictures: Pictures, asker: Asker | None = None) -> dict[str, Any]:
    """Return what the page knows before it opens a recording: the list of them, and the machine."""
    return {
        "recordings": [_about(entry, pictures) for entry in store],
        "endpoint": None if asker is None else asker.about(),
        "machine": _machine(),
        "version": __version__,
    }


def trace_of(entry: Entry | Running) -> Trace:
    """Return the trace of a recording. That of one under way has only the request.

    An error answer that lost its body may have had a reason: then the error says so.
    """
    if isinstance(entry, Running):
        return Trace.begin(entry.header, entry.name)
    trace = Trace.of(entry.recording, entry.name)
    if trace.error is None or trace.body or entry.recording.ending.fault == EOF:
        return trace
    message = trace.error["message"].replace(NO_REASON, "(the recording holds no body)")
    return replace(trace, error={**trace.error, "message": message})


def _about(entry: AnyEntry, pictures: Pictures) -> dict[str, Any]:
    if isinstance(entry, Unreadable):
        return {"name": entry.name, "error": {"message": entry.message, "line": entry.line}}
    header = entry.header
    shown = pictures.of(header)
    about = {
        "name": entry.name,
        "method": header.method,
        "path": header.path,
        "skill": known_skill(header.path),
        "image": None if shown is None else "recorded" if shown.is_recorded else "other",
        "ending": None,
    }
    if isinstance(entry, Running):
        return about
    chunks = entry.recording.chunks
    return {
        **about,
        "status_code": header.status_code,
        "seconds": round(duration(entry.recording), 6),
        "chunks": len(chunks),
        "bytes": sum(len(chunk.data) for chunk in chunks),
        "ending": entry.recording.ending.fault,
    }


def _machine() -> dict[str, Any]:
    """Return the machine under a stream as data."""
    return {
        "states": [state.name for state in State],
        "transitions": [
            [state.name, trigger.name, target.name]
            for state, moves in TRANSITIONS.items()
            for trigger, target in moves.items()
        ],
    }
