"""The recording format: one exchange a file, as JSON lines, made to be read in a diff.

    {"recording": 1, "request": {"method", "path", "headers", "body"}, "response": {"seconds",
    "status_code", "headers"}} [0.052, "t", "data: {\"chunk\": \" moon\"}\n\n"] [0.01, "b", "gIE="]
    [0.001, "x", "eof"]

1. The first line is the `RecordingHeader`. Each further line begins with the seconds since the line
   before; the response's own seconds count from when the request was sent, and the next line's from
   when its head came. Where no head came, "response" is null, and the ending follows at once.
2. A `Chunk` is what the transport handed over at once: as text ("t") where it is UTF-8, else as
   base64 ("b").
3. The `Ending` is "eof", where the body ended as HTTP says it should, or the name of the error that
   ended it, with its message: `[4.0, "x", "ConnectionLost", "peer reset"]`. "TimeoutError",
   Python's own, is silence for that long, until the caller gave up. "left" is where the caller left
   before the end; what would have come, nobody knows, so it replays as ConnectionLost that says so.
   Nothing follows the ending, and no recording is without.
4. Lines are UTF-8 and end in LF (a CR before it is read over). Control characters, line separators
   and marks that turn text around are escaped, so that a recording cannot dress up as another in an
   editor.
5. No key, cookie, organisation id or picture is in it: see `RecordingHeader.of`, `mask_chunks` and
   `mask_text`.

Nothing here reads or writes files. `Recording` is for a whole one; `encode_line` and
`RecordingReader` are for one line after the other, and hold nothing. `Recorder` makes one of an
exchange while it happens, and `find_matches` says which answers a request."""

from ._lines import FORMAT_VERSION, MAX_LINE_BYTES, Recording, RecordingReader, encode_line
from ._matching import Match, Matches, find_matches
from ._recorder import Recorder
from ._redaction import mask_chunks, mask_text
from ._values import EOF, LEFT, Chunk, Ending, Line, RecordingError, RecordingHeader, ending_error

__all__ = [
    "EOF",
    "FORMAT_VERSION",
    "LEFT",
    "MAX_LINE_BYTES",
    "Chunk",
    "Ending",
    "Line",
    "Match",
    "Matches",
    "Recorder",
    "Recording",
    "RecordingError",
    "RecordingHeader",
    "RecordingReader",
    "encode_line",
    "ending_error",
    "find_matches",
    "mask_chunks",
    "mask_text",
]
