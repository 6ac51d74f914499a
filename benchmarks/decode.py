"""How fast is decoding? Prints ns an event and the ratio to the floor and to the fastest peer, from
one run.

    python benchmarks/decode.py [--quick] [--rounds N] [--only NAME ...] [--json]
    python benchmarks/decode.py --against REVISION [--rounds N] [--only NAME ...] [--json]

In each round every candidate decodes the same chunks once, in an order shuffled from a fixed seed,
so that whatever else the machine does falls on all alike. A ratio is the median of the ratios
within each round (that machine noise moves least); beside it stands the ratio of the fastest
rounds."""

from __future__ import annotations

import argparse
import gc
import platform
import random
import time
from typing import TYPE_CHECKING

import against
import candidates
import works
from against_child import WORKS
from candidates import FLOOR, Run
from decode_report import LONG_RECORD, Cell, Linear, Timing, as_json, report
from works import FRAGMENTATIONS, Work

if TYPE_CHECKING:
    from collections.abc import Iterable

# Nothing here waits, so time on the processor is the time; where that clock is too coarse
# (Windows), time on the wall.
clock = (
    time.process_time
    if time.get_clock_info("process_time").resolution < 1e-6
    else time.perf_counter
)

SEED = 20_000
MOST_SECONDS = 20.0  # for one long record; a slower candidate gets records of a twelfth


def timed(run: Run, work: Work, chunks: list[bytes]) -> float:
    gc.collect()
    start = clock()
    run(work, chunks)
    return clock() - start


def measure(
    runs: dict[str, Run],
    parts: dict[str, tuple[Work, Work]],
    fragmentations: Iterable[str],
    rounds: int,
) -> list[Cell]:
    """Every candidate on every work in every fragmentation.

    Each part has a work, and a smaller one for single bytes.
    """
    inputs: dict[tuple[str, str], tuple[Work, list[bytes]]] = {}
    for part, (work, small) in parts.items():
        for fragmentation in fragmentations:
            chosen = small if fragmentation == "byte" else work
            inputs[part, fragmentation] = chosen, FRAGMENTATIONS[fragmentation](chosen)
    seconds: dict[tuple[str, str], dict[str, list[float]]] = {
        key: {name: [] for name in runs} for key in inputs
    }
    order = list(runs)
    shuffle = random.Random(SEED).shuffle
    for _ in range(rounds):
        for key, (work, chunks) in inputs.items():
            shuffle(order)
            for name in order:
                seconds[key][name].append(timed(runs[name], work, chunks))
    return [
        Cell(
            *key,
            {name: Timing(times, len(inputs[key][0].payloads)) for name, times in by_name.items()},
        )
        for key, by_name in seconds.items()
    ]


def linear(runs: dict[str, Run], tries: int) -> dict[str, Linear]:
    found: dict[str, Linear] = {}
    for name, run in runs.items():
        if name == FLOOR:
            continue  # it gets its payloads cut out
        size = LONG_RECORD
        if least_of(1, run, size) * 12**2 > MOST_SECONDS:  # were it quadratic
            size //= 12
        found[name] = Linear(size, least_of(tries, run, size), least_of(tries, run, size * 12))
    return found


def least_of(tries: int, run: Run, size: int) -> float:
    work = works.one_long_record(size)
    chunks = works.in_chunks_of(100)(work)
    return min(timed(run, work, chunks) for _ in range(tries))


def main() -> None:
    parser = argparse.ArgumentParser(description="How fast is decoding?")
    parser.add_argument(
        "--rounds", type=int, help="how often each candidate runs (default 15; 3 with --quick)"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a tenth of the work and fewer rounds: a look, not a measurement",
    )
    parts = ["query", "documented", "segment", "linear"]
    names = list(dict.fromkeys([*candidates.ALL, *parts, *WORKS, *FRAGMENTATIONS]))
    only = f"candidates, works or fragmentations: {', '.join(names)}; the floor always runs"
    parser.add_argument("--only", nargs="+", default=[], choices=names, metavar="NAME", help=only)
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object instead of tables"
    )
    parser.add_argument(
        "--against",
        metavar="REVISION",
        help="compare this checkout with another git revision of it, and measure nothing else",
    )
    args = parser.parse_args()
    if args.against:
        against.report(args.against, args.only, args.rounds or 41, args.json)
        return

    def chosen(names: Iterable[str]) -> list[str]:
        """Those of `names` that --only names, or all of them if it names none of this kind."""
        names = list(names)
        return [name for name in names if name in args.only] or names

    runs, notes = candidates.load(dict.fromkeys([FLOOR, *chosen(candidates.ALL)]))
    scale = 10 if args.quick else 1
    rounds: int = args.rounds or (3 if args.quick else 15)
    all_works = {
        "query": (works.query(20_000 // scale), works.query(2_000 // scale)),
        "documented": (works.documented(20_000 // scale), works.documented(2_000 // scale)),
        "segment": (
            works.segment(5_000 // scale, 200_000 // scale),
            works.segment(500 // scale, 20_000 // scale),
        ),
    }
    if not args.json:
        print(
            f"Python {platform.python_version()}; {rounds} rounds; "
            "in single bytes, the works are a tenth as long"
        )
        for name, note in notes.items():
            print(f"  {name}: {f'msgspec {note}' if name == FLOOR else note}")
    for run in runs.values():  # imports and caches, before anything counts
        for work in (works.query(100), works.segment(10, 1_000)):
            run(work, FRAGMENTATIONS["1460"](work))
    gc.collect()
    gc.freeze()  # what one package loads must not make garbage collection dearer for another
    wanted = chosen(parts)
    cells = measure(
        runs,
        {part: all_works[part] for part in wanted if part in all_works},
        chosen(FRAGMENTATIONS),
        rounds,
    )
    lengths = linear(runs, 1 if args.quick else 3) if "linear" in wanted else {}
    if args.json:
        print(as_json(cells, lengths, notes, rounds))
    else:
        report(cells, lengths, rounds)


if __name__ == "__main__":
    main()
