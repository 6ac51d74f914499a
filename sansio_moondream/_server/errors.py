"""Errors to the bytes that a server would send: the reverse of `_wire/error_answers.py`."""

from __future__ import annotations

import re
from math import ceil
from typing import Any, Final, NamedTuple

from sansio_moondream._errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    LocalProtocolError,
    MoondreamError,
    NotFoundError,
    PayloadTooLargeError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    api_error_class,
)
from sansio_moondream._unicode import well_formed
from sansio_moondream._wire.encode import Dialect, encode_record, encode_whole
from sansio_moondream._wire.error_answers import NO_REASON

from .public import to_public
from .refusals import error_type

_STATUS_CODES: Final[dict[type[APIError], int]] = {
    BadRequestError: 400,
    AuthenticationError: 401,
    PaymentRequiredError: 402,
    PermissionDeniedError: 403,
    NotFoundError: 404,
    PayloadTooLargeError: 413,
    RateLimitError: 429,
    APIError: 500,
}
_PLAIN_TEXTS: Final = {404: "Not Found", 405: "Method Not Allowed"}
_FIELD_VALUE: Final = re.compile("[!-~](?:[ -~]{0,998}[!-~])?")
_DATE: Final = re.compile(  # no other words: they are not for a client
    "[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT"
)
_MAX_SECONDS: Final = 10**9
_JSON: Final = (("content-type", "application/json"),)
_PLAIN: Final = (("content-type", "text/plain; charset=utf-8"),)


class ErrorResponse(NamedTuple):
    """A whole response. The server adds its own headers, such as the length of the body.

    Attributes:
        status_code: of the response.
        headers: names in lower case, and values.
        body: JSON or plain text, as the dialect has it.
    """

    status_code: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def encode_error(error: MoondreamError, dialect: Dialect = Dialect.ENGINE) -> ErrorResponse:
    """Return the response that decodes to `error`, in place of an answer.

    An error that is no `APIError` becomes one with a general message: 504 for a timeout, 500 for a
    `LocalProtocolError`, 502 for any other. No message has an address that this library added.

    These are left out:

    - ENGINE: type, code and param, but not in a 200, where they decide the class. A path or a
      method that it does not have is plain text.
    - STATION: all but the message. Its status is always 200.

    An error without a status (`status_code=0`), which did not come from a server, gets the status
    and the type of its class. A redirect, a 407, and a status that is no error become 502, as a
    client would act on them or expect no body; 200 stays. `retry_after` becomes `Retry-After`, in
    whole seconds, and `Retry-After-Ms` if it is no whole number. A date is taken from
    `error.headers`. A request id that no header can hold is left out.

    Args:
        error: any error of this library.
        dialect: the server whose errors it looks like.
    """
    error, original = _api_error(error), error
    if dialect is Dialect.STATION:
        return ErrorResponse(200, _JSON, encode_whole(_text(error)))
    status_code = error.status_code or _status_of(error)
    if status_code == 407 or not (status_code == 200 or 400 <= status_code < 600):
        status_code = 502
    headers = (*_retry_after(original), *_request_id(error))
    if status_code == 405:
        headers = (("allow", "POST"), *headers)
    if dialect is not Dialect.ENGINE or status_code == 200:
        return ErrorResponse(status_code, (*_JSON, *headers), encode_whole(_object(error)))
    if _PLAIN_TEXTS.get(status_code) == error.message:
        return ErrorResponse(status_code, (*_PLAIN, *headers), error.message.encode())
    return ErrorResponse(status_code, (*_JSON, *headers), encode_whole(_text(error)))


def encode_stream_error(error: MoondreamError) -> bytes:
    """Return the record that decodes to `error`, inside an event stream of any dialect.

    An error that is no `APIError` becomes one as in `encode_error`. The record ends the stream:
    after it, the server ends the body. What is in headers is left out, and the status is 200 here.
    An error without a code, and without a type that decides its class, gets its status as the code,
    as gateways do it.
    """
    error = _api_error(error)
    message = _object(error)
    fields = message["error"]
    status_code = error.status_code or _status_of(error)
    decides = api_error_class(200, fields["type"], None) is not APIError
    if fields["code"] is None and not decides and status_code != 200:
        fields["code"] = str(status_code)
    if error.request_id is not None:
        message["request_id"] = well_formed(error.request_id)
    return encode_record(message)


def _api_error(error: MoondreamError) -> APIError:
    public = to_public(error)
    if isinstance(public, APIError):
        return public
    status_code = 500 if isinstance(error, LocalProtocolError) else 502
    status_code = 504 if isinstance(error, TimeoutError) else status_code
    return ServerError(
        public.message,
        status_code=status_code,
        type=error_type(status_code),
        code=str(status_code),  # where no status can be: in a stream
        request_id=error.request_id,
    )


def _status_of(error: APIError) -> int:
    return next(status for kind, status in _STATUS_CODES.items() if isinstance(error, kind))


def _text(error: APIError) -> dict[str, Any]:
    return {"error": well_formed(error.message) or NO_REASON}


def _object(error: APIError) -> dict[str, Any]:
    type_, code = error.type, error.code
    if not error.status_code and type_ is None:
        type_ = error_type(_status_of(error))
    fields = {"message": error.message, "type": type_, "param": error.param, "code": code}
    return {"error": well_formed(fields)}


def _retry_after(error: MoondreamError) -> tuple[tuple[str, str], ...]:
    if not isinstance(error, APIError):
        return ()
    seconds = error.retry_after
    if seconds is None:
        date = None if error.headers is None else error.headers.get("retry-after")
        return (("retry-after", date),) if date and _DATE.fullmatch(date) else ()
    if not 0 <= seconds < _MAX_SECONDS:
        return ()
    fields = (("retry-after", str(ceil(seconds))),)
    if ceil(seconds) == seconds:
        return fields
    return (*fields, ("retry-after-ms", f"{seconds * 1000:.3f}"))


def _request_id(error: APIError) -> tuple[tuple[str, str], ...]:
    id_ = error.request_id or ""
    return (("x-request-id", id_),) if _FIELD_VALUE.fullmatch(id_) else ()
