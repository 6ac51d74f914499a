"""This checkout against another revision of it, interleaved in one run: `decode.py --against`.

Each revision decodes in a process of its own. The two take turns, a few milliseconds each, so that
whatever else the machine does falls on both alike. A ratio is the median of the ratios of the
rounds.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from against_child import EVENTS, ROWS, SLOW_PATH

ROOT = Path(__file__).resolve().parent.parent
CHILD = Path(__file__).with_name("against_child.py")
LEAST, LEAST_OF_SLOW_PATH = 0.9, 1.0
"""How fast each row should be, as a multiple of the other revision's speed."""
FASTEST_OF = 3


class Side:
    """One revision in a process of its own."""

    def __init__(self, checkout: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(CHILD), str(checkout)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if self._read() != "ready":
            raise SystemExit(f"the package in {checkout} could not be measured")

    def seconds(self, row: str) -> float:
        """Run a row a few times and return the seconds of the fastest."""
        assert self._process.stdin is not None
        print(row, FASTEST_OF, file=self._process.stdin, flush=True)
        return float(self._read())

    def close(self) -> None:
        self._process.communicate()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def checkout_of(revision: str) -> Iterator[Path]:
    """Check a revision out into a temporary folder, and remove it afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkout"
        git("worktree", "add", "--quiet", "--detach", str(path), revision)
        try:
            yield path
        finally:
            git("worktree", "remove", "--force", str(path))


def git(*args: str) -> None:
    subprocess.run(["git", "-C", str(ROOT), *args], check=True)


def compare(revision: str, only: list[str], rounds: int) -> dict[str, tuple[list[float], float]]:
    """Return the ratios of each row in all rounds, and this checkout's median ns a record."""
    rows = [row for row in ROWS if not only or any(name in only for name in row.split(", "))]
    ratios: dict[str, list[float]] = {row: [] for row in rows}
    seconds: dict[str, list[float]] = {row: [] for row in rows}
    with checkout_of(revision) as path:
        ours, theirs = Side(ROOT), Side(path)
        try:
            for at in range(rounds):
                for row in rows:
                    first, second = (ours, theirs) if at % 2 else (theirs, ours)
                    taken = {first: first.seconds(row), second: second.seconds(row)}
                    ratios[row].append(taken[theirs] / taken[ours])
                    seconds[row].append(taken[ours])
        finally:
            ours.close()
            theirs.close()
    return {row: (ratios[row], statistics.median(seconds[row]) / EVENTS * 1e9) for row in rows}


def report(revision: str, only: list[str], rounds: int, as_json: bool) -> None:
    """Measure and print."""
    found = compare(revision, only, rounds)
    if as_json:
        print(json.dumps({row: ratios for row, (ratios, _) in found.items()}, indent=1))
        return
    print(f"this checkout's speed as a multiple of {revision}'s; {rounds} rounds")
    print(f"  {'':<24} {'ns an event':>11} {'median':>7} {'quartiles':>12}")
    for row, (ratios, ns) in found.items():
        low, median, high = statistics.quantiles(ratios, n=4)
        least = LEAST_OF_SLOW_PATH if row.startswith(SLOW_PATH) else LEAST
        verdict = "" if median >= least else f"  BELOW {least}"
        print(f"  {row:<24} {ns:>11.0f} {median:>7.2f} {low:>6.2f}-{high:.2f}{verdict}")
