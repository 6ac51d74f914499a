"""JSON in a record of an event stream: compact, and ASCII, so that surrogates are no exception.

A number that is not finite is one: it is no JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

to_json: Final = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
DONE: Final = b"data: [DONE]\n\n"


def record(message: Mapping[str, Any]) -> bytes:
    """Return a record without an id."""
    return f"data: {to_json(message)}\n\n".encode()
