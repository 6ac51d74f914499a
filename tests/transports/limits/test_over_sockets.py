"""The promises of a limiter in the log of a real server, with threads and tasks at once."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic

import pytest

from moondream_transports import AsyncClient, Client, Limiter, RetryPolicy
from sansio_moondream import Endpoint
from tests.helpers import QUERY
from tests.transports.limits.turns import in_threads

RATE, BURST, CONCURRENT, RECOVERY = 50, 3, 4, 1.0
LATE = 0.25  # seconds by which the machine may delay a request on its way
REFUSED = 12  # the number of the request that gets a 429


class Log:
    """When each request came, how many were open, and when the 429 was sent."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.came: list[float] = []
        self.open = self.most_open = 0
        self.refused_at = 0.0


@contextmanager
def server() -> Iterator[tuple[Log, Endpoint]]:
    log = Log()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            with log.lock:
                log.came.append(monotonic())
                number = len(log.came)
                log.open += 1
                log.most_open = max(log.most_open, log.open)
            self.rfile.read(int(self.headers["content-length"]))
            body = json.dumps({"answer": "A moon", "error": None}).encode()
            with log.lock:
                log.open -= 1
                log.refused_at = monotonic() if number == REFUSED else log.refused_at
            self.send_response(429 if number == REFUSED else 200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            if number == REFUSED:
                self.send_header("retry-after", "1")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        try:
            yield log, Endpoint(f"http://127.0.0.1:{http.server_address[1]}/v1")
        finally:
            http.shutdown()
            thread.join()


def test_a_server_sees_no_more_than_the_limit() -> None:
    pytest.importorskip("anyio")
    with server() as (log, endpoint):
        limiter = Limiter(RATE, BURST, CONCURRENT, recovery=RECOVERY)

        def in_a_thread() -> None:
            with Client(endpoint=endpoint, limiter=limiter, retries=RetryPolicy()) as client:
                for _ in range(10):
                    assert client.send(QUERY).text == "A moon"

        async def in_tasks() -> None:
            async with AsyncClient(
                endpoint=endpoint, limiter=limiter, retries=RetryPolicy()
            ) as client:

                async def one() -> None:
                    for _ in range(5):
                        assert (await client.send(QUERY)).text == "A moon"

                await asyncio.gather(*(one() for _ in range(4)))

        in_threads(in_a_thread, in_a_thread, lambda: asyncio.run(in_tasks()))

    assert len(log.came) == 41  # each once, and one again
    assert log.most_open <= CONCURRENT
    for first, came in enumerate(log.came):
        for last in range(first, len(log.came)):
            assert last - first + 1 <= BURST + RATE * (log.came[last] - came + LATE)
    # What was on its way at the 429 still came. Then nobody asked for a second.
    resumed = [moment for moment in log.came if moment > log.refused_at + LATE]
    assert len(resumed) >= 41 - REFUSED - CONCURRENT - RATE * LATE
    assert resumed[0] >= log.refused_at + 1.0
    # A tenth of the rate at first: in the recovery, 55 % of its requests.
    early = [moment for moment in resumed if moment < resumed[0] + RECOVERY / 2]
    assert len(early) <= RATE * RECOVERY * (0.05 + 0.1125 + LATE) + 1
    status = limiter.status()
    assert (status.open, status.waiting) == (0, 0)
