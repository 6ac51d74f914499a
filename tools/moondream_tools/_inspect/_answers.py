"""What the server of the page answers: its headers, and errors as JSON."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec
from msgspec import Struct

from moondream_tools._exchange import Exchange, Field

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final[tuple[Field, ...]] = (
    ("content-security-policy", _POLICY),
    ("referrer-policy", "no-referrer"),  # the address has the token
    ("x-content-type-options", "nosniff"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-store"),
)
"""The headers of all answers."""
JSON: Final = "application/json"


def to_json(value: Any) -> bytes:
    """Encode a value as JSON. A surrogate without its other half becomes an escape."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(value)).encode()


class Answer(Struct, frozen=True):
    """A whole answer.

    Attributes:
        body: of the answer.
        content_type: of the body.
        status_code: of the answer.
        headers: in addition to `HEADERS`.
    """

    body: bytes
    content_type: str = JSON
    status_code: int = 200
    headers: tuple[Field, ...] = ()

    @classmethod
    def of(cls, value: Any) -> Answer:
        """Return the answer that has a JSON value, or nothing for None."""
        if value is None:
            return cls(b"", status_code=204)
        return value if isinstance(value, Answer) else cls(to_json(value))

    async def send(self, exchange: Exchange) -> None:
        """Answer an exchange."""
        fields = [*HEADERS, *self.headers]
        if self.status_code == 204:
            await exchange.start(204, fields)
            await exchange.end()
            return
        fields.append(("content-type", self.content_type))
        await exchange.answer(self.status_code, self.body, fields)


class Refused(Exception):
    """A request cannot be answered.

    Args:
        status_code: of the answer.
        message: for the user of the page.
        details: more fields of the error.
    """

    def __init__(self, status_code: int, message: str, **details: Any) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.details = details

    def answer(self, headers: tuple[Field, ...] = ()) -> Answer:
        """Return the error as an answer."""
        error = {"message": str(self), **self.details}
        return Answer(to_json({"error": error}), JSON, self.status_code, headers)
