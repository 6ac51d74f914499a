"""What `decode.py` found, as tables and as JSON, and whether it reached its targets."""

from __future__ import annotations

import json
import platform
import statistics
from dataclasses import dataclass

from candidates import FLOOR, OURS, PEERS

LINEAR_LIMIT = 24
LONG_RECORD = 1_000_000

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
            f"\n{cell.work}, {records:,} records, fragmentation: {cell.fragmentation}; "
            f"fastest peer: {peer or 'none'}"
        )
        print(f"  {'':<18} {'ns an event':>17} {'of the floor':>16} {'of the fastest peer':>20}")
        print(
            f"  {'':<18} {'median':>9} {'min':>7} {'median':>9} {'min':>6} "
            f"{'median':>12} {'min':>7}"
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
                f"  {name:<18} {length.size / 1e6:6.3f} MB {length.size * 12 / 1e6:7.3f} MB "
                f"{times} {length.ratio:7.1f}{note}"
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
