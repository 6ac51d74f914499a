"""However a stream is left, its connection is closed at once, nothing hangs, and nothing warns."""

from __future__ import annotations

import gc
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from sansio_moondream import ConnectionLost, Endpoint, IncompleteStream
from tests.helpers import END, QUERY

from .drivers import DRIVERS, Driver, each_driver
from .fault_server import LAST_CHUNK, PATIENCE, FaultServer, Peer, Script, chunk, nobody_accepts
from .faults import EVENTS, F1, LARGE, answers, wait

SILENT = answers(*F1, then=wait)  # five events, then nothing until the client closes
each_async_driver = pytest.mark.parametrize("driver", [d for d in DRIVERS if d.is_async], ids=lambda driver: driver.name)
each_sync_driver = pytest.mark.parametrize("driver", [d for d in DRIVERS if not d.is_async], ids=lambda driver: driver.name)


@contextmanager
def serving(script: Script = SILENT) -> Iterator[FaultServer]:
    """A server that has seen its connections closed within two seconds of the end of the block."""
    with ExitStack() as stack:
        server = stack.enter_context(FaultServer(script))
        yield server
        left_at = monotonic()
        stack.close()
        assert monotonic() - left_at < 2


def run(driver: Driver, main: Callable[[Any], Awaitable[None]], server: FaultServer) -> None:
    """Run `main(client)` over a transport of its own."""

    async def opened() -> None:
        async with driver.transport() as transport:
            await main(driver.client(transport, Endpoint(url=server.url)))

    driver.run(opened)


async def take(stream: Any, count: int) -> None:
    for event in EVENTS[:count]:
        assert await anext(stream) == event


@each_driver
class TestLeaving:
    def test_early(self, driver: Driver) -> None:
        async def main(client: Any) -> None:
            for _ in range(12):  # more than pools keep
                async with client.stream(QUERY) as stream:
                    async for event in stream:
                        assert event == EVENTS[0]
                        break
                assert stream.snapshot is not None

        with serving() as server:
            run(driver, main, server)

    @pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, SystemExit])
    def test_by_an_exception(self, driver: Driver, error: type[BaseException]) -> None:
        async def main(client: Any) -> None:
            with pytest.raises(error):  # noqa: PT012 - the block is what is tested
                async with client.stream(QUERY) as stream:
                    await take(stream, 2)
                    raise error

        with serving() as server:
            run(driver, main, server)

    def test_by_closing_it_inside(self, driver: Driver) -> None:
        async def main(client: Any) -> None:
            async with client.stream(QUERY) as stream:
                await take(stream, 2)
                await stream.aclose()
                await stream.aclose()

        with serving() as server:
            run(driver, main, server)

    def test_and_going_on(self, driver: Driver) -> None:
        """What was left early does no harm to the next exchange of the same transport."""
        scripts = iter([SILENT, SILENT, answers(*F1, chunk(END), LAST_CHUNK)])

        async def main(client: Any) -> None:
            for _ in range(2):
                async with client.stream(QUERY) as stream:
                    await take(stream, 1)
            async with client.stream(QUERY) as stream:
                assert (await stream.result()).text == "The moon over the sea"

        def script(peer: Peer) -> None:
            next(scripts)(peer)

        with serving(script) as server:
            run(driver, main, server)

    def test_after_the_end(self, driver: Driver) -> None:
        """The end of the body never comes; nobody waits for it."""

        async def main(client: Any) -> None:
            began = monotonic()
            async with client.stream(QUERY) as stream:
                assert (await stream.result()).text == "The moon over the sea"
                assert monotonic() - began < 1
            assert monotonic() - began < 1

        with serving(answers(*F1, chunk(END), then=wait)) as server:
            run(driver, main, server)

    def test_forgetting_it(self, driver: Driver) -> None:
        async def main(client: Any) -> None:
            stream = client.stream(QUERY)
            await stream.__aenter__()
            await take(stream, 5)
            with pytest.warns(ResourceWarning) as warned:
                del stream
            gc.collect()
            assert [str(warning.message) for warning in warned] == [str(warned[0].message)]
            assert "never closed" in str(warned[0].message)
            for _ in range(200):
                if closed.is_set():
                    return
                await driver.sleep(0.01)

        def script(peer: Peer) -> None:
            SILENT(peer)
            closed.set()

        closed = threading.Event()
        with serving(script) as server:
            run(driver, main, server)
        assert closed.is_set()


