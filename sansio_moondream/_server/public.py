"""What a reader of a server's answer may see of a value: nothing of the server behind it."""

from __future__ import annotations

from typing import Any, Final, TypeVar, get_args

from msgspec import structs

from sansio_moondream._errors import (
    APIError,
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    FirstEventTimeout,
    IdleTimeout,
    IncompleteStream,
    LimitExceeded,
    LocalProtocolError,
    MoondreamError,
    RemoteProtocolError,
    TLSError,
    TotalTimeout,
    TransportError,
    TurnTimeout,
)
from sansio_moondream._events import Completed
from sansio_moondream._headers import Headers
from sansio_moondream._kinds import KINDS
from sansio_moondream._metadata import Metadata
from sansio_moondream._requests.endpoint import HINT
from sansio_moondream._results import Result
from sansio_moondream._value import Value

V = TypeVar("V", bound=Value)

_KNOWN: Final = frozenset(KINDS.values())
_RESULTS: Final = get_args(Result)
_MESSAGES: Final[dict[type[MoondreamError], str]] = {
    MoondreamError: "the answer failed",
    LocalProtocolError: "this server failed, by a mistake in its program",
    RemoteProtocolError: "the upstream server sent an invalid answer",
    LimitExceeded: "the upstream server sent a larger answer than this server takes",
    TransportError: "the upstream server did not answer",
    ConnectError: "the upstream server cannot be reached",
    TLSError: "no secure connection to the upstream server can be made",
    ConnectTimeout: "the upstream server was not reached in time",
    FirstEventTimeout: "the upstream server did not begin to answer in time",
    IncompleteStream: "the upstream server ended the answer before it was complete",
    ConnectionLost: "the connection to the upstream server broke",
    IdleTimeout: "the upstream server stopped in the middle of the answer",
    TotalTimeout: "the answer took longer than this server waits",
    TurnTimeout: "the request waited for its turn for longer than this server waits",
}
_REDIRECT: Final = "the upstream server redirects to another address, which is not followed"
_PROXY: Final = "a proxy before the upstream server refuses this server"


def to_public(value: V) -> V:
    """Return the value without what only the operator of a server should see.

    - Metadata, results and `Completed` lose the headers of the response.
    - Errors lose headers, body, method and URL. The message of an `APIError` is the server's own
      text and stays, without an address that this library added. Every other error gets a general
      message of its class, as its own may have an address, and so do a redirect and the refusal of
      a proxy (407). Their causes are not copied.
    - An error of a class that is not of this library becomes one of its nearest base that is, so
      that each reader knows it.

    A value that has none of this is returned itself, not a copy.

    Args:
        value: an event, a result, an error, or another value of this library.
    """
    public: V = _public(value)
    return public


def _public(value: Any) -> Any:
    if isinstance(value, MoondreamError):
        return _public_error(value)
    if isinstance(value, Metadata):
        return structs.replace(value, headers=Headers()) if value.headers else value
    if isinstance(value, Completed):
        return _with_public(value, "result")
    return _with_public(value, "metadata") if isinstance(value, _RESULTS) else value


def _with_public(value: Any, field: str) -> Any:
    part = getattr(value, field)
    public = _public(part)
    return value if public is part else structs.replace(value, **{field: public})


def _public_error(error: MoondreamError) -> Any:
    class_: Any = next(base for base in type(error).__mro__ if base in _KNOWN)
    partial = _public(error.partial)
    if not isinstance(error, APIError):
        return class_(_MESSAGES[class_], partial=partial, request_id=error.request_id)
    return class_(
        _words(error),
        status_code=error.status_code,
        type=error.type,
        code=error.code,
        param=error.param,
        retry_after=error.retry_after,
        partial=partial,
        request_id=error.request_id,
    )


def _words(error: APIError) -> str:
    if 300 <= error.status_code < 400:
        return _REDIRECT
    return _PROXY if error.status_code == 407 else error.message.partition(HINT)[0]
