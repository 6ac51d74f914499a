"""Record exchanges, and keep recordings in files (see also `sansio_moondream.recording`)."""

from ._async.transport import AsyncRecordingStream, AsyncRecordingTransport
from ._files import AnyPath, RecordingFolder, read_lines, recordings_in, safe_name
from ._sync.transport import RecordingStream, RecordingTransport

__all__ = [
    "AnyPath",
    "AsyncRecordingStream",
    "AsyncRecordingTransport",
    "RecordingFolder",
    "RecordingStream",
    "RecordingTransport",
    "read_lines",
    "recordings_in",
    "safe_name",
]
