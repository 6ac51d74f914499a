"""The errors of this library: one tree, here in the core, so that an `except` does not depend on
the transport.

    MoondreamError
    ├── LocalProtocolError            the caller's fault: a call out of order
    ├── RemoteProtocolError           the server's fault: bytes that contradict the protocol
    │   └── LimitExceeded             ... or more of them than `Limits` allows
    ├── APIError                      the server answered with an error
    │   ├── BadRequestError           400, 422
    │   ├── AuthenticationError       401
    │   ├── PaymentRequiredError      402
    │   ├── PermissionDeniedError     403
    │   ├── NotFoundError             404
    │   ├── PayloadTooLargeError      413
    │   ├── RateLimitError            429
    │   └── ServerError               5xx
    ├── TransportError                no connection, or no event in time: nothing was answered yet
    │   ├── ConnectError, TLSError
    │   └── ConnectTimeout, FirstEventTimeout        also the builtin TimeoutError
    └── IncompleteStream              it ended before its end-of-stream message
        ├── ConnectionLost
        └── IdleTimeout, TotalTimeout                also the builtin TimeoutError

The timeouts are `OSError`s too (the builtin TimeoutError is one): an adapter's own `except OSError`
must come after them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._headers import Headers
    from ._results import Result


class MoondreamError(Exception):
    """Base of all errors of this library.

    Attributes:
        partial: what had arrived before the fault, as a result of the request's type, or None where
            nothing could have.
        request_id: the server's id of the exchange, where known. Quote it to the service's support.
    """

    def __init__(
        self, message: str = "", *, partial: Result | None = None, request_id: str | None = None
    ) -> None:
        super().__init__(
            message
        )  # the message alone is `args`: pickling then restores the rest from __dict__
        self.partial = partial
        self.request_id = request_id


class LocalProtocolError(MoondreamError):
    """A call came out of order: the caller's fault. The machine's state is as it was before the
    call.
    """


class RemoteProtocolError(MoondreamError):
    """The server sent what contradicts the protocol.

    Nothing after it is decoded; `.partial` holds what came before.
    """


class LimitExceeded(RemoteProtocolError):
    """The server sent more than `Limits` allows.

    If the answer is legitimate, raise the limit that the message names.
    """


class APIError(MoondreamError):
    """The server answered with an error: as an HTTP status, as JSON in a 200, or as a message
    inside the stream.

    Attributes:
        status_code: the real HTTP status (200 for an error inside the stream).
        type, code, param: as the server gave them, or None.
        message: the server's own words, or what can be said in their place.
        retry_after: seconds to wait, where `Retry-After` gives seconds; a date is left in `headers`
            (the core has no clock).
        headers: of the response.
        body: the error body or message as text, shortened.
    """

    def __init__(
        self,
        message: str = "",
        *,
        status_code: int = 0,
        type: str | None = None,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        headers: Headers | None = None,
        body: str = "",
        partial: Result | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, partial=partial, request_id=request_id)
        self.message = message
        self.status_code = status_code
        self.type = type
        self.code = code
        self.param = param
        self.retry_after = retry_after
        self.headers = headers
        self.body = body

    def __str__(self) -> str:
        name = f" {self.type}" if self.type else ""
        return f"the server answered {self.status_code}{name}: {self.message}"


class BadRequestError(APIError):
    """400 or 422: the request has a bad or missing value."""


class AuthenticationError(APIError):
    """401: the key is missing or wrong."""


class PaymentRequiredError(APIError):
    """402: the account has no credit left."""


class PermissionDeniedError(APIError):
    """403: the key may not do this."""


class NotFoundError(APIError):
    """404: no such path, skill or model at this endpoint."""


class PayloadTooLargeError(APIError):
    """413: the request is larger than the server takes; send a smaller image."""


class RateLimitError(APIError):
    """429: too many requests; wait `retry_after` seconds if given."""


class ServerError(APIError):
    """5xx: the server failed or is overloaded."""


class TransportError(MoondreamError):
    """No answer began: there was no connection, or no event in time."""


class ConnectError(TransportError):
    """The connection was refused, or the name did not resolve."""


class TLSError(TransportError):
    """The TLS handshake failed: certificate not trusted, expired, or for another name."""


class ConnectTimeout(TransportError, TimeoutError):
    """No connection within `Timeouts.connect` (pool wait and TLS included)."""


class FirstEventTimeout(TransportError, TimeoutError):
    """Connected, but no event within `Timeouts.first_event`."""


class IncompleteStream(MoondreamError):
    """The answer ended before its end-of-stream message: `.partial` is all that arrived, and not
    the whole answer.
    """


class ConnectionLost(IncompleteStream):
    """The connection broke in the middle of the exchange."""


class IdleTimeout(IncompleteStream, TimeoutError):
    """No byte came for `Timeouts.idle` after the first event."""


class TotalTimeout(IncompleteStream, TimeoutError):
    """The whole exchange took longer than `Timeouts.total`."""


_BY_STATUS: dict[int, type[APIError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: PaymentRequiredError,
    403: PermissionDeniedError,
    404: NotFoundError,
    413: PayloadTooLargeError,
    422: BadRequestError,
    429: RateLimitError,
}

# The `type` field as the service and its cousins spell it; consulted only where the HTTP status
# says nothing (a 200).
_BY_TYPE: dict[str, type[APIError]] = {
    "invalid_request_error": BadRequestError,
    "bad_request_error": BadRequestError,
    "bad_request": BadRequestError,
    "invalid_request": BadRequestError,
    "authentication_error": AuthenticationError,
    "authentication": AuthenticationError,
    "unauthorized": AuthenticationError,
    "billing_error": PaymentRequiredError,
    "payment_required": PaymentRequiredError,
    "payment_required_error": PaymentRequiredError,
    "permission_error": PermissionDeniedError,
    "permission_denied": PermissionDeniedError,
    "forbidden": PermissionDeniedError,
    "not_found_error": NotFoundError,
    "not_found": NotFoundError,
    "request_too_large": PayloadTooLargeError,
    "payload_too_large": PayloadTooLargeError,
    "rate_limit_error": RateLimitError,
    "rate_limit": RateLimitError,
    "rate_limited": RateLimitError,
    "rate_limit_exceeded": RateLimitError,
    "server_error": ServerError,
    "internal_server_error": ServerError,
    "internal_error": ServerError,
    "api_error": ServerError,
    "overloaded_error": ServerError,
    "overloaded": ServerError,
}


def api_error_class(status_code: int, type: str | None) -> type[APIError]:
    """The class for an error answer: by HTTP status, and by the server's `type` only in a 200."""
    if status_code == 200:
        return _BY_TYPE.get(type or "", APIError)
    return ServerError if 500 <= status_code < 600 else _BY_STATUS.get(status_code, APIError)


def shorten(seen: bytes | str, keep: int = 200) -> str:
    """What was seen, fit for an error message: as text, on one line, cut to `keep` characters."""
    text = seen[: 4 * keep].decode("utf-8", "replace") if isinstance(seen, bytes) else seen
    line = " ".join(text[: 4 * keep].split())
    return line if len(line) <= keep and len(seen) <= 4 * keep else line[:keep] + "…"
