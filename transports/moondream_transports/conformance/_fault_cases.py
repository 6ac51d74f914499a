"""The faults as cases: one exchange with a server that does it, and whether what came is what had
to come.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from time import monotonic
from typing import Any

from sansio_moondream import Completed, Event, MoondreamError, QueryResult, Request, TextDelta

from ._backend import Backend
from ._case import Case, Unexpected, expect, in_words, shortened
from ._fault_server import FaultServer
from ._faults import EVENTS, FAULTS, LARGE, QUERY, TEXT, HTTPFault
from ._secrets import leaks

IN_TIME = 8.0  # seconds: more than any deadline of a case, and less than it takes without one


def fault_cases() -> Iterator[Case]:
    """Rows 5 to 36."""
    for fault in FAULTS:
        yield Case(fault.id, partial(_check, fault))


async def exchange(
    backend: Backend, transport: Any, server: FaultServer, request: Request[Any], **options: Any
) -> tuple[list[Event], Any]:
    """All events of one exchange, and its result or the error that ended it.

    Raises Unexpected if that shows the key.
    """
    events: list[Event] = []
    outcome: Any
    try:
        async with backend.asks(transport, server.url, **options).stream(request) as stream:
            async for event in stream:
                events.append(event)
                server.saw_event()
            outcome = await stream.result()
    except Exception as error:  # noqa: BLE001 - whatever a transport lets out, it is told
        outcome = error
    return events, _told(outcome, repr(transport), repr(events))


async def answer(backend: Backend, transport: Any, url: str, **options: Any) -> Any:
    """The result of one exchange, or the error that ended it.

    Raises Unexpected if that shows the key.
    """
    outcome: Any
    try:
        outcome = await backend.asks(transport, url, **options).send(QUERY)
    except Exception as error:  # noqa: BLE001 - whatever a transport lets out, it is told
        outcome = error
    return _told(outcome, repr(transport))


def _told(outcome: Any, *texts: str) -> Any:
    for text in leaks(outcome, *texts):
        raise Unexpected(
            "the API key to show nowhere: in no error, none of its causes, no repr", shortened(text)
        )
    if isinstance(outcome, BaseException):
        # its frames hold it, and what it went through: a ring, which would hide who closes a socket
        outcome.__traceback__ = None
    return outcome


async def _check(fault: HTTPFault, backend: Backend) -> None:
    request = LARGE if fault.case in (35, 36) else QUERY
    async with backend.server(fault.script) as server, backend.transport() as transport:
        began = monotonic()
        events, outcome = await exchange(
            backend, transport, server, request, timeouts=fault.timeouts, limits=fault.limits
        )
        took = monotonic() - began
        expected, came = _expected(fault), _in_words(fault, events, outcome)
        expect(is_right(fault, events, outcome), expected, came)
        expect(took < IN_TIME, f"{expected}, in time", f"{came}, after {took:.1f} seconds")
        if not fault.keeps:
            await backend.over(server)
    expect(
        server.connections == 1,
        "the request to be sent once, on one connection",
        f"{server.connections} connections",
    )


def is_right(fault: HTTPFault, events: list[Event], outcome: Any) -> bool:
    """Whether that is what the case asks for."""
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
    beyond = events[fault.events :]  # of text without end, as much as the limit allows
    if events[: fault.events] != EVENTS[: fault.events] or (
        beyond and "text beyond" not in fault.name
    ):
        return False
    return not fault.events or _partial(outcome) == TEXT + _text(beyond)


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


def _in_words(fault: HTTPFault, events: list[Event], outcome: Any) -> str:
    texts = [event for event in events if not isinstance(event, Completed)]
    wrong = "" if texts == EVENTS[: len(texts)] else f" ({shortened(texts)})"
    if not isinstance(outcome, BaseException):
        return f"{_counted(len(texts))}{wrong}, then {in_words(outcome)}"
    about = "".join(
        f"; its {name} is {shortened(getattr(outcome, name, None), 60)}" for name in fault.about
    )
    partial = (
        f"; the text in its .partial is {shortened(_partial(outcome), 60)}"
        if isinstance(outcome, MoondreamError)
        else ""
    )
    return f"{_counted(len(texts))}{wrong}, then {in_words(outcome)}{about}{partial if fault.events else ''}"


def _counted(events: int) -> str:
    return {0: "no event", 1: "1 event"}.get(events, f"{events:,} events")
