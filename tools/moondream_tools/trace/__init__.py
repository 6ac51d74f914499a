"""What happened in an exchange, from chunks to events: a `Trace` of a recording.

    from moondream_tools.trace import Trace

    trace = Trace.of(read_recording("segment.jsonl"))
    for event in trace.events:
        chunk = trace.chunks[event.chunk]
        print(event.at, chunk.start, event.value["kind"])

1. A trace has four lists: chunks as they were received, the records, messages and events that their
   bytes complete. Each item says when, and which item of the list before it belongs to.
2. The project's own decoder makes them. Whoever draws a trace decodes nothing.
3. `to_dict()` is its JSON form; `VERSION` is in it. docs/reference/trace.md has each field.
"""

from ._builder import TraceBuilder
from ._schema import json_schema
from ._trace import Trace
from ._values import (
    VERSION,
    TraceChunk,
    TraceDeadlines,
    TraceEnding,
    TraceEvent,
    TraceMessage,
    TraceRecord,
    TraceRequest,
    TraceResponse,
    TraceState,
    TraceTimes,
    TraceUpdate,
)

__all__ = [
    "VERSION",
    "Trace",
    "TraceBuilder",
    "TraceChunk",
    "TraceDeadlines",
    "TraceEnding",
    "TraceEvent",
    "TraceMessage",
    "TraceRecord",
    "TraceRequest",
    "TraceResponse",
    "TraceState",
    "TraceTimes",
    "TraceUpdate",
    "json_schema",
]
