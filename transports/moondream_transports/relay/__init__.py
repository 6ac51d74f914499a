"""From a stream to web clients: `relay` for one, `Broadcast` for many, `latest` for video.

This package only pumps. The formats and buffers are in `sansio_moondream.relay`.
"""

from ._answer import Answer
from ._async.latest import AsyncLatest
from ._latest import latest
from ._sync.latest import Latest

__all__ = ["Answer", "AsyncLatest", "Latest", "latest"]
