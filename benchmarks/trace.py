"""How long does a trace take, from a recording to its JSON?

    python benchmarks/trace.py [--chunks N] [--rounds N]

Each work is a recording of one record a chunk. Beside its trace stands the decoder alone, with the
same chunks. A page has three seconds to show 100,000 chunks, of which the trace should take 1.2.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import TYPE_CHECKING

import works

from moondream_tools._convert import request_of
from moondream_tools.trace import Trace
from sansio_moondream import ResponseStream
from sansio_moondream.recording import Chunk, Ending, Recording, RecordingHeader

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD = (("content-type", "text/event-stream"),)


def recorded(work: works.Work) -> Recording:
    name = "chat/completions" if work.skill == "chat" else work.skill
    header = RecordingHeader("POST", f"/v1/{name}", (), {}, 200, HEAD, 0.2)
    return Recording(header, tuple(Chunk(0.01, data) for data in work.records), Ending(0))


def decode(work: works.Work, recording: Recording) -> int:
    stream = ResponseStream(request_of(work.skill))
    stream.receive_response(200, HEAD)
    events = 0
    for chunk in recording.chunks:
        stream.receive_data(chunk.data)
        events += sum(1 for _ in stream.events())
    return events


def timed(run: Callable[[], int], expected: int, rounds: int) -> str:
    """Return the least and the median processor time of the rounds."""
    seconds: list[float] = []
    for _ in range(rounds):
        began = time.process_time()
        events = run()
        seconds.append(time.process_time() - began)
        if events != expected:
            raise SystemExit(f"{expected:,} events were expected, not {events:,}")
    return f"{min(seconds):6.2f} {statistics.median(seconds):7.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    count, rounds = arguments.chunks, arguments.rounds
    print(f"{count:,} chunks; seconds of processor time: least and median of {rounds} rounds")
    print(f"{'':16} {'decoded':>14} {'trace':>14} {'JSON':>14} {'MB':>6}")
    for name, work in {
        "text": works.query(count),
        "path": works.segment(count, 4 * count),
        "chat": works.chat(count),
        "text, CR LF": works.with_crlf(count),
    }.items():
        recording = recorded(work)
        trace = Trace.of(recording)
        events = len(trace.events)
        columns = [
            timed(lambda work=work, made=recording: decode(work, made), events, rounds),
            timed(lambda made=recording: len(Trace.of(made).events), events, rounds),
            timed(lambda made=trace, events=events: made.encode() and events, events, rounds),
        ]
        print(f"{name:16} {' '.join(columns)} {len(trace.encode()) / 1e6:6.1f}", flush=True)


if __name__ == "__main__":
    main()