@each_async_driver
class TestCancellation:
    def test_while_connecting(self, driver: Driver) -> None:
        async def main() -> None:
            async with driver.transport() as transport:
                stream = driver.client(transport, Endpoint(url=url)).stream(QUERY)
                await driver.cancelled_after(0.1, stream.__aenter__)

        with nobody_accepts() as url:
            began = monotonic()
            driver.run(main)
            assert monotonic() - began < 2

    @pytest.mark.parametrize("script", [answers(then=wait), answers(b"HTTP/1.1 200 OK\r\nCont", then=wait)], ids=["no head", "half a head"])
    def test_while_waiting_for_the_head(self, driver: Driver, script: Script) -> None:
        async def main(client: Any) -> None:
            await driver.cancelled_after(0.1, client.stream(QUERY).__aenter__)

        with serving(script) as server:
            run(driver, main, server)

    def test_while_sending_the_request(self, driver: Driver) -> None:
        cancelled = threading.Event()
        rest: list[int] = []

        def script(peer: Peer) -> None:
            peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
            assert cancelled.wait(PATIENCE)
            rest.append(peer.read_until_closed())

        async def main(client: Any) -> None:
            await driver.cancelled_after(0.2, client.stream(LARGE).__aenter__)
            cancelled.set()

        with serving(script) as server:
            run(driver, main, server)
        assert rest[0] < len(LARGE.to_http(Endpoint()).body)  # what was in the system's buffers still comes

    def test_while_reading(self, driver: Driver) -> None:
        async def main(client: Any) -> None:
            async def read() -> None:
                async with client.stream(QUERY) as stream:
                    await take(stream, 5)
                    await anext(stream)

            for _ in range(3):
                await driver.cancelled_after(0.1, read)

        with serving() as server:
            run(driver, main, server)

    def test_while_closing(self, driver: Driver) -> None:
        """The cancellation is there when the block is left: early, or whole, where it meets the wait for the end of the body."""

        async def main(client: Any) -> None:
            for request_whole in (False, True):

                async def leave(cancel: Callable[[], object], whole: bool = request_whole) -> None:
                    async with client.stream(QUERY) as stream:
                        if whole:
                            await stream.result()
                        else:
                            await take(stream, 1)
                        cancel()
                    await driver.forever()

                await driver.cancelled(leave)

        with serving(answers(*F1, chunk(END), then=wait)) as server:
            run(driver, main, server)

    def test_by_a_cancel_scope_of_anyio(self, driver: Driver) -> None:
        anyio = pytest.importorskip("anyio")

        async def main(client: Any) -> None:
            with anyio.move_on_after(0.1) as scope:
                async with client.stream(QUERY) as stream:
                    await take(stream, 5)
                    await anext(stream)
            assert scope.cancelled_caught
            with anyio.CancelScope() as scope:
                async with client.stream(QUERY) as stream:
                    await take(stream, 1)
                    scope.cancel()

        with serving() as server:
            run(driver, main, server)

    def test_closed_by_another_task(self, driver: Driver) -> None:
        async def main(client: Any) -> None:
            async with client.stream(QUERY) as stream:
                await take(stream, 5)

                async def read() -> None:
                    with pytest.raises((ConnectionLost, IncompleteStream)):
                        await anext(stream)

                await driver.together(read, stream.aclose)

        with serving() as server:
            run(driver, main, server)


@each_sync_driver
def test_closed_by_another_thread(driver: Driver) -> None:
    closing: list[threading.Thread] = []
    streams: list[Any] = []

    def script(peer: Peer) -> None:
        peer.answer(*F1)
        for _ in EVENTS:
            peer.wait_for_event()
        closing.append(threading.Thread(target=streams[0].sync.close))
        closing[0].start()
        peer.wait_until_closed()

    async def main(client: Any) -> None:
        async with client.stream(QUERY) as stream:
            streams.append(stream)
            for event in EVENTS:
                assert await anext(stream) == event
                server.saw_event()
            with pytest.raises(ConnectionLost):
                await anext(stream)
            closing[0].join()

    with serving(script) as server:
        run(driver, main, server)


_PROGRAM = """
import sys
from tests.transports import drivers
from tests.helpers import QUERY
from sansio_moondream import Endpoint

driver = next(driver for driver in drivers.DRIVERS if driver.name == {name!r})
kept = []

async def main():
    context = driver.transport()
    transport = await context.__aenter__()
    stream = driver.client(transport, Endpoint(url={url!r})).stream(QUERY)
    kept.extend((context, stream))
    await stream.__aenter__()
    for _ in range(5):
        await anext(stream)
    {then}

{catch}
"""


@each_driver
def test_interrupted_by_the_user(driver: Driver) -> None:
    """A real SIGINT, while it waits for bytes."""
    program = _PROGRAM.replace("{then}", "async with context_of(stream): await anext(stream)")
    text = f"""
import contextlib

@contextlib.asynccontextmanager
async def context_of(stream):
    try:
        yield
    finally:
        await stream.aclose()
        await kept[0].__aexit__(None, None, None)
{program}"""
    catch = """
try:
    driver.run(main)
except KeyboardInterrupt:
    print("interrupted")
"""

    processes: list[subprocess.Popen[str]] = []

    def script(peer: Peer) -> None:
        peer.answer(*F1)
        assert not peer.is_closed_within(0.3)
        processes[0].send_signal(2)
        peer.wait_until_closed()

    with serving(script) as server, started_program(text, driver, server, catch) as process:
        processes.append(process)
        out, err = process.communicate(timeout=20)
    assert (out, err, process.returncode) == ("interrupted\n", "", 0)


@each_driver
def test_a_program_that_leaves_a_stream_open_ends(driver: Driver) -> None:
    with serving() as server, started_program(_PROGRAM.replace("{then}", "pass"), driver, server, "driver.run(main)") as process:
        _, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    if driver.name not in ("httpx2-asyncio", "httpx-asyncio"):  # asyncio reports that their nested generators end in any order
        assert "Traceback" not in err


@each_driver
def test_a_program_that_closes_everything_warns_of_nothing(driver: Driver) -> None:
    then = "await stream.aclose(); await context.__aexit__(None, None, None)"
    with serving() as server, started_program(_PROGRAM.replace("{then}", then), driver, server, "driver.run(main)") as process:
        assert process.communicate(timeout=20) == ("", "")
    assert process.returncode == 0


@contextmanager
def started_program(text: str, driver: Driver, server: FaultServer, catch: str) -> Iterator[subprocess.Popen[str]]:
    program = text.replace("{name!r}", repr(driver.name)).replace("{url!r}", repr(server.url)).replace("{catch}", catch)
    command = [sys.executable, "-W", "always", "-c", program]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=root) as process:
        try:
            yield process
        finally:
            process.kill()
