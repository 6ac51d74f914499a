"""The service's own formats, for readers that ask it, too. Chats have no form in them."""

from __future__ import annotations

from sansio_moondream._errors import MoondreamError
from sansio_moondream._events import Completed, Event, PathChunk, ReasoningDelta, TextDelta, Unknown
from sansio_moondream._geometry import BBox
from sansio_moondream._results import ChatResult
from sansio_moondream._server.errors import encode_stream_error
from sansio_moondream._wire.encode import Dialect, encode_events

from ._encoder import StreamEncoder

NO_CHAT = (
    "the dialects of the service have no place for a chat: use Format.OPENAI, Format.UI_MESSAGE or "
    "Format.EVENTS"
)


class DialectEncoder(StreamEncoder):
    """Encode as `encode_events` and `encode_stream_error` do.

    These leave out what the dialect does not have. A number that is not finite is left out, too, or
    null in a field that only the server knows.

    Args:
        dialect: ENGINE, CLOUD, STATION or DEMO.

    Raises:
        ValueError: it is Dialect.CHAT. `encode` raises it for a chat's reasoning and result.
    """

    def __init__(self, dialect: Dialect) -> None:
        if dialect is Dialect.CHAT:
            raise ValueError("Dialect.CHAT is for chats only: use OpenAIEncoder, which has them")
        self._dialect = dialect

    def encode(self, event: Event) -> bytes:
        match event:
            case ReasoningDelta() | Completed(ChatResult()):
                raise ValueError(NO_CHAT)
            case Completed() | Unknown():
                # The JSON form has no number that is not finite, and the dialects can have none.
                event = type(event).from_dict(event.to_dict())
            case TextDelta() | PathChunk() | BBox():
                pass
        return encode_events([event], self._dialect)

    def encode_error(self, error: MoondreamError) -> bytes:
        return encode_stream_error(error)
