"""The head of a response decides how its body is read."""

from __future__ import annotations

from enum import Enum, auto
from functools import partial
from typing import Any, NamedTuple

from sansio_moondream._errors import RemoteProtocolError, shorten
from sansio_moondream._headers import Headers
from sansio_moondream._limits import Limits
from sansio_moondream._skills.builder import Builder

from .bodies import Body, ErrorBody, JSONBody, UndecidedBody
from .error_answers import api_error
from .fast_path import event_stream_body
from .inflate import Inflater


class Kind(Enum):
    """The kinds of bodies."""

    EVENT_STREAM = auto()
    JSON = auto()
    UNNAMED = auto()
    ERROR = auto()


class OpenResponse(NamedTuple):
    """What reads the body. `inflater` is None if the head announces no compression."""

    kind: Kind
    body: Body
    inflater: Inflater | None


def open_response(
    status_code: int, headers: Headers, builder: Builder[Any] | None, limits: Limits
) -> OpenResponse:
    """Choose what reads the body of a response.

    Args:
        status_code: 200 or higher.
        headers: of the response.
        builder: takes the messages; None for a status of 300 or higher, which is an error.
        limits: of the stream.

    Raises:
        RemoteProtocolError: The head announces a body that is no answer.
    """
    error_of = partial(api_error, status_code, headers, limits)
    coding = headers.get("content-encoding", "").strip().lower().removeprefix("x-")
    inflater = Inflater(coding, limits) if coding in ("gzip", "deflate") else None
    if builder is None:
        return OpenResponse(Kind.ERROR, ErrorBody(error_of, limits), inflater)
    if inflater is None and coding not in ("", "identity"):
        raise RemoteProtocolError(
            f"the server sent a body with the content coding {shorten(coding, 40)!r}, "
            "though identity was asked for"
        )
    if status_code in (204, 205):
        raise RemoteProtocolError(
            f"the server answered {status_code}, which has no body, where an answer was expected"
        )
    json = partial(JSONBody, builder, error_of, limits)
    event_stream = partial(event_stream_body, builder, error_of, limits)
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "text/event-stream":
        return OpenResponse(Kind.EVENT_STREAM, event_stream(), inflater)
    if media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        return OpenResponse(Kind.JSON, json(), inflater)
    if media_type in ("", "application/octet-stream"):
        return OpenResponse(Kind.UNNAMED, UndecidedBody(json, event_stream, limits), inflater)
    raise RemoteProtocolError(
        f"the server answered {status_code} with {shorten(media_type, 80)!r}, where "
        "text/event-stream or application/json was expected: is this the address of a Moondream "
        "server?"
    )
