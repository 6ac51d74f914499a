"""Run test files in forked processes: to map tests to lines, or to judge a mutant.

1. This process has imported pytest and every costly library. It never imports the code under
   test. Each run is a fork of it, so that a run starts at once and leaves nothing behind.
2. A mutant exists only in the memory of its run: an import hook compiles the changed text.
3. A hang counts as a failure. A watchdog in the run ends it when one test takes far longer than
   it did on the unchanged code. A limit on memory ends a loop that only grows.
4. Hypothesis makes the same few examples in each run, and does not shrink them.
"""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any

import coverage
import pytest
from hypothesis import HealthCheck, Phase, settings

MEMORY = 4 << 30
START_SECONDS = 60.0  # to import and collect one test file
EXAMPLES = 25
PASSED = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
Batches = list[tuple[str, dict[str, float]]]  # a test file, and seconds by test
OUTSIDE = ""  # the context of lines that run while no test does: at import, in test parameters


def forked(tasks: Iterable[Callable[[], int]], jobs: int) -> Iterator[tuple[int, int]]:
    """Run each task in a fork, `jobs` at once. Give its index and exit code as it ends."""
    running: dict[int, int] = {}
    waiting = enumerate(tasks)
    try:
        while True:
            while len(running) < jobs and (following := next(waiting, None)) is not None:
                running[_fork(following[1])] = following[0]
            if not running:
                return
            pid, status = os.wait()
            _kill(pid)
            yield running.pop(pid), os.waitstatus_to_exitcode(status)
    finally:
        for pid in running:
            _kill(pid)


def _fork(task: Callable[[], int]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(nothing, descriptor)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        code = task()
    finally:
        os._exit(code)


def _kill(pid: int) -> None:
    """Kill a run and every process that its tests have left behind."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def record(file: str, sources: list[str], target: Path) -> int:
    """Run one test file. If it passes, write what each test executes and its time.

    What pytest prints goes to a log beside the target.
    """
    with target.with_suffix(".log").open("w", encoding="utf-8") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    tracer = coverage.Coverage(data_file=None, config_file=False, include=sources)
    recorder = _Recorder(tracer)
    tracer.start()
    code = _pytest(file, recorder)
    tracer.stop()
    sys.stdout.flush()
    data = tracer.get_data()
    lines = {path: data.contexts_by_lineno(os.path.abspath(path)) for path in sources}
    if code in PASSED:
        written = target.with_suffix(".part")
        written.write_text(json.dumps({"seconds": recorder.seconds, "lines": lines}), "utf-8")
        written.replace(target)
    return 0 if code in PASSED else 1


def judge(path: str, code: CodeType | None, batches: Batches, slack: float) -> int:
    """Run batches of tests, each in one file, until one fails. Return 0 if none does.

    Args:
        path: the file that is mutated.
        code: what is imported in its place, or None to test the file as it is.
        batches: the tests to run, with the processor time of each.
        slack: seconds that a test may take, and twenty times its processor time.
    """
    if code is not None:
        sys.meta_path.insert(0, _Planter(os.path.abspath(path), code))
    for file, seconds in batches:
        ended = _pytest(file, _Chooser(seconds, slack))
        if ended not in PASSED:
            return 1
    return 0


def _pytest(file: str, plugin: object) -> int:
    settings.register_profile(
        "mutants",
        max_examples=EXAMPLES,
        stateful_step_count=10,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    options = ["-x", "-q", "--tb=short", "--assert=plain", "--hypothesis-profile=mutants"]
    options.append("-ofaulthandler_timeout=0")  # `_watch` has the only timer
    unloaded = [f"-pno:{name}" for name in ("cacheprovider", "xdist", "pytest_cov")]
    _watch(START_SECONDS)
    return pytest.main([*options, *unloaded, file], plugins=[plugin])


def _watch(seconds: float) -> None:
    """End this process with an error after some seconds, even from a loop in C."""
    faulthandler.dump_traceback_later(seconds, exit=True)


class _Recorder:
    """Note the processor time of each test, and give its lines its name."""

    def __init__(self, tracer: coverage.Coverage) -> None:
        self.seconds: dict[str, float] = {}
        self._tracer = tracer

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        _watch(10 * START_SECONDS)
        self._tracer.switch_context(item.nodeid)
        began = time.process_time()
        result = yield
        self.seconds[item.nodeid] = time.process_time() - began
        self._tracer.switch_context(OUTSIDE)
        return result


class _Chooser:
    """Run only the chosen tests, quick ones first, each under a watchdog."""

    def __init__(self, seconds: dict[str, float], slack: float) -> None:
        self._seconds = seconds
        self._slack = slack

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        chosen = [item for item in items if item.nodeid in self._seconds]
        items[:] = sorted(chosen, key=lambda item: self._seconds[item.nodeid])

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        _watch(self._slack + 20 * self._seconds[item.nodeid])


class _Planter(MetaPathFinder):
    """Find modules as usual, and give the mutated one a loader of its own."""

    def __init__(self, origin: str, code: CodeType) -> None:
        self._origin = origin
        self._code = code

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or spec.origin != self._origin:
            return None
        spec.loader = _Loader(name, self._origin, self._code)
        return spec


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, code: CodeType) -> None:
        super().__init__(name, path)
        self._code = code

    def get_code(self, fullname: str) -> CodeType:
        return self._code
