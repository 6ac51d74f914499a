"""What does a stream cost from the socket to the event? Prints processor time an event, memory a
stream, and time to import.

    python benchmarks/end_to_end.py [--quick] [--rounds N] [--streams N] [--only NAME ...] [--json]

Speed: a server on raw sockets, in a process of its own, sends the same answers to every candidate,
one stream after the other, in three ways. "each": every event in a TCP write of its own, after a
pause, and not before the kernel says that the one before was read, so that every one comes alone.
"flow": a write each, without a pause, so that a slow reader finds several. "burst": the whole
answer in one write. *waits* says how often an event of "each" found the candidate waiting, and
*user* which part of its time was not the system's: to be woken is dear on some virtual machines,
dearer than anything that is done then, and it falls on all alike.

Memory: 1,000 streams open at once, each read by a task of its own, each with its head and one event
behind it. Imports: what a module adds to what is loaded already.

A candidate is one of our transports, read through a client; the bare library under it, reading the
same bytes and doing nothing with them; or a peer with the wire format of its own service. Each runs
in a fresh process, one of ours and its bare library right after each other. A ratio is the median
of the ratios within each round. What cannot be imported is named and left out."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from readers import CANDIDATES, OFFICIAL, Ask, Candidate
from stream_server import EVENTS, MODES, OPEN

PAUSE = 100e-6  # seconds before each event; the system adds about 60 µs
WARM_UP = 10  # streams

# Inside a candidate's process


def run_candidate(name: str, url: str, streams: int, measure_memory: bool) -> None:
    """Print one JSON object: what was measured, or why it cannot be."""
    candidate = CANDIDATES[name]
    try:
        if measure_memory:
            print(json.dumps({"idle": run(candidate.backend, memory, candidate, url)}), flush=True)
            os._exit(0)  # with all its streams open
        print(json.dumps(run(candidate.backend, speed, candidate, url, streams)))
    except ImportError as error:
        print(json.dumps({"missing": str(error)}))


def run(backend: str, main: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Any:
    if backend == "asyncio":
        return asyncio.run(main(*args))
    if backend == "trio":
        return import_module("trio").run(main, *args)
    try:
        main(*args).send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("a sync candidate awaited something")


async def speed(candidate: Candidate, url: str, streams: int) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for mode in MODES:
        async with candidate.open(f"{url}/{mode}") as ask:
            for _ in range(min(WARM_UP, streams)):
                await ask()
            gc.collect()
            gc.freeze()  # what a package loads must not make garbage collection dearer for it
            before = spent()
            for _ in range(streams):
                await ask()
            cpu, user, wall, waits = (now - then for now, then in zip(spent(), before, strict=True))
        events = streams * EVENTS
        found[mode] = {
            "us": cpu / events * 1e6,
            "user": user / events * 1e6,
            "streams": streams / wall,
            "waits": waits / events,
        }
    return found


def spent() -> tuple[float, ...]:
    """Seconds on the processor, those of them outside the system, seconds; and how often this
    process had nothing to do.
    """
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return time.process_time(), usage.ru_utime, time.perf_counter(), usage.ru_nvcsw


async def memory(candidate: Candidate, url: str) -> float:
    """Bytes of a stream that is open and idle, in a process that has read some already."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    async with candidate.open(f"{url}/burst") as ask:
        for _ in range(WARM_UP):
            await ask()
    async with candidate.open(f"{url}/idle") as ask, spawning(candidate.backend) as spawn:
        await _until_nothing_happens(candidate.backend)  # what the warm-up leaves is closed
        before, sockets = resident(), open_sockets()
        for _ in range(OPEN):
            spawn(ask)
            await _sleep(candidate.backend, 0.001)
        await _until_nothing_happens(candidate.backend)
        assert open_sockets() - sockets == OPEN, f"{open_sockets() - sockets} streams are open"
        found = (resident() - before) / OPEN
        print(json.dumps({"idle": found}), flush=True)
        os._exit(0)  # with all its streams open


@asynccontextmanager
async def spawning(backend: str) -> AsyncIterator[Callable[[Ask], None]]:
    """Gives what starts a task."""
    if backend == "trio":
        async with import_module("trio").open_nursery() as nursery:
            yield nursery.start_soon
    else:
        tasks: list[asyncio.Future[None]] = []
        yield lambda ask: tasks.append(asyncio.ensure_future(ask()))


