"""One side of `decode.py --against`: decodes with the package of one checkout.

    python against_child.py CHECKOUT

For each line `ROW COUNT` on standard input it runs a row `COUNT` times and answers with the seconds
of the fastest. It uses the package's public API only, so any revision can be measured.
"""

from __future__ import annotations

import gc
import sys
import time
from importlib import import_module
from pathlib import Path

import works
from works import FRAGMENTATIONS, Work

clock = (
    time.process_time
    if time.get_clock_info("process_time").resolution < 1e-6
    else time.perf_counter
)

EVENTS = 2_000
WORKS: dict[str, Work] = {
    "query": works.query(EVENTS),
    "documented": works.documented(EVENTS),
    "segment": works.segment(EVENTS, 20_000),
    "chat": works.chat(EVENTS),
    "unknown field": works.with_unknown_field(EVENTS),
    "CR LF": works.with_crlf(EVENTS),
}
SLOW_PATH = ("unknown field", "CR LF")
ROWS = [f"{work}, {fragmentation}" for work in WORKS for fragmentation in FRAGMENTATIONS]


def main() -> None:
    checkout = Path(sys.argv[1]).resolve()
    sys.path.insert(0, str(checkout))
    package = import_module("sansio_moondream")
    if checkout not in Path(str(package.__file__)).parents:
        raise SystemExit(f"the package of {checkout} was expected, not {package.__file__}")
    run = import_module("candidates").sansio_moondream()
    chunks = {
        f"{name}, {fragmentation}": (work, cut(work))
        for name, work in WORKS.items()
        for fragmentation, cut in FRAGMENTATIONS.items()
    }
    for work, cut in chunks.values():  # imports and caches, before anything counts
        run(work, cut)
    gc.collect()
    gc.freeze()
    print("ready", flush=True)
    for line in sys.stdin:
        row, _, count = line.rpartition(" ")
        seconds = []
        for _ in range(int(count)):
            gc.collect()
            start = clock()
            run(*chunks[row])
            seconds.append(clock() - start)
        print(min(seconds), flush=True)


if __name__ == "__main__":
    main()
