"""The parts of a recording: header, chunks and ending; and the error for an invalid recording."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import Any, Final, TypeAlias, cast

from msgspec import Struct
from msgspec.structs import force_setattr

from sansio_moondream._errors import (
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    FirstEventTimeout,
    IdleTimeout,
    IncompleteStream,
    LimitExceeded,
    MoondreamError,
    RemoteProtocolError,
    TLSError,
    TotalTimeout,
    TransportError,
    shorten,
)
from sansio_moondream._headers import HeaderTypes
from sansio_moondream._repr import OwnRepr
from sansio_moondream._requests.http import HTTPRequest
from sansio_moondream._secrets.values import Secrets
from sansio_moondream._wire.json import BeyondLimit, decode

from ._redaction import MAX_DEPTH, RESPONSE_HEADERS, safe_headers, safe_request

EOF: Final = "eof"
"""The body ended properly."""
LEFT: Final = "left"
"""The caller closed the exchange early."""
OMITTED: Final = "omitted"
"""The body is longer than the recorder's limit, and its rest is left out."""

_MAX_SECONDS: Final = 1e9

EndingError: TypeAlias = MoondreamError | TimeoutError
"""The error that ended a recorded exchange; see `ending_error`."""

ENDING_ERRORS: dict[str, type[EndingError]] = {
    kind.__name__: kind
    for kind in (
        TransportError,
        ConnectError,
        TLSError,
        ConnectTimeout,
        FirstEventTimeout,
        IncompleteStream,
        ConnectionLost,
        IdleTimeout,
        TotalTimeout,
        RemoteProtocolError,
        LimitExceeded,
        TimeoutError,
    )
}


class RecordingError(ValueError):
    """A recording is invalid. The message has what was expected and what was found.

    Args:
        message: what was expected, and what was found.

    Attributes:
        line_number: of the invalid line, from 1.
    """

    def __init__(self, message: str, line_number: int = 0) -> None:
        super().__init__(message)
        self.line_number = line_number


class RecordedTimeouts(Struct, frozen=True):
    """The timeouts of the client, in seconds. None is no limit.

    One of more than 1e9 seconds is recorded as none.

    Attributes:
        connect: to establish the connection.
        first_event: from the connection to the first event.
        idle: without a byte, after the first event.
        total: from the request to the complete answer.
    """

    connect: float | None = None
    first_event: float | None = None
    idle: float | None = None
    total: float | None = None

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None:
                is_none = isinstance(value, float | int) and value > _MAX_SECONDS
                force_setattr(self, name, None if is_none else _seconds(value))


class RecordingHeader(Struct, frozen=True):
    """The request of an exchange, and the head of its response. `of` makes one without secrets.

    Attributes:
        method, path: of the request; the host is not recorded.
        request_headers: pairs, only those that are known to be harmless.
        request_body: the JSON body, with `sha256`, `media_type`, `bytes`, `width` and `height` in
            place of each picture.
        status_code: of the response, or None if no head came.
        response_headers: pairs, only those that are known to be harmless.
        seconds: from the request to the head.
        connected: seconds from the request to the connection, 0 if it was there before. None if
            that is not known.
        timeouts: of the client, if they are known.
    """

    method: str
    path: str
    request_headers: tuple[tuple[str, str], ...] = ()
    request_body: Any = None
    status_code: int | None = None
    response_headers: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0
    connected: float | None = None
    timeouts: RecordedTimeouts | None = None

    def __post_init__(self) -> None:
        force_setattr(self, "seconds", _seconds(self.seconds))
        if self.connected is not None:
            force_setattr(self, "connected", _seconds(self.connected))
        if not _is_finite(self.request_body):
            raise ValueError("the numbers in the body of the request should be finite")

    @classmethod
    def of(
        cls,
        request: HTTPRequest,
        status_code: int | None = None,
        response_headers: HeaderTypes = (),
        *,
        seconds: float = 0.0,
        secrets: Iterable[str] = (),
        connected: float | None = None,
        timeouts: RecordedTimeouts | None = None,
    ) -> RecordingHeader:
        """Make the header of an exchange, without its host, pictures and secrets.

        Args:
            request: as it was sent.
            status_code, response_headers: of the response, if a head came.
            seconds: from the request to the head.
            secrets: to mask in addition to the keys in headers, query and body of the request.
                Secrets of less than 4 characters are not masked.
            connected: seconds from the request to the connection, if that is known.
            timeouts: of the client, if they are known.

        Raises:
            ValueError: the body of the request is not JSON, or it has more than 64 secrets, or one
                of more than 8,192 characters.
        """
        secrets = Secrets.among(secrets)  # from here on no local variable shows them
        safe = safe_request(request, secrets)
        return cls(
            request.method,
            safe.path,
            safe.headers,
            safe.body,
            status_code,
            safe_headers(response_headers, RESPONSE_HEADERS, safe.secrets),
            seconds,
            connected,
            timeouts,
        )


