"""Every fault on every transport, with one outcome."""

from __future__ import annotations

from time import monotonic

import pytest

from sansio_moondream import Completed, EncodedImage, QueryRequest, QueryResult
from tests.helpers import QUERY

from .drivers import KEY, Driver, each_driver, exchange
from .fault_server import FaultServer
from .faults import EVENTS, FAULTS, WORDS, Fault

LARGE = QueryRequest(question="What is this?", image=EncodedImage("data:image/png;base64," + "A" * 13_000_000))


@each_driver
@pytest.mark.parametrize("fault", FAULTS, ids=[fault.id for fault in FAULTS])
def test_fault(fault: Fault, driver: Driver) -> None:
    async def main(server: FaultServer) -> None:
        request = LARGE if fault.row in (35, 36) else QUERY
        async with driver.transport() as transport:
            began = monotonic()
            events, outcome = await exchange(driver, transport, server, request, timeouts=fault.timeouts)
            assert monotonic() - began < 5
        if fault.error is None:
            assert isinstance(outcome, QueryResult), outcome
            assert events == [*EVENTS[: fault.events], Completed(outcome)]
            assert outcome.text == "".join(WORDS[: fault.events])
            return
        assert type(outcome) is fault.error, outcome
        assert events == EVENTS[: fault.events]
        assert {name: getattr(outcome, name) for name in fault.about} == fault.about
        if fault.events:
            assert isinstance(outcome.partial, QueryResult)
            assert outcome.partial.text == "".join(WORDS)
        assert KEY not in repr(vars(outcome)) + str(outcome)

    with FaultServer(fault.script) as server:
        driver.run(main, server)
    assert server.connections == 1
