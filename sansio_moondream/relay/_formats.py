"""The formats by their names."""

from __future__ import annotations

from enum import Enum
from typing import Any

from sansio_moondream._requests.base import Request

from ._encoder import StreamEncoder
from ._events import EventsEncoder


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


def open_encoder(format: Format, request: Request[Any] | None = None) -> StreamEncoder:
    """Return a new encoder for one stream.

    Args:
        format: that the reader wants.
        request: that the stream answers, if it is known.

    Raises:
        ValueError: the format has no place for an answer to this request.
    """
    if format is Format.EVENTS:
        return EventsEncoder()
    raise NotImplementedError(format)  # written by the part FORMATS
