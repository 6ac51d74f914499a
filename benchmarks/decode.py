"""How fast is decoding? Prints ns an event and the ratio to the floor and to the fastest peer, from
one run.

    python benchmarks/decode.py [--quick] [--rounds N] [--only NAME ...] [--json]

In each round every candidate decodes the same chunks once, in an order shuffled from a fixed seed,
so that whatever else the machine does falls on all alike. A ratio is the median of the ratios
within each round (that machine noise moves least); beside it stands the ratio of the fastest
rounds."""

from __future__ import annotations

import argparse
import gc
import json
import platform
import random
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import against
import candidates
import works
from against_child import WORKS
from candidates import FLOOR, OURS, PEERS, Run
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
LINEAR_LIMIT = 24
LONG_RECORD = 1_000_000
# seconds for one long record; a candidate that would take longer gets records of a twelfth
PATIENCE = 20.0

TARGETED = ("query", "segment")  # of the works
# By fragmentation: the least ratio to the floor, and the least ratio to the fastest peer.
TARGETS: dict[str, tuple[float | None, float]] = {
    "whole": (0.42, 4.0),
    "1460": (0.32, 4.0),
    "event": (0.23, 3.0),
    "byte": (None, 0.5),
}


@dataclass(frozen=True)
class Timing:
    """Seconds of each round, and how many records each decoded."""

    seconds: list[float]
    records: int

    @property
    def median(self) -> float:
        return statistics.median(self.seconds) / self.records * 1e9

    @property
    def least(self) -> float:
        return min(self.seconds) / self.records * 1e9


@dataclass(frozen=True)
class Cell:
    """One work in one fragmentation, all candidates."""

    work: str
    fragmentation: str
    timings: dict[str, Timing]

    def fastest_peer(self) -> str | None:
        peers = [name for name in self.timings if name in PEERS]
        return min(peers, key=lambda name: self.timings[name].median, default=None)

    def ratios(self, name: str, other: str | None) -> tuple[float, float] | None:
        """How many times as fast as `other` the candidate is: the median over the rounds, and that
        of the fastest rounds.
        """
        if other is None or name not in self.timings or other not in self.timings:
            return None
        mine, others = self.timings[name], self.timings[other]
        rounds = [theirs / ours for ours, theirs in zip(mine.seconds, others.seconds, strict=True)]
        return statistics.median(rounds), others.least / mine.least


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


@dataclass(frozen=True)
class Linear:
    """How much longer a record of twelve times `size` takes than one of `size`, both in chunks of
    100 bytes.
    """

    size: int
    short: float
    long: float

    @property
    def ratio(self) -> float:
        return self.long / self.short


def linear(runs: dict[str, Run], tries: int) -> dict[str, Linear]:
    found: dict[str, Linear] = {}
    for name, run in runs.items():
        if name == FLOOR:
            continue  # it gets its payloads cut out
        size = LONG_RECORD
        if least_of(1, run, size) * 12**2 > PATIENCE:  # were it quadratic
            size //= 12
        found[name] = Linear(size, least_of(tries, run, size), least_of(tries, run, size * 12))
    return found


def least_of(tries: int, run: Run, size: int) -> float:
    work = works.one_long_record(size)
    chunks = works.in_chunks_of(100)(work)
    return min(timed(run, work, chunks) for _ in range(tries))


@dataclass(frozen=True)
class Verdict:
    what: str
    wanted: str
    seen: str
    reached: bool | None  # None: not measured

    def __str__(self) -> str:
        answer = {True: "reached", False: "NOT REACHED", None: "not measured"}[self.reached]
        return f"{self.what:<38} {self.wanted:>8} {self.seen:>8}  {answer}"


