"""What does a relayed event cost? Prints processor time of the web server for each event.

    python benchmarks/relay.py [--short] [--rounds N] [--streams N] [--only NAME ...] [--json]

The server of stream_server.py is the upstream. A candidate answers its clients under uvicorn
(relay_server.py), in a process of its own, and many clients read it at once (relay_clients.py).
There are two modes. "each": an event of a stream comes every `--pause` seconds, alone, and not
before the candidate has read the one before. "burst": a whole answer comes in one write.

*Pass-through* sends on the bytes that `aiter_raw` of httpx2 gives, and does nothing else. *openai*
decodes the chunks of a chat with the package `openai` and encodes each again. The others are
`moondream_transports.relay`: by format, through aiohttp, and for the format `events` through our
other transports too.

Each candidate runs in a fresh process in each round, in an order that is turned around every round.
A ratio is the median of the ratios within each round. The time is that of the whole process: the
client for the upstream, the candidate, uvicorn and the event loop. All candidates share uvicorn and
the loop, and with uvloop and httptools, where they are installed, they are much cheaper. What
cannot be imported is named and left out."""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from end_to_end import server as upstream_server
from relay_clients import measure
from relay_server import CANDIDATES
from stream_server import EVENTS

MODES = ("each", "burst")
BARE, PEER = "pass-through", "openai"
TARGETS = ((BARE, 1.5), (PEER, 1 / 3))  # of these, in the mode "each"


@contextmanager
def candidate_server(name: str, upstream: str) -> Iterator[int]:
    """Its port, or 0 if it could not begin."""
    command = [sys.executable, str(Path(__file__).with_name("relay_server.py")), name, upstream]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline() or 0)
        finally:
            process.stdin.close()
            process.wait(30)


def run(names: list[str], rounds: int, streams: int, pause: float) -> tuple[Any, list[str]]:
    """By candidate and mode the figures of each round; and the candidates that are missing."""
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    missing: list[str] = []
    with upstream_server(pause) as upstream:
        for number in range(rounds):
            for name in names if number % 2 == 0 else names[::-1]:
                if name in missing:
                    continue
                with candidate_server(name, upstream) as port:
                    if not port:
                        missing.append(name)
                        continue
                    for mode in MODES:
                        figures = asyncio.run(measure(port, name, mode, streams, pause))
                        found.setdefault(name, {}).setdefault(mode, []).append(figures)
    return found, missing


def ratio(found: Any, name: str, other: str, mode: str) -> float | None:
    """How many times the processor time of the other."""
    if name not in found or other not in found:
        return None
    pairs = zip(found[name][mode], found[other][mode], strict=True)
    return statistics.median(mine["us"] / others["us"] for mine, others in pairs)


def verdicts(found: Any) -> Iterator[tuple[str, float, float]]:
    """What is limited, the limit, and what was seen."""
    for name in found:
        for other, limit in TARGETS:
            seen = ratio(found, name, other, "each")
            if name not in (BARE, PEER) and seen is not None:
                yield f"{name}: CPU to {other} (each)", limit, seen


def report(found: Any, missing: list[str]) -> None:
    for name in missing:
        print(f"  {name} is left out: its server could not begin, see above")
    print(f"\n{'':<18}{'us an event':^24}{'waits':^8}{'of the pass-through':^22}{'of openai':^12}")
    heads = ("each", "user", "burst", "each", "each", "burst", "each", "burst")
    print("{:<18}{:>8}{:>8}{:>8}{:>8}{:>11}{:>11}{:>6}{:>6}".format("", *heads))
    for name, modes in found.items():
        cells = [
            statistics.median(figures[what] for figures in modes[mode])
            for mode, what in (("each", "us"), ("each", "user"), ("burst", "us"), ("each", "waits"))
        ]
        ratios = [ratio(found, name, other, mode) for other in (BARE, PEER) for mode in MODES]
        shown = ["-" if value is None else f"{value:.2f}" for value in ratios]
        line = "{:<18}{:>8.1f}{:>8.1f}{:>8.1f}{:>8.2f}{:>11}{:>11}{:>6}{:>6}"
        print(line.format(name, *cells, *shown))
    print("\ntargets, by the medians")
    for what, limit, seen in verdicts(found):
        answer = "reached" if seen <= limit else "NOT REACHED"
        print(f"  {what:<50} <= {limit:.2f} {seen:8.2f}  {answer}")


def main() -> None:
    parser = argparse.ArgumentParser(description="What does a relayed event cost?")
    parser.add_argument("--short", action="store_true", help="a look, not a measurement")
    parser.add_argument("--rounds", type=int, help="default 5; 1 with --short")
    parser.add_argument(
        "--streams", type=int, default=100, help=f"of {EVENTS} events, all at once (default 100)"
    )
    parser.add_argument(
        "--pause", type=float, default=0.04, metavar="SECONDS", help="before each event (0.04)"
    )
    parser.add_argument("--only", nargs="+", choices=list(CANDIDATES), metavar="NAME")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    rounds = args.rounds or (1 if args.short else 5)
    names = [name for name in CANDIDATES if name in (args.only or CANDIDATES)]
    found, missing = run(names, rounds, args.streams, args.pause)
    if args.json:
        print(json.dumps({"missing": missing, "found": found, "targets": list(verdicts(found))}))
        return
    extras = [name for name in ("uvloop", "httptools") if find_spec(name)]
    print(
        f"Python {platform.python_version()}; uvicorn with {' and '.join(extras) or 'h11'}; "
        f"{rounds} rounds of {args.streams} streams of {EVENTS} events at once"
    )
    report(found, missing)


if __name__ == "__main__":
    main()
