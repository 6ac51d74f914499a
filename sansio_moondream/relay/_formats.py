"""The formats by their names."""

from __future__ import annotations

from enum import Enum
from typing import Any, Final

from sansio_moondream._requests.base import Request
from sansio_moondream._wire.encode import Dialect

from ._dialects import NO_CHAT, DialectEncoder
from ._encoder import StreamEncoder
from ._events import EventsEncoder
from ._openai import OpenAIEncoder, no_place
from ._ui_message import UIMessageEncoder


class Format(Enum):
    """What a relay speaks.

    Attributes:
        EVENTS: this library's values as JSON, with ids. The default.
        ENGINE, CLOUD, STATION, DEMO: the service's own, as in `Dialect`.
        OPENAI: the chunks of OpenAI's chat completions.
        UI_MESSAGE: the UI message stream of the AI SDK.
    """

    EVENTS = "events"
    ENGINE = "engine"
    CLOUD = "cloud"
    STATION = "station"
    DEMO = "demo"
    OPENAI = "openai"
    UI_MESSAGE = "ui-message"


_DIALECTS: Final = {
    Format.ENGINE: Dialect.ENGINE,
    Format.CLOUD: Dialect.CLOUD,
    Format.STATION: Dialect.STATION,
    Format.DEMO: Dialect.DEMO,
}


def open_encoder(
    format: Format, request: Request[Any] | None = None, *, created: int | None = None
) -> StreamEncoder:
    """Return a new encoder for one stream.

    Args:
        format: that the reader wants.
        request: that the stream answers, if it is known.
        created: Unix time in seconds, for the chunks of Format.OPENAI. See `OpenAIEncoder`.

    Raises:
        ValueError: the format has no place for an answer to this request. If the request is not
            known, `encode` raises it for the event.
    """
    if format is Format.EVENTS:
        return EventsEncoder()
    if format is Format.UI_MESSAGE:
        return UIMessageEncoder()
    if format is Format.OPENAI:
        if request is not None and request.skill not in ("query", "caption", "chat"):
            raise ValueError(no_place(request.skill))
        model = None if request is None else request.model
        return OpenAIEncoder(model=model or "", created=created)
    if request is not None and request.skill == "chat":
        raise ValueError(NO_CHAT)
    return DialectEncoder(_DIALECTS[format])
