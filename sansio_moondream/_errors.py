"""The errors of this library: one tree, independent of the transport.

    MoondreamError
    ├── LocalProtocolError            the caller's mistake: a call out of order
    ├── RemoteProtocolError           the server's mistake: bytes that contradict the protocol
    │   └── LimitExceeded             the server sent more than `Limits` allows
    ├── APIError                      the server answered with an error
    │   ├── BadRequestError           400, 422
    │   ├── AuthenticationError       401
    │   ├── PaymentRequiredError      402
    │   ├── PermissionDeniedError     403
    │   ├── NotFoundError             404
    │   ├── PayloadTooLargeError      413
    │   ├── RateLimitError            429
    │   └── ServerError               5xx
    ├── TransportError                no connection, or no event in time
    │   ├── ConnectError, TLSError
    │   └── ConnectTimeout, FirstEventTimeout        also the builtin TimeoutError
    └── IncompleteStream              the answer ended before its end-of-stream message
        ├── ConnectionLost
        └── IdleTimeout, TotalTimeout > TurnTimeout  also the builtin TimeoutError

The builtin TimeoutError is an OSError. An adapter's own `except OSError` must therefore come after
`except MoondreamError`.
"""

from __future__ import annotations

import re

from ._headers import Headers
from ._results import Result
from ._value import Value

_GATEWAY_TIMEOUTS = {"408", "504", "524"}
_MAX_SHOWN = 100  # characters of a request id or a type


class MoondreamError(Exception, Value):
    """Base of all errors of this library.

    Its text is the message and, in brackets, the exchange that it is about: `the connection broke:
    … [POST http://localhost:2020/v1/query, request 31]`.

    Attributes:
        message: what happened, without the exchange.
        partial: what arrived before the error, as a result of the request's type. None if no answer
            could have begun.
        request_id: the server's id of the exchange, if known. Quote it to the service's support.
        method, url: of the request, the URL without user, query and fragment. None if the error is
            about no exchange, or if the stream does not know what was sent.
    """

    message: str
    partial: Result | None
    request_id: str | None
    method: str | None
    url: str | None

    __derived__ = ("retryable",)

    def __init__(
        self,
        message: str = "",
        *,
        partial: Result | None = None,
        request_id: str | None = None,
        method: str | None = None,
        url: str | None = None,
    ) -> None:
        super().__init__(message)  # the only item of `args`: pickle restores the rest from __dict__
        self.message = message
        self.partial = partial
        self.request_id = request_id
        self.method = method
        self.url = url

    @property
    def retryable(self) -> bool:
        """Whether the same request may be sent again.

        True if it was certainly not answered (ConnectError, ConnectTimeout, TurnTimeout), or if the
        server asks for it (RateLimitError, ServerError). False if it may be running, as it would be
        billed twice (FirstEventTimeout, IncompleteStream, and the timeouts of gateways: 408, 504
        and 524, as a status or as an error's `code`), and if it would fail again.

        A server can also fail in the middle of an answer. Then `partial` has its beginning, which
        another answer does not continue.
        """
        if isinstance(self, APIError) and _GATEWAY_TIMEOUTS & {str(self.status_code), self.code}:
            return False
        kinds = ConnectError | ConnectTimeout | RateLimitError | ServerError | TurnTimeout
        return isinstance(self, kinds)

    def __str__(self) -> str:
        about = [" ".join(filter(None, (self.method, self.url)))]
        if self.request_id:
            about.append(f"request {shorten(self.request_id, _MAX_SHOWN)}")
        exchange = ", ".join(filter(None, about))
        return f"{self._words()} [{exchange}]" if exchange else self._words()

    def _words(self) -> str:
        return self.message


class LocalProtocolError(MoondreamError):
    """A call came out of order. The state of the object has not changed."""


class RemoteProtocolError(MoondreamError):
    """The server sent bytes that contradict the protocol.

    `.partial` holds what came before; nothing after it is decoded.
    """


class LimitExceeded(RemoteProtocolError):
    """The server sent more than `Limits` allows.

    If the answer is legitimate, raise the limit that the message names.
    """


