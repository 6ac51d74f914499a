"""`relay`: the response for a stream, of the form that fits it."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from time import time
from typing import Any, Final, cast, overload

from moondream_transports._client._async.stream import AsyncClientStream
from moondream_transports._client._sync.stream import ClientStream
from sansio_moondream import Dialect, Event, Request
from sansio_moondream.relay import Format, StreamEncoder, open_encoder

from ._asgi import AsyncRelay
from ._async.group import AsyncRelayGroup
from ._async.source import AsyncStreamSource
from ._sync.group import RelayGroup
from ._sync.source import StreamSource
from ._wsgi import Relay

_DIALECTS: Final = {
    Format.ENGINE: Dialect.ENGINE,
    Format.CLOUD: Dialect.CLOUD,
    Format.STATION: Dialect.ENGINE,  # the same body. The station has no status but 200
    Format.DEMO: Dialect.DEMO,
}  # of errors that are whole responses. All others have OpenAI's form.


@overload
def relay(
    stream: AsyncClientStream[Any] | AsyncIterable[Event],
    format: Format | str | StreamEncoder = Format.EVENTS,
    *,
    heartbeat: float | None = 15.0,
    group: AsyncRelayGroup | None = None,
) -> AsyncRelay: ...


@overload
def relay(
    stream: ClientStream[Any] | Iterable[Event],
    format: Format | str | StreamEncoder = Format.EVENTS,
    *,
    heartbeat: float | None = 15.0,
    group: RelayGroup | None = None,
) -> Relay: ...


def relay(
    stream: AsyncIterable[Event] | Iterable[Event],
    format: Format | str | StreamEncoder = Format.EVENTS,
    *,
    heartbeat: float | None = 15.0,
    group: AsyncRelayGroup | RelayGroup | None = None,
) -> AsyncRelay | Relay:
    """Return the response that sends a stream on.

    Args:
        stream: of `client.stream(...)`, which is not entered yet: the relay enters and leaves it.
            Any iterable of events whose last one is `Completed` is relayed, too.
        format: what the client reads; or an encoder, which serves this stream only.
        heartbeat: seconds without anything sent, after which the client gets a comment. None is
            never.
        group: that the relay belongs to.

    Raises:
        ValueError: The format is unknown, or has no place for an answer to this request.
        TypeError: An argument is of another type.
    """
    encoder, dialect = encoder_for(stream, format)
    if isinstance(stream, AsyncIterable):
        if not isinstance(group, AsyncRelayGroup | None):
            raise TypeError(f"an async stream needs an AsyncRelayGroup, not {group!r}")
        source = AsyncStreamSource(stream, encoder, dialect)
        return AsyncRelay(source, heartbeat=heartbeat, group=group)
    if isinstance(stream, Iterable):
        if not isinstance(group, RelayGroup | None):
            raise TypeError(f"a sync stream needs a RelayGroup, not {group!r}")
        return Relay(StreamSource(stream, encoder, dialect), heartbeat=heartbeat, group=group)
    raise TypeError(f"stream should be a stream or an iterable of events, not {stream!r}")


def encoder_for(
    stream: object, format: Format | str | StreamEncoder
) -> tuple[StreamEncoder, Dialect]:
    """Return the encoder for a stream, and the dialect of errors that are whole responses.

    Raises:
        ValueError: The format is unknown, or has no place for an answer to this request.
    """
    if isinstance(format, StreamEncoder):
        return format, Dialect.CHAT
    try:
        known = Format(format)
    except ValueError:
        names = ", ".join(repr(each.value) for each in Format)
        raise ValueError(f"format should be one of {names}, not {format!r}") from None
    encoder = open_encoder(known, _request_of(stream), created=int(time()))
    return encoder, _DIALECTS.get(known, Dialect.CHAT)


def _request_of(stream: object) -> Request[Any] | None:
    if not isinstance(stream, AsyncClientStream | ClientStream):
        return None
    return cast("ClientStream[Any]", stream).request
