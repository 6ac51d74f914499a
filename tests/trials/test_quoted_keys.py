"""Case 4 of "What broke in trials": a key that the server quotes back."""

from __future__ import annotations

import base64

import pytest

from moondream_transports import (
    Hooks,
    Timeline,
)
from moondream_transports.conformance._fault_server import FaultServer, head
from moondream_transports.conformance._secrets import logged
from sansio_moondream import (
    MoondreamError,
)
from tests.helpers import QUERY, record
from tests.transports.adapters import Adapter
from tests.trials.adapters import NAMED, each_of
from tests.trials.helpers import KEY, found_in, words

QUOTED = f"Incorrect API key provided: {KEY}"
TEXT = (("Content-Type", "text/plain"),)
QUOTES = {
    "401": head(401, (("Content-Type", "application/json"),))
    + b'{"error": {"message": "%s"}}' % QUOTED.encode(),
    "text of a 500": head(500, TEXT) + QUOTED.encode(),
    "error in the stream": head(200, (("Content-Type", "text/event-stream"),))
    + record({"error": {"message": QUOTED, "param": KEY}}),
    "no event stream": head(200, (("Content-Type", "text/html"),)) + QUOTED.encode(),
    "broken record": head(200, (("Content-Type", "text/event-stream"),))
    + f'data: {{"chunk": "{QUOTED}\n\n'.encode(),
    "redirect": head(302, (("Location", f"http://localhost/{KEY}/v1/query"),)),
    "field of the head": head(401, (("WWW-Authenticate", f"Bearer {KEY}"), *TEXT)) + b"no",
    "request id": head(500, (("X-Request-Id", KEY), *TEXT)) + b"no",
    "escapes": head(400, (("Content-Type", "application/json"),))
    + b'{"detail": "no such key: %s"}' % KEY.replace("-", "\\u002d").encode(),
    "base64": head(400, TEXT) + b"Basic " + base64.b64encode(f"user:{KEY}".encode()),
    "end of an excerpt": head(400, TEXT) + b"x" * 1990 + KEY.encode(),
    "broken line of the head": f"HTTP/1.1 200 \r\n{QUOTED.replace(':', '')}\r\n\r\n".encode(),
    "broken first line": f"HTTP/1.1 {QUOTED}\r\n\r\n".encode(),
}


class TestQuotedKey:
    """Case 4. What was sent as a secret is masked wherever our words or fields carry it."""

    @each_of("urllib", "httpx2", "httpx2-asyncio", "aiohttp", "anyio-asyncio")
    @pytest.mark.parametrize("name", QUOTES)
    def test_a_key_that_the_server_quotes_is_masked(self, name: str, adapter: Adapter) -> None:
        class Kept(Hooks):
            def __init__(self) -> None:
                self.said: list[str] = []

            def on_end(self, timeline: Timeline) -> None:
                self.said += [f"{timeline} {timeline!r}", *words(timeline.error)]

        async def main(server: FaultServer) -> BaseException:
            async with adapter.transport() as transport:
                with pytest.raises(MoondreamError) as caught:
                    await adapter.asks(transport, server.url, hooks=hooks).send(QUERY)
            return caught.value

        hooks = Kept()
        with FaultServer(lambda peer: peer.answer(QUOTES[name])) as server, logged() as lines:
            error = adapter.run(main, server)
        # httpcore logs the heads of responses at DEBUG: that log is its own, and the docs say so.
        ours = [line.getMessage() for line in lines if line.name.startswith("moondream")]
        said = [*words(error), *ours, *hooks.said]
        # Of a key that is cut off, what has 4 characters or more is masked.
        assert found_in(said, KEY, KEY[:4], KEY[-4:], base64.b64encode(KEY.encode()).decode()) == []

    def test_a_request_id_that_quotes_the_key_is_masked_in_hooks_and_log(self) -> None:
        """The metadata of a result is part of the answer, which is never masked."""
        adapter, ids = NAMED["urllib"], [("X-Request-Id", KEY)]

        class Kept(Hooks):
            timelines: list[Timeline] = []  # noqa: RUF012

            def on_end(self, timeline: Timeline) -> None:
                self.timelines.append(timeline)

        async def main(server: FaultServer) -> str | None:
            async with adapter.transport() as transport:
                client = adapter.asks(transport, server.url, hooks=hooks)
                return (await client.send(QUERY)).metadata.request_id

        hooks = Kept()
        script = [head(200, (("Content-Type", "application/json"), *ids)) + b'{"answer": "A moon"}']
        with FaultServer(lambda peer: peer.answer(*script)) as server, logged() as lines:
            assert adapter.run(main, server) == KEY
        (timeline,) = hooks.timelines
        assert timeline.request_id == "*" * len(KEY)
        assert found_in([line.getMessage() for line in lines], KEY) == []
