"""The head of a response decides how its body is read."""

from __future__ import annotations

import re
from enum import Enum, auto
from functools import lru_cache, partial
from typing import Any, NamedTuple

from sansio_moondream._errors import RemoteProtocolError, shorten
from sansio_moondream._headers import Headers
from sansio_moondream._limits import Limits
from sansio_moondream._requests.sent import Sent
from sansio_moondream._skills.builder import Builder

from .bodies import Body, ErrorBody, EventStreamBody, JSONBody
from .error_answers import api_error
from .fast_path import with_fast_path
from .inflate import Inflater, content_coding
from .undecided import UndecidedBody

_JSON = re.compile(r"application/([^,]*\+)?json")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')


class Kind(Enum):
    """The kinds of bodies, named as the triggers of the state machine."""

    EVENT_STREAM = auto()
    JSON = auto()
    UNNAMED = auto()
    ERROR_STATUS = auto()


class OpenResponse(NamedTuple):
    """What reads the body. `inflater` is None if the head announces no compression."""

    kind: Kind
    body: Body
    inflater: Inflater | None


def open_response(
    status_code: int, headers: Headers, builder: Builder[Any] | None, limits: Limits, sent: Sent
) -> OpenResponse:
    """Choose what reads the body of a response.

    Args:
        status_code: 200 or higher.
        headers: of the response.
        builder: takes the messages; None for a status of 300 or higher, which is an error.
        limits: of the stream.
        sent: the request, for errors that are about its address.

    Raises:
        RemoteProtocolError: The head announces a body that is no answer.
    """
    error_of = partial(api_error, status_code, headers, limits, sent)
    coding = content_coding(headers)
    inflater = Inflater(coding, limits) if coding in ("gzip", "deflate") else None
    if builder is None:
        return OpenResponse(Kind.ERROR_STATUS, ErrorBody(error_of, limits), inflater)
    if coding and inflater is None:
        raise RemoteProtocolError(
            f"the server sent a body with the content coding {shorten(coding, 40)!r}, "
            "though identity was asked for"
        )
    if status_code in (204, 205):
        raise RemoteProtocolError(
            f"the server answered {status_code}, which has no body, where an answer was expected"
        )
    json = JSONBody(builder, error_of, limits)
    media_type = _media_type(headers.get("content-type", ""))
    if media_type == "text/event-stream":
        kind = Kind.EVENT_STREAM
    elif _JSON.fullmatch(media_type):
        return OpenResponse(Kind.JSON, json, inflater)
    elif media_type in ("", "application/octet-stream"):
        kind = Kind.UNNAMED
    else:
        raise RemoteProtocolError(
            f"the server answered {status_code} with {shorten(media_type, 80)!r}, where "
            "text/event-stream or application/json was expected: is this the address of a "
            f"Moondream server?{sent.endpoint_hint()}"
        )
    event_stream = EventStreamBody(builder, error_of, limits)
    slow_path = UndecidedBody(event_stream, json, limits, labelled=kind is Kind.EVENT_STREAM)
    return OpenResponse(kind, with_fast_path(slow_path, builder, limits), inflater)


@lru_cache(maxsize=16)  # the answers of a server have one or two
def _media_type(field: str) -> str:
    """Return the media type of a body. If the field is repeated with one type, it is that."""
    field = _QUOTED.sub("", field).lower()
    types = dict.fromkeys(part.partition(";")[0].strip() for part in field.split(","))
    return ", ".join(filter(None, types))