class APIError(MoondreamError):
    """The server answered with an error: an HTTP status, JSON in a 200, or a message in the stream.

    Attributes:
        status_code: the real HTTP status (200 for an error in the stream).
        type, code, param: as the server sent them, or None.
        message: the server's own text, or a description if it sent none. A hint follows if the
            endpoint's URL looks wrong.
        retry_after: seconds to wait, if `Retry-After-Ms` or `Retry-After` has them. A date stays in
            `headers`, as the core has no clock.
        headers: of the response.
        body: the error body or message as text, shortened.
    """

    status_code: int
    type: str | None
    code: str | None
    param: str | None
    retry_after: float | None
    headers: Headers | None
    body: str

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
        method: str | None = None,
        url: str | None = None,
    ) -> None:
        super().__init__(message, partial=partial, request_id=request_id, method=method, url=url)
        self.status_code = status_code
        self.type = type
        self.code = code
        self.param = param
        self.retry_after = retry_after
        self.headers = headers
        self.body = body

    def _words(self) -> str:
        name = f" {shorten(self.type, _MAX_SHOWN)}" if self.type else ""
        return f"the server answered {self.status_code}{name}: {self.message}"


class BadRequestError(APIError):
    """400 or 422: the request has a bad or missing value."""


class AuthenticationError(APIError):
    """401: the API key is missing or wrong."""


class PaymentRequiredError(APIError):
    """402: the account has no credit left."""


class PermissionDeniedError(APIError):
    """403: the API key has no permission for this."""


class NotFoundError(APIError):
    """404: the endpoint does not have this path, skill or model."""


class PayloadTooLargeError(APIError):
    """413: the request is too large; send a smaller image."""


class RateLimitError(APIError):
    """429: too many requests; wait `retry_after` seconds if it is set."""


class ServerError(APIError):
    """5xx: the server failed or is overloaded."""


class TransportError(MoondreamError):
    """No answer began: no connection was made, or no event came in time."""


class ConnectError(TransportError):
    """The connection was refused, or the host name was not resolved."""


class TLSError(TransportError):
    """The TLS handshake failed, for example because the certificate is not trusted."""


class ConnectTimeout(TransportError, TimeoutError):
    """No connection was made within `Timeouts.connect` (pool wait and TLS included)."""


class FirstEventTimeout(TransportError, TimeoutError):
    """No event came within `Timeouts.first_event`."""


class IncompleteStream(MoondreamError):
    """The answer ended before its end-of-stream message. `.partial` is all that arrived."""


class ConnectionLost(IncompleteStream):
    """The connection broke in the middle of the exchange."""


class IdleTimeout(IncompleteStream, TimeoutError):
    """No byte came for `Timeouts.idle` after the first event."""


class TotalTimeout(IncompleteStream, TimeoutError):
    """The whole exchange took longer than `Timeouts.total`."""


class TurnTimeout(TotalTimeout):
    """The request did not have its turn within `Timeouts.total`, so it was not sent."""


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

# The `type` fields of the service and of similar servers. They decide the class of errors in a 200.
_TYPES: dict[type[APIError], str] = {
    BadRequestError: "invalid_request_error bad_request_error bad_request invalid_request",
    AuthenticationError: "authentication_error authentication unauthorized",
    PaymentRequiredError: "billing_error payment_required payment_required_error",
    PermissionDeniedError: "permission_error permission_denied forbidden",
    NotFoundError: "not_found_error not_found",
    PayloadTooLargeError: "request_too_large payload_too_large",
    RateLimitError: "rate_limit_error rate_limit rate_limited rate_limit_exceeded",
    ServerError: "server_error internal_server_error internal_error api_error overloaded_error "
    "overloaded",
}
_BY_TYPE = {name: kind for kind, names in _TYPES.items() for name in names.split()}
_STATUS_IN_CODE = re.compile("[45][0-9][0-9]", re.ASCII)


def api_error_class(status_code: int, type: str | None, code: str | None) -> type[APIError]:
    """Select the class of an error by its HTTP status.

    In a 200 the server's `type` decides, or else the HTTP status in its `code`: gateways report
    the errors of the server behind them so.
    """
    if status_code == 200:
        if type in _BY_TYPE:
            return _BY_TYPE[type]
        status_code = int(code) if code and _STATUS_IN_CODE.fullmatch(code) else status_code
    return ServerError if 500 <= status_code < 600 else _BY_STATUS.get(status_code, APIError)


def connection_lost(cause: Exception) -> ConnectionLost:
    """Make the error for what another library raised."""
    error = ConnectionLost(f"the connection broke: {type(cause).__name__}: {shorten(str(cause))}")
    error.__cause__ = cause
    return error


def shorten(seen: bytes | str, keep: int = 200) -> str:
    """Format text or bytes for an error message: one line of at most `keep` characters."""
    text = seen[: 4 * keep].decode("utf-8", "replace") if isinstance(seen, bytes) else seen
    line = " ".join(text[: 4 * keep].split())
    return line if len(line) <= keep and len(seen) <= 4 * keep else line[:keep] + "…"
