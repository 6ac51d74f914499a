"""What does a stream cost from the socket to the event? Prints processor time an event, memory a
stream, and time to import.

    python benchmarks/end_to_end.py [--short] [--rounds N] [--streams N] [--only NAME ...] [--json]

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
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from end_to_end_report import IMPORTS, Found, as_json, imported, report
from measured_child import run_candidate
from readers import CANDIDATES
from stream_server import EVENTS

PAUSE = 100e-6  # seconds before each event; the system adds about 60 µs


TIMED = (
    "import time\n{}\nbefore = time.process_time()\n{}\nprint((time.process_time() - before) * 1e3)"
)


LONGEST = 600.0  # seconds for one process


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
    }  # for the official package; the others ignore proxies of the environment
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


def with_bare(chosen: Iterable[str]) -> list[str]:
    """The chosen candidates, with the bare libraries of ours among them."""
    wanted = {name for choice in chosen for name in (choice, *CANDIDATES[choice].bares)}
    return [name for name in CANDIDATES if name in wanted]


def main() -> None:
    parser = argparse.ArgumentParser(
        description="What does a stream cost from the socket to the event?"
    )
    parts = ["speed", "memory", "imports"]
    only = (
        f"parts or candidates: {', '.join([*parts, *CANDIDATES])}; the bare library of one of "
        "ours always runs too"
    )
    parser.add_argument(
        "--short", action="store_true", help="few streams and rounds: a look, not a measurement"
    )
    parser.add_argument(
        "--rounds",
        type=int,
        help="of speed and memory (default 5; 2 with --short); imports take three times as many",
    )
    parser.add_argument(
        "--streams",
        type=int,
        help=f"of {EVENTS} events in each round (default 200; 20 with --short)",
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
    rounds: int = args.rounds or (2 if args.short else 5)
    streams: int = args.streams or (20 if args.short else 200)
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
            f"Python {platform.python_version()}; {rounds} rounds of {streams} streams of "
            f"{EVENTS} events"
        )
        report(found, wanted, names)
    return None


if __name__ == "__main__":
    main()
