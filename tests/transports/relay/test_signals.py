"""A drain that a signal begins, beside the handlers of the server."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from time import monotonic, sleep
from types import FrameType

import anyio
import anyio.lowlevel
import pytest

from moondream_transports.relay import AsyncRelayGroup, RelayGroup, relay
from sansio_moondream import TextDelta
from tests.helpers import NewThreads, delta

from .exchanges import Browser, Upstream, on_each_loop, records, run

NUMBER = signal.SIGTERM
SECONDS = 30


@pytest.fixture
def called() -> Iterator[list[int]]:
    """The signals that the handler of a server got. The main thread has to run the test."""
    numbers: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        numbers.append(number)

    before = signal.signal(NUMBER, handle)
    yield numbers
    assert signal.getsignal(NUMBER) is handle
    signal.signal(NUMBER, before)


@on_each_loop
def test_the_handler_of_the_server_is_called_and_the_drain_begins(loop: str, called: list[int]):
    async def main() -> None:
        group, browser = AsyncRelayGroup(), Browser()
        async with anyio.create_task_group() as tasks:
            with group.drain_on_signal(0.01, [NUMBER]):
                tasks.start_soon(browser.ask, relay(Upstream(delta("A")).stream(), group=group))
                await browser.wait_for(2)
                assert not group.is_draining
                signal.raise_signal(NUMBER)
                signal.raise_signal(NUMBER)
                await browser.wait_for(3)
        assert called == [NUMBER, NUMBER]
        assert browser.parts[0] == records(TextDelta("A"))[0]
        assert b"server_stopping" in browser.parts[1]

    run(loop, main)


@on_each_loop
def test_without_a_signal_nothing_is_left(loop: str, called: list[int]):
    async def main() -> None:
        group = AsyncRelayGroup()
        with group.drain_on_signal(0, [NUMBER]):
            await anyio.lowlevel.checkpoint()
        assert not group.is_draining

    run(loop, main)


def test_the_sync_form(called: list[int]):
    group = RelayGroup()
    threads = NewThreads()
    with group.drain_on_signal(0, [NUMBER]):
        assert not group.is_draining
        signal.raise_signal(NUMBER)
        wait_until(lambda: group.is_draining)
    assert called == [NUMBER]
    wait_until(lambda: not threads.running())


def test_another_thread_gets_no_signals(called: list[int]):
    group = RelayGroup()

    def main() -> None:
        with group.drain_on_signal(0, [NUMBER]):
            signal.raise_signal(NUMBER)

    thread = threading.Thread(target=main)
    thread.start()
    thread.join()
    assert (called, group.is_draining) == ([NUMBER], False)


def test_a_handler_that_was_installed_later_stays():
    before = signal.getsignal(NUMBER)
    with RelayGroup().drain_on_signal(0, [NUMBER]):
        signal.signal(NUMBER, signal.SIG_IGN)
    assert signal.getsignal(NUMBER) is signal.SIG_IGN
    signal.signal(NUMBER, before)


def wait_until(condition: object) -> None:
    deadline = monotonic() + SECONDS
    while not condition():  # type: ignore[operator]
        assert monotonic() < deadline
        sleep(0.001)


PROGRAM = """
import threading
from moondream_transports.relay import RelayGroup, relay
from sansio_moondream import Completed, QueryResult, TextDelta

goes_on = threading.Event()

def events():
    yield TextDelta("A")
    goes_on.wait({wait})
    yield Completed(QueryResult("A"))

group = RelayGroup()
response = relay(events(), group=group)
with group.drain_on_signal({seconds}):
    print(next(response).decode(), flush=True)
    for part in response:
        print(part.decode(), flush=True)
        response.close()
    threading.Event().wait()
"""


@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    ("wait", "seconds", "last"),
    [(0.5, 60, '"kind":"completed"'), (20, 0.1, '"type":"server_stopping"')],
    ids=["it finishes", "it is ended"],
)
def test_the_default_action_waits_for_the_drain(
    number: signal.Signals, wait: float, seconds: float, last: str
):
    program = PROGRAM.format(wait=wait, seconds=seconds)
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "id: 1\n"
        process.send_signal(number)
        try:
            output, errors = process.communicate(timeout=SECONDS)
        finally:
            process.kill()
    assert last in output
    assert process.returncode == -number
    assert errors == "" or "KeyboardInterrupt" in errors
