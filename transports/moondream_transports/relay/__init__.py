"""From a stream to web clients: `relay` for one, `Broadcast` for many, `latest` for video.

This package only pumps. The formats and buffers are in `sansio_moondream.relay`.

A response has two halves, with bytes between them:

1. A source (`_async/source.py`) knows what is sent. `next_part()` waits for bytes and returns all
   that are ready, or None at the proper end, or raises. It also encodes an error, as the last part
   or as a whole response, has the headers and the heartbeat, and is closed with `aclose()`.
   `AsyncStreamSource` encodes the events of a stream. A broadcast's reader is another one.
2. `AsyncRelay(source, heartbeat=..., group=...)` knows how it is sent: as an ASGI application
   (`_asgi.py`), or through a pump to a framework that iterates (`_async/body.py`, `pump.py`).

`relay` puts the two together for a stream. The sync forms are generated, but for `_wsgi.py`.

`latest` is apart from these: it asks about a video (`_async/latest.py`, `_frames.py`).
"""

from ._answer import Answer
from ._app.application import RelayApp
from ._asgi import AsyncRelay
from ._async.group import AsyncRelayGroup
from ._async.latest import AsyncLatest
from ._broadcast._async.broadcast import AsyncBroadcast
from ._broadcast._async.broadcasts import AsyncBroadcasts
from ._broadcast._sync.broadcast import Broadcast
from ._broadcast._sync.broadcasts import Broadcasts
from ._latest import latest
from ._relay import relay
from ._sync.group import RelayGroup
from ._sync.latest import Latest
from ._wsgi import Relay

__all__ = [
    "Answer",
    "AsyncBroadcast",
    "AsyncBroadcasts",
    "AsyncLatest",
    "AsyncRelay",
    "AsyncRelayGroup",
    "Broadcast",
    "Broadcasts",
    "Latest",
    "Relay",
    "RelayApp",
    "RelayGroup",
    "latest",
    "relay",
]