async def _sleep(backend: str, seconds: float) -> None:
    await import_module(backend).sleep(seconds)


async def _until_nothing_happens(backend: str) -> None:
    spent = 1.0
    while spent > 0.005:
        before = time.process_time()
        await _sleep(backend, 0.5)
        spent = time.process_time() - before


def resident() -> int:
    """Bytes of memory that this process has in use, without garbage."""
    gc.collect()
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


def open_sockets() -> int:
    found = 0
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            found += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
    return found


# Imports: what is loaded before, and what is measured.

IMPORTS = {
    "sansio_moondream": ("import msgspec", "import sansio_moondream"),
    "urllib": ("import sansio_moondream", "from moondream_transports import UrllibTransport"),
    "httpx2": (
        "import sansio_moondream, httpx2",
        "from moondream_transports import HttpxTransport",
    ),
    "httpx": ("import sansio_moondream, httpx", "from moondream_transports import HttpxTransport"),
    "httpx2-async": (
        "import sansio_moondream, httpx2",
        "from moondream_transports import AsyncHttpxTransport",
    ),
    "aiohttp": (
        "import sansio_moondream, aiohttp",
        "from moondream_transports import AiohttpTransport",
    ),
    "anyio-asyncio": (
        "import sansio_moondream, anyio",
        "from moondream_transports import AnyioTransport",
    ),
}
TIMED = (
    "import time\n{}\nbefore = time.process_time()\n{}\nprint((time.process_time() - before) * 1e3)"
)

# What runs them all

LONGEST = 600.0  # seconds for one process


@dataclass
class Found:
    """Everything measured, by candidate; each list has one place a round."""

    missing: dict[tuple[str, str], str] = field(default_factory=dict)  # by part and candidate: why
    speed: dict[str, list[dict[str, dict[str, float]]]] = field(default_factory=dict)
    memory: dict[str, list[float]] = field(default_factory=dict)  # bytes a stream
    imports: dict[str, list[float]] = field(default_factory=dict)  # milliseconds

    def take(self, part: str, name: str, answer: dict[str, Any] | float) -> None:
        """One round's answer. A candidate that is missing, or fails once, is left out of this part
        for good.
        """
        if isinstance(answer, dict) and "missing" in answer:
            self.missing[part, name] = answer["missing"]
            getattr(self, part).pop(name, None)
        else:
            getattr(self, part).setdefault(name, []).append(answer)

    def median(self, name: str, mode: str, what: str) -> float:
        return statistics.median(found[mode][what] for found in self.speed[name])

    def ratio(self, name: str, other: str | None, mode: str = "each") -> float | None:
        """How many times the processor time of the other."""
        if other is None or name not in self.speed or other not in self.speed:
            return None
        pairs = zip(self.speed[name], self.speed[other], strict=True)
        return statistics.median(mine[mode]["us"] / others[mode]["us"] for mine, others in pairs)


@contextmanager
def server(pause: float = PAUSE) -> Iterator[str]:
    """Its address."""
    command = [sys.executable, str(Path(__file__).with_name("stream_server.py")), str(pause)]
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


def child(*arguments: str) -> Any:
    """What a fresh process prints last, from JSON."""
    environment = {
        **os.environ,
        "no_proxy": "127.0.0.1",
    }  # for the official package; the others are told not to look
    try:
        done = subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            env=environment,
            timeout=LONGEST,
        )
    except subprocess.TimeoutExpired:
        return {"missing": f"it took longer than {LONGEST:g} seconds"}
    lines = (done.stderr if done.returncode else done.stdout).strip().splitlines()
    return (
        {"missing": "".join(lines[-1:]) or "it printed nothing"}
        if done.returncode or not lines
        else json.loads(lines[-1])
    )


def measure_speed(names: list[str], rounds: int, streams: int, pause: float, found: Found) -> None:
    with server(pause) as url:
        for number in range(rounds):
            for name in (
                names if number % 2 == 0 else reversed(names)
            ):  # nobody is always the first of two
                if ("speed", name) not in found.missing:
                    found.take(
                        "speed",
                        name,
                        child(
                            __file__, "--candidate", name, "--url", url, "--streams", str(streams)
                        ),
                    )


