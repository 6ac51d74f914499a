"""What the clients of a server may cost it."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

MAX_BODY_BYTES: Final = 32 * 1024 * 1024
MAX_HEAD_BYTES: Final = 64 * 1024
MAX_AHEAD_BYTES: Final = 64 * 1024
"""What a client may send while its request is answered."""
MAX_BODIES_BYTES: Final = 256 * 1024 * 1024
"""The bodies of all requests together."""
MIN_BYTES_PER_SECOND: Final = 16 * 1024
"""A body that comes slower than this for longer than the timeout is refused."""
MAX_SMALL_CHUNKS: Final = 10_000
"""Parts of a body with less than 64 bytes on average. Each takes the event loop's time."""


class ServerLimits(Struct, frozen=True):
    """The limits that have an option. The help of the command line describes each."""

    max_connections: int = 256
    request_timeout: float = 10.0
    idle_timeout: float = 60.0
