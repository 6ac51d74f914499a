"""Every fault on every transport, with one outcome."""

from __future__ import annotations

import logging
from time import monotonic

import pytest

from tests.helpers import QUERY

from .drivers import Driver, each_driver, exchange
from .fault_server import FaultServer
from .faults import FAULTS, LARGE, Fault
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
        fault.check(events, outcome)

    with FaultServer(fault.script) as server:
        driver.run(main, server)
    assert server.connections == 1
