"""Measure one candidate of end_to_end.py, in the process of its own that it runs in."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from typing import Any

from readers import CANDIDATES, Ask, Candidate
from stream_server import EVENTS, MODES, OPEN

WARM_UP = 10  # streams


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
