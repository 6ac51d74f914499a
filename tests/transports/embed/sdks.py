"""The three SDKs of docs/how-to/embed-*.md, and one exchange of one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

from moondream_transports.conformance._faults import (
    WORDS,
)
from moondream_transports.conformance._secrets import KEY
from sansio_moondream import (
    Endpoint,
    Event,
    MoondreamError,
    Request,
)
from tests.helpers import QUERY
from tests.transports.adapters import assert_no_key

SDKS = ("moon_http", "moon_socket", "moon_asyncio")
each_sdk = pytest.mark.parametrize("sdk", SDKS)
TEXT = "".join(WORDS)


def exchange(
    sdk: str,
    url: str,
    request: Request[Any] = QUERY,
    saw_event: Callable[[], object] = lambda: None,
    **options: Any,
) -> tuple[list[Event], Any]:
    """All events, and the result or the error behind them."""
    ask: Any = import_module(sdk).ask
    endpoint = Endpoint(url, api_key=KEY)
    events: list[Event] = []

    def note(event: Event) -> None:
        events.append(event)
        saw_event()

    async def asynchronously() -> Any:
        async with ask(request, endpoint, **options) as answer:
            async for event in answer:
                note(event)
            return await answer.result()

    def synchronously() -> Any:
        with ask(request, endpoint, **options) as answer:
            for event in answer:
                note(event)
            return answer.result()

    try:
        return events, asyncio.run(asynchronously()) if sdk == "moon_asyncio" else synchronously()
    except MoondreamError as error:
        assert_no_key(error, repr(events))
        return events, error
