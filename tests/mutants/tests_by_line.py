"""Know which tests execute which lines, and in which order to run them."""

from __future__ import annotations

import json
from collections import defaultdict
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.mutants.mutant import Mutant
from tests.mutants.runs import OUTSIDE, Batches, forked, record

CACHE = Path(".mutants")
QUICK_SECONDS = 0.3
BUDGET_SECONDS = 90.0  # for all tests of one mutant; a tracer made them two or three times slower


class TestsByLine:
    """The tests of one suite by the lines that they execute.

    A line that runs outside of tests, at import or in the parameters of a test, belongs to every
    test of the files that run it.
    """

    def __init__(self, recorded: dict[str, Any]) -> None:
        """Take what `record` wrote, by test file."""
        self._seconds: dict[str, dict[str, float]] = {}
        self._breadth: dict[str, int] = defaultdict(int)  # lines that the tests of a file execute
        self._tests: dict[tuple[str, int], dict[str, list[str]]] = defaultdict(dict)
        for file, found in recorded.items():
            self._seconds[file] = found["seconds"]
            for path, lines in found["lines"].items():
                for line, tests in lines.items():
                    self._breadth[file] += tests != [OUTSIDE]
                    self._tests[path, int(line)][file] = tests

    def batches(self, mutant: Mutant | None) -> Batches:
        """Return the tests to run for a mutant: by file, with the seconds of each.

        Quick tests come first. Among the files, those that are named like the mutated module come
        first, and then those whose tests execute little else. Without a mutant, all tests are
        chosen, in the same way.
        """
        chosen: dict[str, dict[str, float]] = defaultdict(dict)
        if mutant is None:
            chosen.update(self._seconds)
        else:
            for line in mutant.lines:
                for file, tests in self._tests.get((mutant.path, line), {}).items():
                    seconds = self._seconds[file]
                    names = seconds if OUTSIDE in tests else tests
                    chosen[file].update((name, seconds[name]) for name in names)
        stem = "" if mutant is None else f"test_{Path(mutant.path).stem.strip('_')}"
        files = sorted(
            chosen, key=lambda file: (not Path(file).stem.startswith(stem), self._breadth[file])
        )
        batches: Batches = []
        left = BUDGET_SECONDS
        for least, most in ((0.0, QUICK_SECONDS), (QUICK_SECONDS, BUDGET_SECONDS)):
            for file in files:
                batch: dict[str, float] = {}
                for name, took in sorted(chosen[file].items(), key=lambda item: item[1]):
                    if least <= took < most and took <= left:
                        batch[name] = took
                        left -= took
                if batch:
                    batches.append((file, batch))
        return batches


def map_tests(sources: list[str], files: list[str], jobs: int) -> TestsByLine:
    """Run each test file with a tracer, unless it ran before with the same sources.

    Raises:
        SystemExit: a test fails although nothing is mutated.
    """
    CACHE.mkdir(exist_ok=True)
    helpers = (path for path in Path("tests").rglob("*.py") if not path.name.startswith("test_"))
    shared = [*map(Path, sources), *sorted(helpers)]
    common = sha256(b"".join(path.read_bytes() for path in shared)).hexdigest()
    cached = {}
    for file in files:
        key = sha256(common.encode() + file.encode() + Path(file).read_bytes()).hexdigest()
        cached[file] = CACHE / f"{key[:20]}.json"
    missing = [file for file in files if not cached[file].exists()]
    tasks = [partial(record, file, sources, cached[file]) for file in missing]
    failed = [missing[index] for index, code in forked(tasks, jobs) if code]
    if failed:
        logs = [f"{file} ({cached[file].with_suffix('.log')})" for file in failed]
        raise SystemExit(f"these fail without a mutant: {', '.join(logs)}")
    return TestsByLine({file: json.loads(path.read_text("utf-8")) for file, path in cached.items()})
