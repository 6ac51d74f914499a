"""A program that test_lifecycle.py starts: every transport of one backend is closed, interrupted,
and left open when the program ends.

Usage: python -m tests.transports.lifecycle_program BACKEND URL. It says each step on both outputs:
what is on standard error between two steps belongs to the second one."""

from __future__ import annotations

import sys
from typing import Any

from sansio_moondream import Endpoint
from tests.helpers import QUERY

from .adapters import ADAPTERS, Adapter

left_open: list[Any] = []


def say(step: str, adapter: Adapter) -> None:
    for output in (sys.stderr, sys.stdout):
        print(step, adapter.name, file=output, flush=True)


async def opened(adapter: Adapter, url: str) -> tuple[Any, Any]:
    """A transport's context, and a stream that has given five events."""
    context = adapter.transport()
    stream = adapter.client(await context.__aenter__(), Endpoint(url=url)).stream(QUERY)
    await stream.__aenter__()
    for _ in range(5):
        await anext(stream)
    return context, stream


async def close(context: Any, stream: Any) -> None:
    await stream.aclose()
    await context.__aexit__(None, None, None)


async def opened_and_closed(adapter: Adapter, url: str) -> None:
    await close(*await opened(adapter, url))


async def interrupted(adapter: Adapter, url: str) -> None:
    context, stream = await opened(adapter, url)
    try:
        say("waits", adapter)
        await anext(stream)
    finally:
        await close(context, stream)


async def not_closed(adapter: Adapter, url: str) -> None:
    left_open.append(await opened(adapter, url))


def main(backend: str, url: str) -> None:
    adapters = [adapter for adapter in ADAPTERS if adapter.backend == backend]
    for adapter in adapters:
        adapter.run(opened_and_closed, adapter, url)
        say("closed", adapter)
        try:
            adapter.run(interrupted, adapter, url)
        except KeyboardInterrupt:
            say("interrupted", adapter)
    for adapter in adapters:
        adapter.run(not_closed, adapter, url)
        say("left open", adapter)


if __name__ == "__main__":
    main(*sys.argv[1:])