def measure_memory(names: list[str], rounds: int, found: Found) -> None:
    with server() as url:
        for _ in range(rounds):
            for name in names:
                if CANDIDATES[name].backend != "sync" and ("memory", name) not in found.missing:
                    answer = child(__file__, "--candidate", name, "--url", url, "--memory")
                    found.take("memory", name, answer.get("idle", answer))


def measure_imports(names: list[str], rounds: int, found: Found) -> None:
    for number in range(rounds + 1):
        for name in names:
            if ("imports", name) not in found.missing:
                answer = child("-I", "-c", TIMED.format(*IMPORTS[name]))
                if number or isinstance(answer, dict):  # the first time, byte code is made
                    found.take("imports", name, answer)


@dataclass(frozen=True)
class Verdict:
    what: str
    limit: float
    seen: float | None  # None: not measured
    least: bool = False  # the limit is the least that will do, not the most

    @property
    def reached(self) -> bool | None:
        if self.seen is None:
            return None
        return self.seen >= self.limit if self.least else self.seen <= self.limit

    def __str__(self) -> str:
        answer = {True: "reached", False: "NOT REACHED", None: "not measured"}[self.reached]
        wanted = f"{'>=' if self.least else '<='} {self.limit:g}"
        return f"{self.what:<58} {wanted:>8} {'-' if self.seen is None else f'{self.seen:.2f}':>8}  {answer}"


def verdicts(found: Found, parts: list[str], names: list[str]) -> Iterator[Verdict]:
    ours = {name: CANDIDATES[name].bares for name in names if CANDIDATES[name].bare is not None}
    if "speed" in parts:
        for name, (bare, _) in ours.items():
            if name == "anyio-asyncio":
                yield Verdict(
                    "anyio-asyncio: CPU to a bare asyncio stream (each)",
                    1.7,
                    found.ratio(name, bare),
                )
            elif name != "anyio-trio":  # no target: there is no HTTP library under it
                yield Verdict(
                    f"{name}: CPU to the bare library (each)", 1.3, found.ratio(name, bare)
                )
        yield Verdict(
            "aiohttp: times as fast as the official package (burst)",
            2.5,
            found.ratio(OFFICIAL, "aiohttp", "burst"),
            least=True,
        )
        yield Verdict(
            "urllib: CPU to the official package (each)", 0.75, found.ratio("urllib", OFFICIAL)
        )
    if "memory" in parts:
        for name, (_, bare) in ours.items():
            if CANDIDATES[name].backend != "sync":
                yield Verdict(
                    f"{name}: KiB a stream beyond the bare library", 4.0, beyond(found, name, bare)
                )
    if "imports" in parts:
        for name in imported(names):
            limit = 20.0 if name == "sansio_moondream" else 10.0
            seen = statistics.median(found.imports[name]) if name in found.imports else None
            yield Verdict(f"{name}: ms to import", limit, seen)


def imported(names: list[str]) -> list[str]:
    return [name for name in IMPORTS if name in names or name == "sansio_moondream"]


def beyond(found: Found, name: str, other: str | None) -> float | None:
    if other is None or name not in found.memory or other not in found.memory:
        return None
    return (statistics.median(found.memory[name]) - statistics.median(found.memory[other])) / 1024


