"""`moondream-stream schema`: the JSON Schema of what `--json` prints, or of a trace."""

from __future__ import annotations

import json

from sansio_moondream import json_schema

from . import trace
from ._client_arguments import UsageError
from ._status import Exit
from ._wording import describe_error


def run_schema(kind: str | None) -> Exit:
    """Print the schema of all values, of one kind, or of a trace.

    Raises UsageError for an unknown kind.
    """
    try:
        schema = trace.json_schema() if kind == "trace" else json_schema(kind)
    except ValueError as error:
        raise UsageError(describe_error(error)) from error
    print(json.dumps(schema, indent=2))
    return Exit.OK
