"""A response for a test, with its expected outcome."""

from __future__ import annotations

from typing import Any, NamedTuple

from sansio_moondream._errors import APIError
from sansio_moondream._events import Event
from sansio_moondream._requests.base import Request
from sansio_moondream._wire.encode import Dialect


class Response(NamedTuple):
    """A response, and its outcome in every fragmentation.

    Attributes:
        request: of the response.
        status_code, headers: of the response.
        data: the body, without HTTP's framing.
        events: the expected events. The last of a whole answer is `Completed`.
        error: the expected error after them, or None. Its `body` and `partial` are not set.
        dialect: of a streamed answer, else None.
    """

    request: Request[Any]
    status_code: int
    headers: tuple[tuple[str, str], ...]
    data: bytes
    events: list[Event]
    error: APIError | None = None
    dialect: Dialect | None = None
