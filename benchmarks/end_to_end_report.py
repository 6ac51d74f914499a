"""The figures of end_to_end.py: by candidate, against the targets, as tables and as JSON."""

from __future__ import annotations

import json
import platform
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from readers import CANDIDATES, OFFICIAL
from stream_server import EVENTS, MODES, OPEN

# The imports before a measurement, and the measured one.
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
        return (
            f"{self.what:<58} {wanted:>8} {'-' if self.seen is None else f'{self.seen:.2f}':>8} "
            f" {answer}"
        )


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
            f"\n{'':<18} {'us an event':>29} {'streams a second':>20} {'waits':>6} "
            f"{'of the bare one':>19}"
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
            line = (
                "{:<18} {:>8.2f} {:>6.2f} {:>6.2f} {:>6.2f} {:>6.1f} {:>6.0f} {:>6.0f} "
                "{:>6.2f} {:>7} {:>5} {:>5}"
            )
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
