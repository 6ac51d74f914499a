"""What a recording is made of: the header, the chunks, the ending, and the error for a recording
that is broken.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final, TypeAlias

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
from sansio_moondream._requests.http import HTTPRequest
from sansio_moondream._wire.json import TooDeep, decode

from ._redaction import (
    REQUEST_HEADERS,
    RESPONSE_HEADERS,
    mask_text,
    request_secrets,
    safe_body,
    safe_headers,
)

EOF: Final = "eof"
LEFT: Final = "left"
MAX_DEPTH: Final = 64
EndingError: TypeAlias = MoondreamError | TimeoutError
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
    """A recording is broken: the message says what was expected and what was seen, in which line
    (`line_number`, from 1).
    """

    def __init__(self, message: str, line_number: int = 0) -> None:
        super().__init__(message)
        self.line_number = line_number


class RecordingHeader(Struct, frozen=True):
    """What was asked, and the head of what was answered. Make one of an exchange with `of`, which
    leaves secrets out.

    Attributes:
        method, path: of the request; the host is not written down.
        request_headers: pairs, those that are harmless.
        request_body: the JSON body; instead of each picture its `sha256`, `media_type`, `bytes`,
            `width` and `height`.
        status_code: of the response, or None where no head came.
        response_headers: pairs, those that are harmless.
        seconds: from when the request was sent until the head came.
    """

    method: str
    path: str
    request_headers: tuple[tuple[str, str], ...] = ()
    request_body: Any = None
    status_code: int | None = None
    response_headers: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0

    def __post_init__(self) -> None:
        force_setattr(self, "seconds", _seconds(self.seconds))

    @classmethod
    def of(
        cls,
        request: HTTPRequest,
        status_code: int | None = None,
        response_headers: HeaderTypes = (),
        *,
        seconds: float = 0.0,
        secrets: Collection[str] = (),
    ) -> RecordingHeader:
        """The header of an exchange, without its host, pictures and secrets.

        `secrets`, and without saying the keys in the request's own headers and query, are masked
        where they still occur, if they have 4 characters or more. Raises ValueError for a request
        whose body is not JSON."""
        secrets = request_secrets(request).union(secrets)
        path = "/" + request.url.partition("://")[2].partition("/")[2].partition("?")[0]
        return cls(
            request.method,
            mask_text(path, secrets),
            safe_headers(request.headers, REQUEST_HEADERS, secrets),
            safe_body(decode_json(request.body), secrets),
            status_code,
            safe_headers(response_headers, RESPONSE_HEADERS, secrets),
            seconds,
        )


class Chunk(Struct, frozen=True):
    """Bytes of the body that came at once, `seconds` after the line before (kept to the
    microsecond).
    """

    seconds: float
    data: bytes

    def __post_init__(self) -> None:
        force_setattr(self, "seconds", _seconds(self.seconds))
        if not self.data:
            raise ValueError("a chunk should have at least one byte")

    def __repr__(self) -> str:
        return (
            f"<Chunk after {self.seconds:g} s, {len(self.data):,} bytes: {shorten(self.data, 40)}>"
        )


class Ending(Struct, frozen=True):
    """How the exchange ended, `seconds` after the line before: `EOF`, `LEFT` or the name of an
    error. See `ending_error`.
    """

    seconds: float
    fault: str = EOF
    message: str = ""

    def __post_init__(self) -> None:
        force_setattr(self, "seconds", _seconds(self.seconds))
        if self.fault not in (EOF, LEFT, *ENDING_ERRORS):
            raise ValueError(
                f"the ending should be {EOF}, {LEFT} or one of {', '.join(ENDING_ERRORS)}, not {shorten(self.fault, 40)!r}"
            )


Line: TypeAlias = RecordingHeader | Chunk | Ending


def ending_error(ending: Ending) -> EndingError | None:
    """The error that an ending stands for, to be raised in its place; None for `EOF`.

    `LEFT` is ConnectionLost: whoever reads on behind it, sees an answer that is not whole. The
    builtin TimeoutError is for those who name their deadlines themselves, as clients do."""
    if ending.fault == EOF:
        return None
    if ending.fault == LEFT:
        return ConnectionLost(
            "the recording goes no further: whoever made it left the exchange here"
        )
    return ENDING_ERRORS[ending.fault](ending.message)


def decode_json(line: bytes) -> Any:
    """The JSON value in a line or a body. Raises ValueError in words."""
    try:
        return decode(line, MAX_DEPTH)
    except TooDeep:
        raise ValueError(f"the line nests deeper than {MAX_DEPTH}") from None
    except ValueError as error:
        raise ValueError(f"the line is not JSON ({error}): {shorten(line, 80)}") from error


def _seconds(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1e9:
        raise ValueError(
            f"seconds should be a number from 0 to 1e9, not {shorten(repr(value), 40)}"
        )
    return round(float(value), 6)
