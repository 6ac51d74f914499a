"""A response made up for a test, and what must come out of it."""

from __future__ import annotations

from typing import Any, NamedTuple

from sansio_moondream._errors import APIError
from sansio_moondream._events import Event
from sansio_moondream._requests.base import Request
from sansio_moondream._wire.encode import Dialect


class Response(NamedTuple):
    """A response, and what must come out of it, however its bytes are cut.

    Attributes:
        request: what it answers.
        status_code, headers: its head.
        data: its body, without HTTP's framing.
        events: what must come out; where the answer is whole, the last is `Completed`.
        error: what must come after them, or None where the answer is whole. Its `body` and
            `partial` are left empty.
        dialect: of a streamed answer, else None.
    """

    request: Request[Any]
    status_code: int
    headers: tuple[tuple[str, str], ...]
    data: bytes
    events: list[Event]
    error: APIError | None = None
    dialect: Dialect | None = None
