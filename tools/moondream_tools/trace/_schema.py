"""The JSON Schema of a trace."""

from __future__ import annotations

from typing import Any

import msgspec

from ._trace import Trace
from ._values import VERSION, TraceUpdate


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of `Trace.to_dict()`. Each call makes a new dict.

    Its `$defs` also have `TraceUpdate`.
    """
    (trace, _), definitions = msgspec.json.schema_components(
        [Trace, TraceUpdate], ref_template="#/$defs/{name}"
    )
    for definition in definitions.values():
        definition["description"] = definition["description"].partition("\n\n")[0]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"A trace of moondream_tools, version {VERSION}",
        **trace,
        "$defs": definitions,
    }
