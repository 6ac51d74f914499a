"""A run whose program is killed, at any of its steps, is continued."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from moondream_transports.bulk import OutputFormat
from tests.transports.bulk.runs import Answers, answers, items, run

PROGRAM = """
import os, signal, sys
from pathlib import Path
from tests.transports.bulk.runs import Answers, echo, items, run
from moondream_transports.bulk import OutputFormat

output, log, step = Path(sys.argv[1]), os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND), 0

def count(event, arguments):
    global step
    if event in ("open", "os.rename", "os.remove", "ask"):
        step += 1
        if step == int(sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)

def answer(question):
    os.write(log, question.encode() + b"\\n")
    sys.audit("ask")
    return echo(question)

sys.addaudithook(count)
run(Answers(answer), items(*range(40)), output, format=OutputFormat.JSON_LINES, rows_per_shard=10,
    concurrent=4)
"""


def run_killed(output: Path, log: Path, step: int) -> int:
    command = [sys.executable, "-c", PROGRAM, str(output), str(log), str(step)]
    return subprocess.run(command, timeout=60).returncode


@pytest.mark.parametrize(
    "steps",
    [(30, 25), *(pytest.param((n, n, n), marks=pytest.mark.slow) for n in range(1, 50, 8))],
)
def test_a_killed_run_is_continued(tmp_path: Path, steps: tuple[int, ...]) -> None:
    output, log = tmp_path / "output", tmp_path / "log"
    log.touch()
    kills = sum(run_killed(output, log, step) == -signal.SIGKILL for step in steps)
    assert kills
    transport = Answers()
    summary = run(
        transport, items(*range(40)), output, format=OutputFormat.JSON_LINES, rows_per_shard=10
    )
    assert answers(*summary.files) == {str(n): f"about {n}" for n in range(40)}
    assert not list(output.glob(".part*"))
    asked = Counter(log.read_text().split()) + Counter(transport.asked)
    assert set(asked) == {str(n) for n in range(40)}
    assert max(asked.values()) <= 1 + kills
    # What was in flight, or had ended and was not committed: the map holds up to twice as many as
    # are asked at once, and a commit that is under way as many again.
    assert asked.total() <= 40 + kills * (4 * 4 + 1)
