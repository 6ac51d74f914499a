"""The faults as rows: one exchange with a server that does it, and whether what came is what had to come."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from time import monotonic
from typing import Any

from sansio_moondream import Completed, Event, MoondreamError, QueryResult, Request, TextDelta

from ._fault_server import FaultServer
from ._faults import EVENTS, FAULTS, LARGE, QUERY, TEXT, Fault
from ._row import Row, Unexpected, expect, in_words, shortened
from ._secrets import leaks
from ._side import Side

IN_TIME = 5.0  # seconds: more than any deadline of a row, and less than it takes without one


def fault_rows() -> Iterator[Row]:
    """Rows 5 to 36."""
    for fault in FAULTS:
        yield Row(fault.id, partial(_check, fault))


async def exchange(side: Side, transport: Any, server: FaultServer, request: Request[Any], **options: Any) -> tuple[list[Event], Any]:
    """All events of one exchange, and its result or the error that ended it. Raises Unexpected if that shows the key."""
    events: list[Event] = []
    outcome: Any
    try:
        async with side.asks(transport, server.url, **options).stream(request) as stream:
            async for event in stream:
                events.append(event)
                server.saw_event()
            outcome = await stream.result()
    except Exception as error:  # noqa: BLE001 - whatever a transport lets out, it is told
        outcome = error
    return events, _told(outcome, repr(transport), repr(events))


async def answer(side: Side, transport: Any, url: str, **options: Any) -> Any:
    """The result of one exchange, or the error that ended it. Raises Unexpected if that shows the key."""
    outcome: Any
    try:
        outcome = await side.asks(transport, url, **options).send(QUERY)
    except Exception as error:  # noqa: BLE001 - whatever a transport lets out, it is told
        outcome = error
    return _told(outcome, repr(transport))


def _told(outcome: Any, *texts: str) -> Any:
    for text in leaks(outcome, *texts):
        raise Unexpected("the API key to show nowhere: in no error, none of its causes, no repr", shortened(text))
    if isinstance(outcome, BaseException):
        outcome.__traceback__ = None  # its frames hold it, and what it went through: a ring, which would hide who closes a socket
    return outcome


async def _check(fault: Fault, side: Side) -> None:
    request = LARGE if fault.row in (35, 36) else QUERY
    async with side.server(fault.script) as server, side.transport() as transport:
        began = monotonic()
        events, outcome = await exchange(side, transport, server, request, timeouts=fault.timeouts, limits=fault.limits)
        took = monotonic() - began
        expected, came = _expected(fault), _in_words(fault, events, outcome)
        expect(is_right(fault, events, outcome), expected, came)
        expect(took < IN_TIME, f"{expected}, in time", f"{came}, after {took:.1f} seconds")
        if not fault.keeps:
            await side.over(server)
    expect(server.connections == 1, "the request to be sent once, on one connection", f"{server.connections} connections")


def is_right(fault: Fault, events: list[Event], outcome: Any) -> bool:
    """Whether that is what the row asks for."""
    if fault.error is None:
        whole = [TextDelta(fault.text)] if fault.text is not None else EVENTS[: fault.events]
        return isinstance(outcome, QueryResult) and events == [*whole, Completed(outcome)] and outcome.text == _text(whole)
    if type(outcome) is not fault.error or any(getattr(outcome, name) != value for name, value in fault.about.items()):
        return False
    beyond = events[fault.events :]  # of text without end, as much as the limit allows
    if events[: fault.events] != EVENTS[: fault.events] or (beyond and "text beyond" not in fault.name):
        return False
    return not fault.events or _partial(outcome) == TEXT + _text(beyond)


def _text(events: list[Event] | list[TextDelta]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def _partial(error: MoondreamError) -> str | None:
    return error.partial.text if isinstance(error.partial, QueryResult) else None


def _expected(fault: Fault) -> str:
    if fault.error is None:
        return f"the text {fault.text!r}, whole" if fault.text is not None else f"{_counted(fault.events)}, then the whole answer"
    about = "".join(f", {name} {shortened(value, 60)}" for name, value in fault.about.items())
    partial = f", with the text of the {fault.events} events in .partial" if fault.events else ""
    return f"{_counted(fault.events)}, then {fault.error.__name__}{about}{partial}"


def _in_words(fault: Fault, events: list[Event], outcome: Any) -> str:
    texts = [event for event in events if not isinstance(event, Completed)]
    wrong = "" if texts == EVENTS[: len(texts)] else f" ({shortened(texts)})"
    if not isinstance(outcome, BaseException):
        return f"{_counted(len(texts))}{wrong}, then {in_words(outcome)}"
    about = "".join(f"; its {name} is {shortened(getattr(outcome, name, None), 60)}" for name in fault.about)
    partial = f"; the text in its .partial is {shortened(_partial(outcome), 60)}" if isinstance(outcome, MoondreamError) else ""
    return f"{_counted(len(texts))}{wrong}, then {in_words(outcome)}{about}{partial if fault.events else ''}"


def _counted(events: int) -> str:
    return {0: "no event", 1: "1 event"}.get(events, f"{events:,} events")
