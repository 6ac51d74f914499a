"""Every fault on every transport, with one outcome."""

from __future__ import annotations

import logging
from time import monotonic

import pytest

from sansio_moondream import Completed, QueryResult, TextDelta
from tests.helpers import QUERY

from .drivers import Driver, each_driver, exchange
from .fault_server import FaultServer
from .faults import EVENTS, FAULTS, LARGE, WORDS, Fault
from .secrets import assert_no_key


@each_driver
@pytest.mark.parametrize("fault", FAULTS, ids=[fault.id for fault in FAULTS])
def test_fault(fault: Fault, driver: Driver, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    fault = fault.on(driver.name)

    async def main(server: FaultServer) -> None:
        request = LARGE if fault.row in (35, 36) else QUERY
        async with driver.transport() as transport:
            began = monotonic()
            events, outcome = await exchange(driver, transport, server, request, timeouts=fault.timeouts, limits=fault.limits)
            assert monotonic() - began < 5
        assert_no_key(outcome, caplog.text, repr(transport), repr(events))
        if fault.error is None:
            assert isinstance(outcome, QueryResult), outcome
            whole = [TextDelta(fault.text)] if fault.text is not None else EVENTS[: fault.events]
            assert events == [*whole, Completed(outcome)]
            assert outcome.text == "".join(event.text for event in whole)
            return
        assert type(outcome) is fault.error, outcome
        beyond = events[fault.events :]  # of text without end, as much as the limit allows
        assert events[: fault.events] == EVENTS[: fault.events]
        assert not beyond or "text beyond" in fault.name
        assert {name: getattr(outcome, name) for name in fault.about} == fault.about
        if fault.events:
            assert isinstance(outcome.partial, QueryResult)
            assert outcome.partial.text == "".join(WORDS) + "".join(event.text for event in beyond if isinstance(event, TextDelta))

    with FaultServer(fault.script) as server:
        driver.run(main, server)
    assert server.connections == 1
