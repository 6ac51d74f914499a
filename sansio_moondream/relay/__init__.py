"""What is pure in a relay from the model to a browser: encoders of formats, buffers, choices.

`moondream_transports.relay` uses these between a stream and a web server. Who embeds the core uses
them with a server of their own.
"""

from sansio_moondream._server.public import to_public

from ._dialects import DialectEncoder
from ._encoder import SSE_HEADERS, StreamEncoder
from ._events import EventsEncoder
from ._formats import Format, open_encoder
from ._last_event_id import parse_last_event_id
from ._newest import Newest, Turn
from ._openai import OpenAIEncoder
from ._replay_buffer import ReplayBuffer, ReplayLimits, ReplayReader
from ._ui_message import UIMessageEncoder

__all__ = [
    "SSE_HEADERS",
    "DialectEncoder",
    "EventsEncoder",
    "Format",
    "Newest",
    "OpenAIEncoder",
    "ReplayBuffer",
    "ReplayLimits",
    "ReplayReader",
    "StreamEncoder",
    "Turn",
    "UIMessageEncoder",
    "open_encoder",
    "parse_last_event_id",
    "to_public",
]
