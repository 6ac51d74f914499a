"""Record exchanges, and keep recordings in files (see also `sansio_moondream.recording`)."""

from ._async.transport import AsyncRecordingStream, AsyncRecordingTransport
from ._files import AnyPath, read_lines, read_recording, recordings_in, safe_name
from ._folder import RecordingFile, RecordingFolder
from ._sync.transport import RecordingStream, RecordingTransport

__all__ = [
    "AnyPath",
    "AsyncRecordingStream",
    "AsyncRecordingTransport",
    "RecordingFile",
    "RecordingFolder",
    "RecordingStream",
    "RecordingTransport",
    "read_lines",
    "read_recording",
    "recordings_in",
    "safe_name",
]
