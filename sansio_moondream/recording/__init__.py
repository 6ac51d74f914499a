r"""The recording format: one exchange per file, as JSON lines that read well in a diff.

    {"recording": 1, "request": {"method", "path", "headers", "body"},
     "response": {"seconds", "status_code", "headers"}}
    [0.052, "t", "data: {\"chunk\": \" moon\"}\n\n"]
    [0.01, "b", "gIE="]
    [0.001, "x", "eof"]

1. The first line (one line in the file) is the `RecordingHeader`. The response's seconds count from
   the request. Each further line begins with the seconds since the line before. If no head came,
   "response" is null and the ending follows. Where they are known, the header also has "connected",
   the seconds from the request to the connection, and the client's "timeouts": "connect",
   "first_event", "idle" and "total" in seconds, or null for no limit. Releases that do not know a
   field of the header ignore it, so these two need no new version.
2. A `Chunk` has the bytes that the transport returned at once: as text ("t") if they are UTF-8,
   else as base64 ("b").
3. The `Ending` is the last line of every recording. It is "eof" for the proper end of the body, or
   the name of the error with its message: `[4.0, "x", "ConnectionLost", "peer reset"]`. The builtin
   "TimeoutError" is silence until the caller's deadline. "left" means that the caller closed the
   exchange early. "omitted" means that the body is longer than the recorder's limit, and that its
   rest is left out; the message says how much. Both replay as ConnectionLost.
4. Lines are UTF-8 and end in LF; a CR before it is ignored. Control characters, line separators and
   direction marks are escaped, so that an editor shows what is in the file.
5. A recording contains no key, cookie, organisation id or picture: see `RecordingHeader.of`,
   `mask_chunks` and `mask_text`.

Nothing here reads or writes files. `Recording` is a whole recording. `encode_line` and
`RecordingReader` process one line at a time and buffer nothing. `Recorder` builds a recording of a
running exchange, and `find_matches` finds the recordings that answer a request.
"""

from ._lines import FORMAT_VERSION, MAX_LINE_BYTES, Recording, RecordingReader, encode_line
from ._masks import mask_chunks, mask_text
from ._matching import Match, Matches, find_matches
from ._recorder import MAX_BODY_BYTES, Recorder
from ._values import (
    EOF,
    LEFT,
    OMITTED,
    Chunk,
    Ending,
    EndingError,
    Line,
    RecordedTimeouts,
    RecordingError,
    RecordingHeader,
    ending_error,
)

__all__ = [
    "EOF",
    "FORMAT_VERSION",
    "LEFT",
    "MAX_BODY_BYTES",
    "MAX_LINE_BYTES",
    "OMITTED",
    "Chunk",
    "Ending",
    "EndingError",
    "Line",
    "Match",
    "Matches",
    "RecordedTimeouts",
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
