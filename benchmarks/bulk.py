"""What does an item of a bulk run cost? Prints processor time of the client for each item.

    python benchmarks/bulk.py [--short] [--rounds N] [--items N] [--only NAME ...] [--json]

*bulk* is `run_bulk`: it reads the items, asks about each, commits each answer in the ledger, and
writes them as Parquet. The peers only ask, and keep nothing: *moondream* is the official client in
a pool of threads, *openai* the package with tasks and a semaphore. All have 32 requests in flight,
and get the same photographs, encoded beforehand. Each has the form that its candidate sends without
encoding or checking it again: ours an `EncodedImage`, the official client a `Base64EncodedImage`,
openai the data URL.

The server (bulk_server.py) is a process of its own, and is not counted. It answers at once, or
after `--latency` milliseconds. Each candidate runs in a fresh process in each round, in an order
that is turned around every round (bulk_candidates.py). A ratio is the median of the ratios within
each round. What cannot be imported is named and left out."""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bulk_candidates import CANDIDATES, CONCURRENT
from end_to_end import child

SIZES = ("640x480", "1024x768")  # of the photographs: about 105 and 270 KB
OURS, TARGET = "bulk", 0.5
Found = dict[str, dict[str, list[dict[str, float]]]]
"""By candidate and size of the photographs: the figures of each round."""


@contextmanager
def server() -> Iterator[str]:
    """Run the server. Gives its address."""
    command = [sys.executable, str(Path(__file__).with_name("bulk_server.py"))]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()
            process.wait(10)


def run(names: list[str], rounds: int, items: int, latency: float) -> tuple[Found, dict[str, str]]:
    """Return what was measured, and why the other candidates are missing."""
    found: Found = {}
    missing: dict[str, str] = {}
    program = str(Path(__file__).with_name("bulk_candidates.py"))
    with server() as url:
        for number in range(rounds):
            for size in SIZES:
                for name in names if number % 2 == 0 else names[::-1]:
                    if name not in missing:
                        answer = child(program, name, f"{url}/{latency:g}", str(items), size)
                        if "missing" in answer:
                            missing[name] = answer["missing"]
                            found.pop(name, None)
                        else:
                            found.setdefault(name, {}).setdefault(size, []).append(answer)
    return found, missing


def ratio(found: Found, other: str, size: str) -> float | None:
    """Return how many times the processor time of another candidate ours takes."""
    if OURS not in found or other not in found:
        return None
    pairs = zip(found[OURS][size], found[other][size], strict=True)
    return statistics.median(ours["us"] / theirs["us"] for ours, theirs in pairs)


def verdicts(found: Found) -> Iterator[tuple[str, float]]:
    """Return what is limited by TARGET, and what was seen."""
    for size in SIZES:
        for other in found:
            seen = ratio(found, other, size)
            if other != OURS and seen is not None:
                yield f"bulk: CPU for an item of {size} to {other}", seen


def report(found: Found, missing: dict[str, str]) -> None:
    for name, why in missing.items():
        print(f"  {name} is left out: {why}")
    print(f"\n{'':<12}" + "".join(f"{size:^34}" for size in SIZES))
    print(f"{'':<12}" + f"{'us an item':>12}{'a second':>12}{'ratio':>10}" * len(SIZES))
    for name, sizes in found.items():
        line = f"{name:<12}"
        for size in SIZES:
            us, per_second = (
                statistics.median(figures[what] for figures in sizes[size])
                for what in ("us", "per_second")
            )
            seen = None if name == OURS else ratio(found, name, size)
            line += f"{us:>12.0f}{per_second:>12.0f}{'-' if seen is None else f'{seen:.2f}':>10}"
        print(line)
    print("\ntargets, by the medians")
    for what, seen in verdicts(found):
        answer = "reached" if seen <= TARGET else "NOT REACHED"
        print(f"  {what:<50} <= {TARGET:.2f} {seen:8.2f}  {answer}")


def main() -> None:
    parser = argparse.ArgumentParser(description="What does an item of a bulk run cost?")
    parser.add_argument("--short", action="store_true", help="a look, not a measurement")
    parser.add_argument("--rounds", type=int, help="default 5; 1 with --short")
    parser.add_argument("--items", type=int, help="default 2000; 500 with --short")
    parser.add_argument(
        "--latency", type=float, default=0.0, metavar="MS", help="of each answer (default 0)"
    )
    parser.add_argument("--only", nargs="+", choices=list(CANDIDATES), metavar="NAME")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    rounds = args.rounds or (1 if args.short else 5)
    items = args.items or (500 if args.short else 2000)
    names = [name for name in CANDIDATES if name in (args.only or CANDIDATES)]
    found, missing = run(names, rounds, items, args.latency)
    if args.json:
        result: dict[str, Any] = {"missing": missing, "found": found}
        print(json.dumps({**result, "targets": list(verdicts(found))}))
        return
    print(
        f"Python {platform.python_version()}; {rounds} rounds of {items} items, {CONCURRENT} in "
        f"flight; answers after {args.latency:g} ms"
    )
    report(found, missing)


if __name__ == "__main__":
    main()
