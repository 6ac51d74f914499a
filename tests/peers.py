"""The clients that tests/test_peers.py compares, each in its real code against a real server on
loopback.

Every client is used by its public names, given an address, and makes its own connection. `took` is
called with each chunk of text as soon as the client gives it out. What is returned is the whole
text where a client has such a thing, or None. What goes wrong is raised as the client raises it.

- `moondream` is the official client, `vl(endpoint=…).query(…, stream=True)`. Its distribution asks
  for a whole inference engine, torch included, but importing it and using it against a server needs
  only Pillow; so it is installed without dependencies.
- `httpx-sse` and `httpx2` are plain decoders of server-sent events over an HTTP client; `anthropic`
  is `Stream.raw_events`, its public decoder, over httpx2 as in its own client. (`Stream` itself
  lets no event through that has no name, and Moondream's have none.)
- `openai` is its client, by `client.post(…, stream_cls=Stream)`: `client.post` is its documented
way to what it has no method for."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib import import_module
from types import TracebackType
from typing import Any, NamedTuple, TypeAlias

from moondream_transports import Client, UrllibTransport
from sansio_moondream import Endpoint
from tests.helpers import QUERY

OURS = "sansio-moondream"

Took: TypeAlias = Callable[[object], None]
Ask: TypeAlias = Callable[[str, Took], str | None]

_BODY = {"question": QUERY.question, "stream": True}


def sansio_moondream(endpoint: str, took: Took) -> str:
    with Client(UrllibTransport(proxies={}), Endpoint(endpoint)).stream(QUERY) as stream:
        for text in stream.text():
            took(text)
        return stream.result().text


def moondream(endpoint: str, took: Took) -> None:
    client = import_module("moondream").vl(endpoint=endpoint)
    for chunk in client.query(question=QUERY.question, stream=True)["answer"]:
        took(chunk)


def httpx_sse(endpoint: str, took: Took) -> None:
    connect_sse = import_module("httpx_sse").connect_sse
    with (
        import_module("httpx").Client(trust_env=False) as client,
        connect_sse(client, "POST", f"{endpoint}/query", json=_BODY) as events,
    ):
        _take(events.iter_sse(), took)


def httpx2(endpoint: str, took: Took) -> None:
    with (
        import_module("httpx2").Client(trust_env=False) as client,
        client.sse(f"{endpoint}/query", method="POST", json=_BODY) as events,
    ):
        _take(events, took)


def openai(endpoint: str, took: Took) -> None:
    package: Any = import_module("openai")
    with (
        import_module("httpx2").Client(trust_env=False) as http,
        package.OpenAI(
            api_key="none", base_url=endpoint, http_client=http, max_retries=0
        ) as client,
        client.post(
            "/query", body=_BODY, cast_to=object, stream=True, stream_cls=package.Stream[object]
        ) as messages,
    ):
        for message in messages:
            if chunk := message.get("chunk"):
                took(chunk)


def anthropic(endpoint: str, took: Took) -> None:
    raw_events = import_module("anthropic").Stream.raw_events
    with (
        import_module("httpx2").Client(trust_env=False) as client,
        client.stream("POST", f"{endpoint}/query", json=_BODY) as response,
    ):
        _take(raw_events(response), took)


def _take(events: Iterable[Any], took: Took) -> None:
    """Read as a careful user of a plain decoder does. Events without data are ignored."""
    for event in events:
        if event.data.strip() and (chunk := json.loads(event.data).get("chunk")):
            took(chunk)


class Peer(NamedTuple):
    ask: Ask
    modules: tuple[str, ...]  # that have to be importable


# By the names of their distributions.
PEERS = {
    "moondream": Peer(moondream, ("moondream",)),
    "httpx-sse": Peer(httpx_sse, ("httpx", "httpx_sse")),
    "httpx2": Peer(httpx2, ("httpx2",)),
    "openai": Peer(openai, ("httpx2", "openai")),
    "anthropic": Peer(anthropic, ("httpx2", "anthropic")),
}


class OneAnswer:
    """A server on loopback that reads one request, sends the given bytes chunk by chunk, and closes
    the connection.

    With `in_step` it waits for a call of `took` after the head and the first chunk of the body.
    `was_late` says that `took` was not called before the deadline. `asked` is the request: its
    first line, its headers with names in lower case, and its body.
    """

    def __init__(self, chunks: list[bytes], in_step: bool = False, deadline: float = 3.0) -> None:
        self.was_late = False
        self.asked: tuple[str, dict[str, str], bytes] | None = None
        self._chunks = chunks
        self._wait_after = 2 if in_step else len(chunks)
        self._deadline = deadline
        self._taken = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._is_over = False
        self._thread = threading.Thread(target=self._serve)
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"

    def took(self) -> None:
        self._taken.set()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        if self._is_over:  # nobody asked
            connection.close()
            return
        with (
            connection,
            suppress(ConnectionError),
        ):  # a client that has raised does not wait for the rest
            connection.settimeout(10)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._read_request(connection)
            for chunk in self._chunks[: self._wait_after]:
                connection.sendall(chunk)
            if self._chunks[self._wait_after :]:
                self.was_late = not self._taken.wait(self._deadline)
                for chunk in self._chunks[self._wait_after :]:
                    connection.sendall(chunk)

    def _read_request(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as request:
            first = request.readline().decode().strip()
            headers: dict[str, str] = {}
            while line := request.readline().decode("latin-1").strip():
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            self.asked = first, headers, request.read(int(headers.get("content-length", 0)))

    def __enter__(self) -> OneAnswer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_over = True
        socket.create_connection(self._listener.getsockname()).close()  # wakes accept()
        self._thread.join()
        self._listener.close()
