"""Show that a bulk run survives: it is killed again and again while the server fails.

The server is `moondream-stream serve` in a process of its own. The run is `moondream-stream bulk`
in another one, which is killed at random moments and started again. What has to hold then is in
`bulk_checks.py`. `test_bulk_show.py` does it with 1,000 items, and `bulk_soak.py` with 20,000.
"""

from __future__ import annotations

import io
import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct
from PIL import Image

from tests.tools.programs import Program, running

CONCURRENT = 32
LATENCY = 0.2
RATES = ("429:2%", "503:2%", "close:1%")
QUESTION = "What is in this picture?"
SIDE = 64  # pixels of a picture
_BAD_EVERY = 100  # one of so many pictures is none
_SAMPLE_SECONDS = 0.1


class Sample(Struct, frozen=True):
    """The memory of a process, in MB.

    Attributes:
        seconds: since the start of the first process of the run.
        process: the number of the process, from 0.
        resident: now.
        peak: the most so far.
    """

    seconds: float
    process: int
    resident: float
    peak: float


class Shown(Struct, frozen=True):
    """A run, with all its processes.

    Attributes:
        output: the folder of its files.
        log: of the server, which answered no other run.
        started: when each process was started, in seconds of `time.time()`.
        status: exit status of the last process.
        summary: of the last process, as JSON.
        samples: of the memory.
    """

    output: Path
    log: Path
    started: list[float]
    status: int
    summary: dict[str, object]
    samples: list[Sample]


def make_pictures(folder: Path, count: int) -> None:
    """Write pictures, each another. One of a hundred is a text file with the name of a picture."""
    folder.mkdir()
    for number in range(count):
        path = folder / f"{number:06}.jpg"
        if number % _BAD_EVERY == _BAD_EVERY // 2:
            path.write_text(f"no picture: {number}")
            continue
        noise = random.Random(number).randbytes(3 * SIDE * SIDE)
        with io.BytesIO() as data:
            Image.frombytes("RGB", (SIDE, SIDE), noise).save(data, "JPEG", quality=50)
            path.write_bytes(data.getvalue())


@contextmanager
def server(log: Path) -> Generator[Program, None, None]:
    """Run the server with its faults. Their seed is 0."""
    faults = [argument for rate in RATES for argument in ("--fault", rate)]
    arguments = ["--speed", "max", "--latency", LATENCY, "--retry-after", 1, "--log", log, *faults]
    with running("serve", *arguments) as program:
        yield program


def run(
    pictures: Path, folder: Path, kills: int, *, rows_per_shard: int, timeout: float, seed: int = 0
) -> Shown:
    """Run the program over all pictures against a server of its own.

    Args:
        pictures: folder of the input.
        folder: for the output and the log.
        kills: how often it is killed and started again.
        rows_per_shard: of the output.
        timeout: seconds for the run in all.
        seed: of the moments of the kills.

    Raises:
        AssertionError: the run ended before all kills.
        TimeoutExpired: it took too long.
    """
    moments = random.Random(seed)
    count = sum(1 for _ in pictures.iterdir())
    thresholds = sorted(moments.sample(range(count * 9 // 10), kills))
    output, log, summary = folder / "answers", folder / "log.jsonl", folder / "summary.json"
    started: list[float] = []
    deadline = time.monotonic() + timeout
    samples = Samples()
    with server(log) as serving:
        command = [
            *(sys.executable, "-W", "error", "-m", "moondream_tools.cli", "bulk", "query"),
            *(str(pictures), "--question", QUESTION, "--endpoint", serving.url),
            *("--output", str(output), "--rows-per-shard", str(rows_per_shard)),
            *("--concurrent", str(CONCURRENT), "--summary", str(summary)),
        ]
        for threshold in thresholds:
            started.append(time.time())
            with begun(command, samples) as process:
                least = log.read_bytes().count(b"\n") + 1  # each process asks something
                wait_for_lines(log, max(threshold, least), process, deadline)
                time.sleep(moments.uniform(0, LATENCY))  # a random moment, not a wait
            assert process.returncode == -signal.SIGKILL, f"it ended before kill {len(started)}"
        started.append(time.time())
        with begun(command, samples) as process:
            _, errors = process.communicate(timeout=deadline - time.monotonic())
    assert "Traceback" not in errors, errors
    return Shown(
        output, log, started, process.returncode, json.loads(summary.read_text()), samples.all
    )


@contextmanager
def begun(command: list[str], samples: Samples) -> Generator[subprocess.Popen[str], None, None]:
    """Start a program. It is killed at the end of the block, if it has not ended before."""
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        samples.watch(process)
        try:
            yield process
        finally:
            process.kill()


def wait_for_lines(path: Path, count: int, process: subprocess.Popen[str], deadline: float) -> None:
    """Wait until a file has so many lines, or the process has ended, or the deadline has passed."""
    seen = 0
    with path.open("rb") as file:
        while seen < count and process.poll() is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(process.args, deadline)
            seen += (lines := file.read()).count(b"\n")
            if not lines:
                time.sleep(0.01)


class Samples:
    """The memory of one process after the other, sampled in a thread."""

    def __init__(self) -> None:
        self.all: list[Sample] = []
        self._began_at = time.monotonic()
        self._number = -1

    def watch(self, process: subprocess.Popen[str]) -> None:
        """Sample a process until its end."""
        self._number += 1
        threading.Thread(
            target=self._watch, args=(process, self._number), name="samples", daemon=True
        ).start()

    def _watch(self, process: subprocess.Popen[str], number: int) -> None:
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            try:
                lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
            except OSError:
                return
            if "VmHWM" in lines:  # a process that has ended has none
                peak, resident = (int(lines[name].split()[0]) / 1024 for name in ("VmHWM", "VmRSS"))
                seconds = time.monotonic() - self._began_at
                self.all.append(Sample(seconds, number, resident, peak))
            time.sleep(_SAMPLE_SECONDS)


def curve(samples: list[Sample], columns: int = 20) -> str:
    """Return the memory by time, as lines: the most in each part of the run."""
    end = samples[-1].seconds
    parts: dict[int, float] = {}
    for sample in samples:
        part = min(int(sample.seconds / end * columns), columns - 1)
        parts[part] = max(parts.get(part, 0.0), sample.resident)
    most = max(parts.values())
    return "\n".join(
        f"  {(part + 1) * end / columns:7.1f} s {memory:6.1f} MB {'#' * round(memory / most * 40)}"
        for part, memory in sorted(parts.items())
    )