def verdicts(cells: list[Cell], lengths: dict[str, Linear]) -> list[Verdict]:
    rows: list[Verdict] = []
    for cell in cells:
        if cell.work not in TARGETED:
            continue
        of_floor, of_peer = TARGETS[cell.fragmentation]
        where = f"{cell.work}, {cell.fragmentation}"
        if of_floor is not None:
            rows.append(_at_least(f"{where}: of the floor", of_floor, cell.ratios(OURS, FLOOR)))
        rows.append(
            _at_least(
                f"{where}: of the fastest peer", of_peer, cell.ratios(OURS, cell.fastest_peer())
            )
        )
    if OURS in lengths:
        ratio = lengths[OURS].ratio
        rows.append(
            Verdict(
                "linear: 12 MB to 1 MB", f"<= {LINEAR_LIMIT}", f"{ratio:.1f}", ratio <= LINEAR_LIMIT
            )
        )
    return rows


def _at_least(what: str, wanted: float, ratios: tuple[float, float] | None) -> Verdict:
    if ratios is None:
        return Verdict(what, f">= {wanted:g}", "-", None)
    return Verdict(what, f">= {wanted:g}", f"{ratios[0]:.2f}", ratios[0] >= wanted)


def report(cells: list[Cell], lengths: dict[str, Linear], rounds: int) -> None:
    for cell in cells:
        peer = cell.fastest_peer()
        records = next(iter(cell.timings.values())).records
        print(
            f"\n{cell.work}, {records:,} records, cut: {cell.fragmentation}; fastest peer: {peer or 'none'}"
        )
        print(f"  {'':<18} {'ns an event':>17} {'of the floor':>16} {'of the fastest peer':>20}")
        print(
            f"  {'':<18} {'median':>9} {'min':>7} {'median':>9} {'min':>6} {'median':>12} {'min':>7}"
        )
        for name in sorted(cell.timings, key=lambda name: cell.timings[name].median):
            timing = cell.timings[name]
            ratios = [
                "-" if pair is None else f"{ratio:.2f}"
                for pair in (cell.ratios(name, FLOOR), cell.ratios(name, peer))
                for ratio in pair or (0.0, 0.0)
            ]
            print(
                "  {:<18} {:>9.0f} {:>7.0f} {:>9} {:>6} {:>12} {:>7}".format(
                    name, timing.median, timing.least, *ratios
                )
            )
    if lengths:
        print("\none record in chunks of 100 bytes: time for twelve times the size (12 is linear)")
        for name, length in lengths.items():
            note = (
                "" if length.size == LONG_RECORD else " (smaller records: it would take too long)"
            )
            times = f"{length.short * 1e3:9.1f} ms {length.long * 1e3:9.1f} ms"
            print(
                f"  {name:<18} {length.size / 1e6:6.3f} MB {length.size * 12 / 1e6:7.3f} MB {times} {length.ratio:7.1f}{note}"
            )
    print(f"\ntargets, by the median of {rounds} rounds")
    for verdict in verdicts(cells, lengths):
        print(f"  {verdict}")


def as_json(
    cells: list[Cell], lengths: dict[str, Linear], notes: dict[str, str], rounds: int
) -> str:
    return json.dumps(
        {
            "python": platform.python_version(),
            "candidates": notes,
            "rounds": rounds,
            "cells": [
                {
                    "work": cell.work,
                    "fragmentation": cell.fragmentation,
                    "fastest_peer": cell.fastest_peer(),
                    "candidates": {
                        name: {
                            "records": timing.records,
                            "median_ns": timing.median,
                            "min_ns": timing.least,
                            "of_floor": cell.ratios(name, FLOOR),
                            "of_fastest_peer": cell.ratios(name, cell.fastest_peer()),
                        }
                        for name, timing in cell.timings.items()
                    },
                }
                for cell in cells
            ],
            "linear": {
                name: {
                    "bytes": [length.size, length.size * 12],
                    "seconds": [length.short, length.long],
                    "ratio": length.ratio,
                }
                for name, length in lengths.items()
            },
            "targets": [
                {
                    "what": verdict.what,
                    "wanted": verdict.wanted,
                    "seen": verdict.seen,
                    "reached": verdict.reached,
                }
                for verdict in verdicts(cells, lengths)
            ],
        },
        indent=1,
    )


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
            f"Python {platform.python_version()}; {rounds} rounds; cut into single bytes, the works are a tenth as long"
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