class Chunk(OwnRepr, frozen=True):
    """Bytes of the body that came at once.

    Attributes:
        seconds: since the line before, with a resolution of a microsecond.
        data: the bytes.
    """

    seconds: float
    data: bytes

    def __post_init__(self) -> None:
        force_setattr(self, "seconds", _seconds(self.seconds))
        if not self.data:
            raise ValueError("a chunk should have at least one byte")

    def __repr__(self) -> str:
        size = f"{len(self.data):,} bytes"
        return f"<Chunk after {self.seconds:g} s, {size}: {shorten(self.data, 40)}>"


class Ending(Struct, frozen=True):
    """The end of an exchange.

    Attributes:
        seconds: since the line before.
        fault: `EOF`, `LEFT`, `OMITTED` or the name of an error: see `ending_error`.
        message: of the error, without secrets.
    """

    seconds: float
    fault: str = EOF
    message: str = ""

    def __post_init__(self) -> None:
        force_setattr(self, "seconds", _seconds(self.seconds))
        known = (EOF, LEFT, OMITTED, *ENDING_ERRORS)
        if self.fault not in known:
            raise ValueError(
                f"the ending should be one of {', '.join(known)}, not {shorten(self.fault, 40)!r}"
            )


Line: TypeAlias = RecordingHeader | Chunk | Ending
"""A line of a recording."""


def ending_error(ending: Ending) -> EndingError | None:
    """Make the error of `ending`, or None for `EOF`.

    `LEFT` and `OMITTED` give ConnectionLost: the answer is not whole. The builtin TimeoutError is
    for callers that map it to their own deadlines, as the clients do.
    """
    if ending.fault == EOF:
        return None
    if ending.fault == LEFT:
        return ConnectionLost("the recording ends here: its caller closed the exchange early")
    if ending.fault == OMITTED:
        return ConnectionLost(f"the recording ends here: {ending.message}")
    return ENDING_ERRORS[ending.fault](ending.message)


def decode_json(line: bytes) -> Any:
    """Decode the JSON value in a line.

    Raises:
        ValueError: the message has the beginning of the line.
    """
    try:
        return decode(line, MAX_DEPTH, max_values=len(line))
    except BeyondLimit:
        raise ValueError(f"the line nests deeper than {MAX_DEPTH}") from None
    except ValueError as error:
        where = str(error).replace(": line 1 ", ": ")  # the caller says which line it is
        raise ValueError(f"the line is not JSON ({where}): {shorten(line, 80)}") from error


def _is_finite(value: Any) -> bool:
    """Whether all numbers in a JSON value are finite. JSON cannot write others."""
    if isinstance(value, dict):
        value = list(cast("dict[str, Any]", value).values())
    if isinstance(value, list):
        return all(map(_is_finite, cast("list[Any]", value)))
    return not isinstance(value, float) or isfinite(value)


def _seconds(value: Any) -> float:
    if (
        not isinstance(value, int | float)
        or isinstance(value, bool)
        or not 0 <= value <= _MAX_SECONDS
    ):
        shown = shorten(repr(value), 40)
        raise ValueError(f"seconds should be a number from 0 to 1e9, not {shown}")
    return round(float(value), 6)
