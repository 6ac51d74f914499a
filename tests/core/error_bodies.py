"""Bodies of error answers, and what is read from each."""

from __future__ import annotations

from typing import Any

from sansio_moondream import (
    APIError,
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    PayloadTooLargeError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
)
from sansio_moondream.testing import Outcome, run
from tests.helpers import QUERY

CLASSES: dict[int, type[APIError]] = {
    300: APIError,
    304: APIError,
    400: BadRequestError,
    401: AuthenticationError,
    402: PaymentRequiredError,
    403: PermissionDeniedError,
    404: NotFoundError,
    405: APIError,
    408: APIError,
    409: APIError,
    413: PayloadTooLargeError,
    418: APIError,
    422: BadRequestError,
    429: RateLimitError,
    451: APIError,
    499: APIError,
    500: ServerError,
    501: ServerError,
    502: ServerError,
    503: ServerError,
    504: ServerError,
    529: ServerError,
    599: ServerError,
    600: APIError,
    999: APIError,
}


NONE = "(it gave no reason)"
HTML = b"""<!DOCTYPE html>
<html>
<head><TITLE lang="en">
  502 Bad
  Gateway</TITLE></head>
<body><center><h1>nginx</h1></center></body>
</html>
"""


# Each body with its message, type, code, param and request id.
BODIES: dict[str, tuple[bytes, tuple[str, str | None, str | None, str | None, str | None]]] = {
    "object": (
        (
            b'{"error": {"message": "No.", "type": "rate_limit_error", "param": "image_url", '
            b'"code": "slow"}}'
        ),
        ("No.", "rate_limit_error", "slow", "image_url", None),
    ),
    "object, nulls": (
        b'{"error": {"message": "No.", "type": null, "param": null, "code": null}}',
        ("No.", None, None, None, None),
    ),
    "object, code is a number": (
        b'{"error": {"message": "No.", "code": 42}}',
        ("No.", None, "42", None, None),
    ),
    "object, fields of wrong types": (
        (
            b'{"error": {"message": "No.", "type": ["x"], "code": {}, "param": 1.5}, '
            b'"request_id": false}'
        ),
        ("No.", None, None, None, None),
    ),
    "object, request ids": (
        b'{"error": {"message": "No.", "request_id": 7}, "request_id": "8"}',
        ("No.", None, None, None, "7"),
    ),
    "object, request id beside": (
        b'{"request_id": "8", "error": {"message": "No."}}',
        ("No.", None, None, None, "8"),
    ),
    "object, type error": (
        b'{"type": "error", "error": {"type": "invalid_request_error", "message": "No."}}',
        ("No.", "invalid_request_error", None, None, None),
    ),
    "object, and more beside": (
        b'{"message": "Bad Request", "error": {"message": "No."}, "detail": "Really not."}',
        ("Bad Request: No.: Really not.", None, None, None, None),
    ),
    "object, that says little": (b'{"error": {"message": ""}}', (NONE, None, None, None, None)),
    "text": (b'{"error": "No."}', ("No.", None, None, None, None)),
    "text, type beside": (
        b'{"error": "No.", "type": "server_error", "code": "x"}',
        ("No.", "server_error", "x", None, None),
    ),
    "text and detail": (
        b'{"error": "No.", "detail": "Really not."}',
        ("No.: Really not.", None, None, None, None),
    ),
    "text twice": (b'{"error": "No.", "detail": "No."}', ("No.", None, None, None, None)),
    "raw UTF-8": ('{"error": "月が見えない"}'.encode(), ("月が見えない", None, None, None, None)),
    "byte order mark": (b'\xef\xbb\xbf{"error": "No."}', ("No.", None, None, None, None)),
    "a lone surrogate": (
        b'{"error": "No \\ud83c."}',
        ("No \N{REPLACEMENT CHARACTER}.", None, None, None, None),
    ),
    "blanks around": (b'\r\n {"error": " No.\\n"}\n', ("No.", None, None, None, None)),
    "several lines": (
        b'{"error": "No.\\n  Really\\tnot."}',
        ("No. Really not.", None, None, None, None),
    ),
    "detail": (b'{"detail": "Not Found"}', ("Not Found", None, None, None, None)),
    "detail, object": (b'{"detail": {"message": "No."}}', ("No.", None, None, None, None)),
    "message": (b'{"message": "No.", "request_id": "9"}', ("No.", None, None, None, "9")),
    "validation": (
        (
            b'{"detail": [{"type": "missing", "loc": ["body", "question"], "msg": "Missing"}, '
            b'{"loc": ["body", 0], "msg": "Is no number"}]}'
        ),
        ("body.question: Missing; body.0: Is no number", None, None, None, None),
    ),
    "validation, odd": (
        (
            b'{"detail": [{"loc": 5, "msg": "a"}, {"loc": "body", "msg": "b"}, {"msg": "c"}, '
            b'{"loc": [], "msg": "d"}, "e", 7, null]}'
        ),
        ("a; b; c; d; e", None, None, None, None),
    ),
    "validation, none": (b'{"detail": []}', (NONE, None, None, None, None)),
    "JSON text": (b'"No."', ("No.", None, None, None, None)),
    "JSON list": (
        b'["No.", {"error": "Really not."}]',
        ("No.; Really not.", None, None, None, None),
    ),
    "JSON null": (b"null", (NONE, None, None, None, None)),
    "JSON number": (b"7", (NONE, None, None, None, None)),
    "JSON object of something else": (b'{"status": "down"}', (NONE, None, None, None, None)),
    "truncated JSON": (b'{"error": "No', ('{"error": "No', None, None, None, None)),
    "JSON too deep": (
        b'{"error": ' + b"[" * 100,
        ('{"error": ' + "[" * 100, None, None, None, None),
    ),
    "plain text": (b"upstream connect error\n", ("upstream connect error", None, None, None, None)),
    "HTML": (HTML, ("502 Bad Gateway", None, None, None, None)),
    "HTML without a title": (
        b"<html><title> </title><b>No</b>,\n no.</html>",
        ("No , no.", None, None, None, None),
    ),
    "XML": (
        b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>",
        ("NoSuchKey", None, None, None, None),
    ),
    "a lone bracket": (b"<", ("<", None, None, None, None)),
    "empty": (b"", (NONE, None, None, None, None)),
    "blank": (b" \r\n", (NONE, None, None, None, None)),
    "invalid UTF-8": (
        b"No: \xff\xfe",
        ("No: \N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}", None, None, None, None),
    ),
    "invalid UTF-8 in JSON": (
        b'{"error": "\xff"}',
        ('{"error": "\N{REPLACEMENT CHARACTER}"}', None, None, None, None),
    ),
}


def refused(outcome: Outcome) -> APIError:
    assert isinstance(outcome.error, APIError), outcome
    return outcome.error


def answer(status_code: int, body: bytes, headers: Any = (), **options: Any) -> APIError:
    outcome = run(QUERY, [body], status_code=status_code, headers=headers, **options)
    assert (outcome.events, outcome.snapshot) == ([], None)
    return refused(outcome)
