"""The JSON Schema of a trace."""

from __future__ import annotations

from typing import Any

import msgspec

from ._trace import Trace


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of `Trace.to_dict()`. Each call makes a new dict."""
    schema = msgspec.json.schema(Trace)
    for definition in schema["$defs"].values():
        definition["description"] = definition["description"].partition("\n\n")[0]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