def report(found: Found, parts: list[str], names: list[str]) -> None:
    for (part, name), why in found.missing.items():
        print(f"  {name} is left out of {part}: {why}")
    if found.speed:
        print(
            f"\n{'':<18} {'us an event':>29} {'streams a second':>20} {'waits':>6} {'of the bare one':>19}"
        )
        heads = (
            "each",
            "user",
            "flow",
            "burst",
            "each",
            "flow",
            "burst",
            "each",
            "each",
            "flow",
            "burst",
        )
        print(
            "{:<18} {:>8} {:>6} {:>6} {:>6} {:>6} {:>6} {:>6} {:>6} {:>7} {:>5} {:>5}".format(
                "speed", *heads
            )
        )
        for name in [name for name in CANDIDATES if name in found.speed]:
            shown = [
                ("each", "us"),
                ("each", "user"),
                ("flow", "us"),
                ("burst", "us"),
                *((mode, "streams") for mode in MODES),
            ]
            cells = [found.median(name, *which) for which in [*shown, ("each", "waits")]]
            ratios = [found.ratio(name, CANDIDATES[name].bare, mode) for mode in MODES]
            of_bare = ["-" if ratio is None else f"{ratio:.2f}" for ratio in ratios]
            line = "{:<18} {:>8.2f} {:>6.2f} {:>6.2f} {:>6.2f} {:>6.1f} {:>6.0f} {:>6.0f} {:>6.2f} {:>7} {:>5} {:>5}"
            print(line.format(name, *cells, *of_bare))
    if found.memory:
        print(f"\nmemory of one of {OPEN:,} idle streams, KiB")
        for name in [name for name in CANDIDATES if name in found.memory]:
            print(f"{name:<20} {statistics.median(found.memory[name]) / 1024:8.1f}")
    if found.imports:
        print("\nimport, ms of processor time beyond what was loaded before")
        for name, times in found.imports.items():
            print(f"{name:<20} {statistics.median(times):8.1f}   after: {IMPORTS[name][0]}")
    print("\ntargets, by the medians")
    for verdict in verdicts(found, parts, names):
        print(f"  {verdict}")


def as_json(found: Found, parts: list[str], names: list[str], streams: int) -> str:
    return json.dumps(
        {
            "python": platform.python_version(),
            "streams": streams,
            "events": EVENTS,
            "missing": [
                {"part": part, "name": name, "why": why}
                for (part, name), why in found.missing.items()
            ],
            "speed": found.speed,
            "idle_stream_bytes": found.memory,
            "import_ms": found.imports,
            "targets": [
                {
                    "what": verdict.what,
                    "limit": verdict.limit,
                    "seen": verdict.seen,
                    "reached": verdict.reached,
                }
                for verdict in verdicts(found, parts, names)
            ],
        },
        indent=1,
    )


def with_bare(chosen: Iterable[str]) -> list[str]:
    """The chosen candidates, with the bare libraries of ours among them."""
    wanted = {name for choice in chosen for name in (choice, *CANDIDATES[choice].bares)}
    return [name for name in CANDIDATES if name in wanted]


def main() -> None:
    parser = argparse.ArgumentParser(
        description="What does a stream cost from the socket to the event?"
    )
    parts = ["speed", "memory", "imports"]
    only = f"parts or candidates: {', '.join([*parts, *CANDIDATES])}; the bare library of one of ours always runs too"
    parser.add_argument(
        "--quick", action="store_true", help="few streams and rounds: a look, not a measurement"
    )
    parser.add_argument(
        "--rounds",
        type=int,
        help="of speed and memory (default 5; 2 with --quick); imports take three times as many",
    )
    parser.add_argument(
        "--streams",
        type=int,
        help=f"of {EVENTS} events in each round (default 200; 20 with --quick)",
    )
    parser.add_argument(
        "--pause",
        type=float,
        default=PAUSE,
        metavar="SECONDS",
        help=f"before each event (default {PAUSE:g})",
    )
    parser.add_argument(
        "--only", nargs="+", default=[], choices=[*parts, *CANDIDATES], metavar="NAME", help=only
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object instead of tables"
    )
    for option in ("--candidate", "--url"):
        parser.add_argument(option, help=argparse.SUPPRESS)
    parser.add_argument("--memory", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    rounds: int = args.rounds or (2 if args.quick else 5)
    streams: int = args.streams or (20 if args.quick else 200)
    if args.candidate:
        return run_candidate(args.candidate, args.url, streams, args.memory)

    wanted = [part for part in parts if part in args.only] or parts
    names = with_bare([name for name in CANDIDATES if name in args.only] or CANDIDATES)
    found = Found()
    if "imports" in wanted:
        measure_imports(imported(names), 3 * rounds, found)
    if "memory" in wanted:
        measure_memory(names, rounds, found)
    if "speed" in wanted:
        measure_speed(names, rounds, streams, args.pause, found)
    if args.json:
        print(as_json(found, wanted, names, streams))
    else:
        print(
            f"Python {platform.python_version()}; {rounds} rounds of {streams} streams of {EVENTS} events"
        )
        report(found, wanted, names)
    return None


if __name__ == "__main__":
    main()
