"""The faults as cases: one exchange with a server that has the fault, and its outcome."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from time import monotonic
from typing import Any

from sansio_moondream import Completed, Event, MoondreamError, QueryResult, Request, TextDelta

from ._answer_faults import answer_faults
from ._backend import Backend
from ._case import Case
from ._connection_faults import connection_faults
from ._expect import Unexpected, describe, expect, safe_repr, shortened
from ._fault_server import FaultServer
from ._faults import EVENTS, QUERY, TEXT, HTTPFault
from ._secrets import leaks

# Seconds: more than any deadline of a case, and less than an exchange takes without a deadline.
IN_TIME = 8.0


FAULTS = [*connection_faults(), *answer_faults()]


def fault_cases() -> Iterator[Case]:
    """Rows 5 to 36 of the table of faults."""
    for fault in FAULTS:
        yield Case(fault.id, partial(_check, fault))


async def exchange(
    backend: Backend, transport: Any, server: FaultServer, request: Request[Any], **options: Any
) -> tuple[list[Event], Any]:
    """Return all events of one exchange, and its result or the error that ended it.

    Raises:
        Unexpected: Something of it shows the API key.
    """
    events: list[Event] = []
    outcome: Any
    try:
        async with backend.asks(transport, server.url, **options).stream(request) as stream:
            async for event in stream:
                events.append(event)
                server.saw_event()
            outcome = await stream.result()
    except Exception as error:  # noqa: BLE001 - any error of a transport is reported
        outcome = error
    return events, _without_key(backend, outcome, safe_repr(transport), safe_repr(events))


async def answer(backend: Backend, transport: Any, url: str, **options: Any) -> Any:
    """Return the result of one exchange, or the error that ended it.

    Raises:
        Unexpected: Something of it shows the API key.
    """
    outcome: Any
    try:
        outcome = await backend.asks(transport, url, **options).send(QUERY)
    except Exception as error:  # noqa: BLE001 - any error of a transport is reported
        outcome = error
    return _without_key(backend, outcome, safe_repr(transport))


def _without_key(backend: Backend, outcome: Any, *texts: str) -> Any:
    leaking = backend.leaks + leaks(outcome, *texts)
    if isinstance(outcome, Exception):
        backend.caught(outcome)
    for text in leaking:
        expected = "the API key to show nowhere: in no error, none of its causes, no repr"
        whose = f"{type(outcome).__qualname__}: " if isinstance(outcome, Exception) else ""
        raise Unexpected(expected, whose + shortened(text))
    return outcome


async def _check(fault: HTTPFault, backend: Backend) -> None:
    async with backend.server(fault.script) as server, backend.transport() as transport:
        began = monotonic()
        events, outcome = await exchange(
            backend, transport, server, fault.request, timeouts=fault.timeouts, limits=fault.limits
        )
        took = monotonic() - began
        expected, seen = _expected(fault), _seen(fault, events, outcome)
        expect(is_right(fault, events, outcome), expected, seen)
        expect(took < IN_TIME, f"{expected}, in time", f"{seen}, after {took:.1f} seconds")
        if not fault.keeps:
            await backend.expect_closed(server)
    expected = "the request to be sent once, on one connection"
    expect(server.connections == 1, expected, f"{server.connections} connections")


def is_right(fault: HTTPFault, events: list[Event], outcome: Any) -> bool:
    """Return whether the outcome is the one that the fault must have."""
    if fault.error is None:
        whole = [TextDelta(fault.text)] if fault.text is not None else EVENTS[: fault.events]
        return (
            isinstance(outcome, QueryResult)
            and events == [*whole, Completed(outcome)]
            and outcome.text == _text(whole)
        )
    if type(outcome) is not fault.error or any(
        getattr(outcome, name) != value for name, value in fault.about.items()
    ):
        return False
    if events != EVENTS[: fault.events]:
        return False
    return not fault.events or _partial(outcome) == TEXT


def _text(events: list[Event] | list[TextDelta]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def _partial(error: MoondreamError) -> str | None:
    return error.partial.text if isinstance(error.partial, QueryResult) else None


def _expected(fault: HTTPFault) -> str:
    if fault.error is None:
        return (
            f"the text {fault.text!r}, whole"
            if fault.text is not None
            else f"{_counted(fault.events)}, then the whole answer"
        )
    about = "".join(f", {name} {shortened(value, 60)}" for name, value in fault.about.items())
    partial = f", with the text of the {fault.events} events in .partial" if fault.events else ""
    return f"{_counted(fault.events)}, then {fault.error.__name__}{about}{partial}"


def _seen(fault: HTTPFault, events: list[Event], outcome: Any) -> str:
    texts = [event for event in events if not isinstance(event, Completed)]
    wrong = "" if texts == EVENTS[: len(texts)] else f" ({shortened(texts)})"
    seen = f"{_counted(len(texts))}{wrong}, then {describe(outcome)}"
    if not isinstance(outcome, BaseException):
        return seen
    about = "".join(
        f"; its {name} is {shortened(getattr(outcome, name, None), 60)}" for name in fault.about
    )
    if fault.events and isinstance(outcome, MoondreamError):
        about += f"; the text in its .partial is {shortened(_partial(outcome), 60)}"
    return f"{seen}{about}"


def _counted(events: int) -> str:
    return {0: "no event", 1: "1 event"}.get(events, f"{events:,} events")
