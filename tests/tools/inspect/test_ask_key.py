"""The key of the endpoint never reaches the page, even if the endpoint sends it back."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import threading
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from time import monotonic

import msgspec
import pytest

from moondream_tools._exchange import Exchange
from moondream_tools._guard import Guard
from moondream_tools._inspect._store import Entry, Store
from moondream_tools._server_thread import HOST, ServerThread
from moondream_tools.cli import Exit
from moondream_tools.trace import TraceUpdate
from sansio_moondream import Endpoint
from tests.helpers import delta, record
from tests.tools.inspect.asking import KEY, ask, follow
from tests.tools.inspect.page_server import Served, serving
from tests.tools.programs import running


@contextmanager
def answering(handle: Callable[[Exchange], Awaitable[None]]) -> Iterator[Endpoint]:
    """Run a server with this handler, and return its endpoint, with a key."""
    server = ServerThread(handle, Guard(HOST), lambda _: None)
    server.start()
    try:
        yield Endpoint(f"http://{HOST}:{server.port}/v1", api_key=KEY)
    finally:
        server.close()


PARTS = [
    delta(f"it is {KEY}. "),
    delta("it is planted-"),
    delta("key-7f3a, "),
    *(bytes([byte]) for byte in delta(f"or {b64encode(KEY.encode()).decode()}")),
]


class TestTheKey:
    """A server that quotes the key back: the page never gets it."""

    @pytest.mark.parametrize("where", ["head", "body", "stream", "error", "framing"])
    def test_it_stays_in_the_server(self, where: str, capfd: pytest.CaptureFixture[str]):
        async def handle(exchange: Exchange) -> None:
            assert exchange.headers["x-moondream-auth"] == KEY
            fields = [("x-request-id", f"id-{KEY}"), ("server", KEY), ("set-cookie", KEY)]
            stream = [*fields, ("content-type", "text/event-stream")]
            if where == "head":
                await exchange.answer(302, b"", [*fields, ("location", f"http://x/{KEY}")])
            elif where == "body":
                body = json.dumps({"error": {"message": f"the key {KEY} is wrong"}}).encode()
                await exchange.answer(401, body, fields)
            elif where == "framing":
                await exchange.start(200, [*stream, ("content-encoding", KEY)])
                await exchange.send_unframed(KEY.encode())
                exchange.abort()
            else:
                await exchange.start(200, stream)
                for part in PARTS:
                    await exchange.send(part)
                    await asyncio.sleep(0.002)  # so that it is received by itself
                if where == "error":
                    await exchange.send(record({"error": f"{KEY} again"}))
                else:
                    await exchange.send(record({"completed": True, "answer": f"it is {KEY}"}))
                await exchange.end()

        with answering(handle) as endpoint, serving([], endpoint=endpoint) as served:
            name = ask(served)
            followed = served.ask(f"api/live/{name}")
            replies = [followed, *(served.ask(path) for path in ("api/recordings",))]
            replies += [served.ask(f"api/{what}/{name}") for what in ("trace", "takeaway")]
            entry = served.store.get(name)
            assert isinstance(entry, Entry)
            data = entry.recording.encode() + b"".join(reply.body for reply in replies)
        out, err = capfd.readouterr()
        seen = (data + repr(replies).encode() + (out + err).encode()).decode()
        digits = b64encode(KEY.encode()).decode()
        bodies = "".join(
            msgspec.json.decode(line.removeprefix("data: "), type=TraceUpdate).body.decode()
            for line in followed.body.decode().splitlines()
            if line.startswith('data: {"response"')
        )
        for text in seen, bodies:
            assert KEY not in text
            assert digits[:-4] not in text
        if where in ("stream", "error"):
            # What came in parts was masked from the fourth byte on. The recording masks all of it.
            assert "it is ****************. " in bodies
            assert "planted-" not in bodies

    def test_a_text_that_only_begins_like_it(self):
        """It is masked until more of it is known. Then the page loads the recording."""
        seen = threading.Event()

        async def handle(exchange: Exchange) -> None:
            await exchange.start(200, [("content-type", "text/event-stream")])
            await exchange.send(delta("they are plant"))
            assert await asyncio.to_thread(seen.wait, 20)
            await exchange.send(delta("s."))
            await exchange.send(record({"completed": True}))
            await exchange.end()

        with answering(handle) as endpoint, serving([], endpoint=endpoint) as served:
            name = ask(served)
            connection = http.client.HTTPConnection(HOST, served.port, timeout=20)
            connection.request("GET", f"{served.path}api/live/{name}")
            response = connection.getresponse()
            while b"they are *****" not in response.readline():
                pass
            seen.set()
            assert response.read().endswith(
                b'{"error": null, "complete": true, "reload": true}\n\n'
            )
            connection.close()
            assert served.ask(f"api/trace/{name}").json["result"]["text"] == "they are plants."


@pytest.mark.slow
def test_the_program_keeps_the_key_to_itself_and_ends_at_once():
    """Ctrl+C does not wait for an answer that a page follows."""
    statuses = [401, 200]
    left = threading.Event()

    async def handle(exchange: Exchange) -> None:
        assert exchange.headers["x-moondream-auth"] == KEY
        status = statuses.pop(0)
        if status == 401:
            await exchange.answer(status, f"no such key: {KEY}".encode())
            return
        await exchange.start(status, [("content-type", "text/event-stream")])
        await exchange.send(delta("a boat"))
        try:
            await asyncio.Event().wait()
        finally:
            left.set()

    with answering(handle) as endpoint:
        arguments = ("inspect", "--endpoint", endpoint.url, "--no-open")
        with running(*arguments, MOONDREAM_API_KEY=KEY, NO_PROXY="*") as program:
            path = program.url.removeprefix(program.origin)
            served = Served(program.url, program.port, path, Store())
            assert served.ask("api/recordings").json["endpoint"]["url"] == endpoint.url
            end = follow(served, ask(served)).end
            assert end["error"]["kind"] == "AuthenticationError"
            assert KEY not in served.ask("api/trace/asked-1-query.jsonl").body.decode()
            served.ask("api/ask", {"skill": KEY})
            line = program.wait_for_line("api/ask 400")
            assert program.process.poll() is None
            assert KEY not in line + "".join(program.lines)
            connection = http.client.HTTPConnection(HOST, program.port, timeout=20)
            connection.request("GET", f"{path}api/live/{ask(served)}")
            response = connection.getresponse()
            while b"a boat" not in response.readline():
                pass
            began = monotonic()
            status, log = program.stopped(signal.SIGINT)
            assert monotonic() - began < 5
            assert status == Exit.INTERRUPTED
            assert KEY not in log
            connection.close()
        assert left.wait(20)
    assert not statuses
