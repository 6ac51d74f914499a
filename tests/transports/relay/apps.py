"""A `RelayApp` in memory, with a model behind it that plays a script."""

from __future__ import annotations

import json
from typing import Any

import anyio

from moondream_transports import AsyncClient, Timeouts
from moondream_transports.relay import AsyncBroadcasts, RelayApp
from sansio_moondream import HTTPRequest
from tests.helpers import END, QUERY, delta
from tests.transports.fakes import ENDPOINT, AsyncFakeStream, FakeStream, Step

from .asgi import JSON, Exchange

WORDS = ("A", " crescent", " moon", " 🌙 é")
ANSWER: tuple[Step, ...] = (*map(delta, WORDS), END, b"")
QUESTION = QUERY.to_http(ENDPOINT).body


class Model:
    """A transport that gives each request the same answer. After its steps it is silent."""

    def __init__(self, *steps: Step, **options: Any) -> None:
        self.steps = steps
        self.options = options
        self.answers: list[FakeStream] = []

    async def send(self, request: HTTPRequest, timeouts: Timeouts) -> AsyncFakeStream:
        self.answers.append(FakeStream(*self.steps, **self.options))
        return await AsyncFakeStream(self.answers[-1], anyio.sleep_forever).send(request, timeouts)

    @property
    def requests(self) -> list[HTTPRequest]:
        return [request for answer in self.answers for request in answer.requests]


class Server:
    """An application, and the short forms of requests to it."""

    def __init__(self, *steps: Step, root_path: str = "", **options: Any) -> None:
        self.model = Model(*steps or ANSWER)
        self.broadcasts = AsyncBroadcasts()
        client = AsyncClient(self.model, ENDPOINT)
        self.app = RelayApp(client, self.broadcasts, **options)
        self.root_path = root_path

    async def ask(self, target: str, *headers: tuple[str, str], **options: Any) -> Exchange:
        """Make a request, and return it with the response."""
        options.setdefault("root_path", self.root_path)
        return await Exchange(self.app, target, *headers, **options).run()

    async def post(self, body: bytes = QUESTION, path: str = "/v1/query") -> str:
        """Ask the model, and return the address of the answer."""
        path = self.root_path + path
        exchange = await self.ask(path, JSON, method="POST", body=body)
        assert exchange.status_code == 201, exchange.body
        url: str = json.loads(exchange.body)["url"]
        return url

    async def __aenter__(self) -> Server:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.app.aclose()


def error_of(exchange: Exchange) -> dict[str, Any]:
    """Return the error of a response."""
    assert exchange.headers["content-type"] == "application/json"
    error: dict[str, Any] = json.loads(exchange.body)["error"]
    return error
