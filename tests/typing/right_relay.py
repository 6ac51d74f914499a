"""Relays that type checkers should understand without a hint.

Never run: `tests/test_typing.py` has mypy and pyright read it.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import assert_type

from moondream_transports import AsyncClient, Client
from moondream_transports.relay import AsyncRelay, AsyncRelayGroup, Relay, RelayGroup, relay
from sansio_moondream import Event, QueryRequest
from sansio_moondream.relay import EventsEncoder, Format


def the_form_follows_the_stream(
    client: Client,
    async_client: AsyncClient,
    request: QueryRequest,
    events: Iterable[Event],
    async_events: AsyncIterable[Event],
) -> None:
    assert_type(relay(client.stream(request), group=RelayGroup()), Relay)
    assert_type(relay(events, Format.OPENAI), Relay)
    assert_type(relay(async_client.stream(request), group=AsyncRelayGroup()), AsyncRelay)
    assert_type(relay(async_events, EventsEncoder(), heartbeat=None), AsyncRelay)


async def bytes_and_a_head(answer: AsyncRelay, sync_answer: Relay) -> None:
    async for part in answer:
        assert_type(part, bytes)
    for part in sync_answer:
        assert_type(part, bytes)
    assert_type(answer.headers, tuple[tuple[str, str], ...])
    assert_type(sync_answer.status_code, int)
