"""The service's own formats, for readers that ask it, too. Chats have no form in them."""

from __future__ import annotations

from typing import assert_never

from sansio_moondream._errors import MoondreamError
from sansio_moondream._events import Completed, Event, PathChunk, ReasoningDelta, TextDelta, Unknown
from sansio_moondream._geometry import BBox
from sansio_moondream._results import ChatResult
from sansio_moondream._server.errors import encode_stream_error
from sansio_moondream._wire.encode import Dialect, encode_events

from ._encoder import StreamEncoder
from ._texts import texts

NO_CHAT = (
    "the dialects of the service have no place for a chat: use Format.OPENAI, Format.UI_MESSAGE or "
    "Format.EVENTS"
)


class DialectEncoder(StreamEncoder):
    """Encode as `encode_events` and `encode_stream_error` do.

    These leave out what the dialect does not have. A text of which no delta came is sent as one. A
    measurement that is not finite is left out, or null in a field that only the server knows.

    Args:
        dialect: ENGINE, CLOUD, STATION or DEMO.

    Raises:
        ValueError: it is Dialect.CHAT. `encode` raises it for a chat's reasoning and result.
    """

    def __init__(self, dialect: Dialect) -> None:
        if dialect is Dialect.CHAT:
            raise ValueError("Dialect.CHAT is for chats only: use OpenAIEncoder, which has them")
        self._dialect = dialect
        self._has_text = dialect is Dialect.ENGINE  # its last message has the whole text

    def encode(self, event: Event) -> bytes:
        """Return the messages of the next event.

        Raises:
            ValueError: it is of a chat, or has a place that is not finite.
        """
        match event:
            case TextDelta():
                self._has_text = self._has_text or event.text != ""
            case PathChunk() | BBox():
                pass
            case Unknown():
                event = Unknown.from_dict(event.to_dict())
            case ReasoningDelta() | Completed(ChatResult()):
                raise ValueError(NO_CHAT)
            case Completed():
                # The JSON form has no number that is not finite, and the dialects can have none.
                event = Completed.from_dict(event.to_dict())
                text = texts(event.result).get("text")
                if text and not self._has_text:
                    return encode_events([TextDelta(text), event], self._dialect)
            case _:
                assert_never(event)
        return encode_events([event], self._dialect)

    def encode_error(self, error: MoondreamError) -> bytes:
        """Return the message of the error, which is the last one."""
        return encode_stream_error(error)
