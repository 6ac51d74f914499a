"""An exchange in the forms that people take away: curl, Python, a recording, HAR."""

from __future__ import annotations

from typing import TypedDict

from moondream_tools.trace import Trace
from sansio_moondream.recording import Recording

from ._curl import as_curl
from ._har import as_har
from ._outgoing import outgoing
from ._python import as_python


class TakeAway(TypedDict):
    """What the page offers. `left_out` has a sentence for each thing that is not recorded."""

    curl: str
    python: str
    recording: str
    har: str
    left_out: list[str]


def take_away(recording: Recording) -> TakeAway:
    """Return an exchange in all forms."""
    request = outgoing(recording)
    return {
        "curl": as_curl(request),
        "python": as_python(request),
        "recording": recording.encode().decode(),
        "har": as_har(recording, request, Trace.of(recording)),
        "left_out": list(request.left_out),
    }
