"""Mutate the code, one small change at a time, and find the changes that no test notices.

    python -m tests.mutants [--seed 1] [--count 1000] [--jobs 2] [--only PATH]

Prints each survivor as a diff. Fails if one is not listed in equivalents.toml, and if the list is
too long, out of date, or holds a mutant that a test kills. No file of the checkout is changed.
"""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.mutants.mutant import Mutant, sample
from tests.mutants.mutations import mutants_of
from tests.mutants.runs import forked, judge
from tests.mutants.tests_by_line import TestsByLine, map_tests


@dataclass(frozen=True)
class Suite:
    """Files to mutate and the tests that should notice: patterns, and patterns of exceptions."""

    sources: tuple[str, ...]
    tests: tuple[str, ...]
    but: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settings:
    """Which mutants are chosen, how many run at once, and after how long a test hangs."""

    seed: int = 1
    count: int = 1000
    jobs: int = 2
    only: str = ""
    slack: float = 20.0


TRANSPORTS = "transports/moondream_transports"
SUITES = (
    Suite(
        sources=("sansio_moondream/**/*.py",),
        tests=("tests/core/test_*.py",),
        but=("sansio_moondream/testing/**/*.py", "tests/core/test_strategies*.py"),  # test helpers
    ),
    Suite(
        sources=(f"{TRANSPORTS}/_exchange.py", f"{TRANSPORTS}/_retries.py"),
        tests=("tests/transports/**/test_*.py",),
        but=("tests/transports/pytest_plugin/test_*.py",),  # they run another pytest in the process
    ),
)
# Libraries that are imported once for all runs. None of them may start a thread.
PRELOADED = ("aiohttp", "h11", "httpx", "hypothesis.stateful", "msgspec", "PIL.Image", "trio")
EQUIVALENTS = Path(__file__).with_name("equivalents.toml")
MOST_EQUIVALENTS = 0.06


def main() -> int:
    """Run it on this checkout, as the command line asks."""
    about = "Find the changes of the code that no test notices."
    parser = argparse.ArgumentParser("python -m tests.mutants", description=about)
    parser.add_argument("--seed", type=int, default=1, help="chooses the mutants (1)")
    parser.add_argument("--count", type=int, default=1000, help="how many (1000)")
    parser.add_argument("--jobs", type=int, default=2, help="how many at once (2)")
    parser.add_argument("--only", default="", metavar="PATH", help="only in files below this path")
    settings = Settings(**vars(parser.parse_args()))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that running mutants end, too
    for name in PRELOADED:
        importlib.import_module(name)
    equivalents = tomllib.loads(EQUIVALENTS.read_text("utf-8")).get("equivalent", [])
    return run(SUITES, equivalents, settings)


def run(
    suites: Sequence[Suite],
    equivalents: Sequence[Mapping[str, str]],
    settings: Settings,
) -> int:
    """Run mutants of the code in the current folder, print what survives, return the exit code.

    Args:
        suites: what to mutate, and which tests should notice.
        equivalents: the mutants that no test can notice, as equivalents.toml lists them.
        settings: which mutants are chosen, and how they run.
    """
    suite_of = {path: suite for suite in suites for path in _files(suite.sources, suite.but)}
    every = [one for path in suite_of for one in mutants_of(path, Path(path).read_text("utf-8"))]
    within = [one for one in every if one.path.startswith(settings.only)]
    chosen = sample(within, settings.seed, settings.count)
    print(f"{len(chosen)} mutants of {len(every)} in {len(suite_of)} files", flush=True)

    used = {suite_of[one.path] for one in chosen}
    tests = {suite: _map(suite, settings) for suite in suites if suite in used}
    listed = {(one["module"], one["line"], one["becomes"]) for one in equivalents}
    tasks = (
        partial(judge, one.path, one.compiled(), batches, settings.slack)
        for one in chosen
        for batches in [tests[suite_of[one.path]].batches(one)]
    )
    began = time.monotonic()
    survivors: list[Mutant] = []
    wrongly_listed: list[Mutant] = []
    for done, (index, code) in enumerate(forked(tasks, settings.jobs), 1):
        mutant = chosen[index]
        if not code:
            survivors.append(mutant)
            if _identity(mutant) not in listed:
                print(f"\n{mutant.path}:{mutant.number} survives\n{mutant.diff}", flush=True)
        elif _identity(mutant) in listed:
            wrongly_listed.append(mutant)
        if done % 50 == 0:
            seconds = time.monotonic() - began
            print(f"{done} done in {seconds:.0f} s, {len(survivors)} survive", flush=True)

    unlisted = sum(_identity(one) not in listed for one in survivors)
    equivalent = len(survivors) - unlisted
    killed = len(chosen) - len(survivors)
    share = killed / max(killed + unlisted, 1)
    print(f"\n{killed} killed, {unlisted} survived, {equivalent} listed as equivalent")
    print(f"{share:.1%} of those not listed are killed; took {time.monotonic() - began:.0f} s")
    missing = listed - {_identity(one) for one in every}
    faults = [f"listed, but killed by a test: {one.path}:{one.number}" for one in wrongly_listed]
    faults += [f"listed, but there is no such mutant: {' | '.join(one)}" for one in sorted(missing)]
    if unlisted:
        faults.append("kill each survivor with a test, or list it with the reason")
    if equivalent > MOST_EQUIVALENTS * len(chosen):
        faults.append(f"more than {MOST_EQUIVALENTS:.0%} are listed as equivalent")
    print("\n".join(faults))
    return 1 if faults else 0


def _map(suite: Suite, settings: Settings) -> TestsByLine:
    """Map the tests of a suite.

    Raises:
        SystemExit: a test fails although nothing is mutated.
    """
    sources, files = _files(suite.sources, suite.but), _files(suite.tests, suite.but)
    tests = map_tests(sources, files, settings.jobs)
    unchanged = partial(judge, "", None, tests.batches(None), settings.slack)
    if any(code for _, code in forked([unchanged], 1)):
        raise SystemExit("without a mutant, tests fail in the order in which mutants meet them")
    return tests


def _files(patterns: Sequence[str], but: Sequence[str]) -> list[str]:
    """Return the files that match a pattern, without those that match one of `but`."""

    def matching(patterns: Sequence[str]) -> set[str]:
        return {path.as_posix() for pattern in patterns for path in Path().glob(pattern)}

    return sorted(matching(patterns) - matching(but))


def _identity(mutant: Mutant) -> tuple[str, str, str]:
    module = mutant.path.removesuffix(".py").removeprefix("transports/").replace("/", ".")
    return module, *mutant.change


if __name__ == "__main__":
    sys.exit(main())
