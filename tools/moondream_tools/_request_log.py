"""A log of requests for programs: a JSON object a line, without keys, pictures and texts.

A line is written when its exchange ends, with one system call. So a killed server loses no line,
and a line is never half of one.
"""

from __future__ import annotations

import os
import time
from types import TracebackType
from typing import Self

import msgspec

from ._exchange import Exchange
from ._service import skill_of


class LoggedRequest(msgspec.Struct, frozen=True):
    """A line of the log.

    Attributes:
        time: when the request was complete, in seconds of `time.time()`.
        method, path: of the request, without a query string.
        skill: the last part of the path; `chat` for a chat.
        sha256: of the body.
        status: of the answer, or None if there was no head.
        fault: that was simulated, or None.
        ended: `complete` if the whole answer was sent, `aborted` if this server ended it before,
            `left` if the client did.
        seconds: from the complete request to the end.
    """

    time: float
    method: str
    path: str
    skill: str
    sha256: str
    status: int | None
    fault: str | None
    ended: str
    seconds: float

    @classmethod
    def of(cls, exchange: Exchange) -> LoggedRequest:
        """Return the line for an exchange that ended."""
        seconds = time.monotonic() - exchange.began_at
        return cls(
            round(time.time() - seconds, 6),
            exchange.request.method,
            exchange.path,
            skill_of(exchange.path),
            exchange.digest,
            exchange.status_code,
            exchange.fault,
            "left" if exchange.client_left else "aborted" if exchange.is_aborted else "complete",
            round(seconds, 6),
        )


class RequestLog:
    """Append a line to a file for each exchange. Raises OSError if it cannot be written."""

    def __init__(self, path: str) -> None:
        binary = getattr(os, "O_BINARY", 0)  # of Windows, which would write each "\n" as "\r\n"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | binary, 0o666)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._file)

    def write(self, exchange: Exchange) -> None:
        """Write the line of an exchange."""
        os.write(self._file, msgspec.json.encode(LoggedRequest.of(exchange)) + b"\n")
