"""RelayApp on a real server: uvicorn, with connections that break."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest

from moondream_transports import AsyncClient
from moondream_transports.relay import RelayApp
from tests.helpers import END, delta
from tests.transports.adapters import LONGEST_WAIT
from tests.transports.fakes import ENDPOINT

from .apps import QUESTION, WORDS, Model
from .asgi import EventSource


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """Serve an application. Gives its address."""
    uvicorn: Any = pytest.importorskip("uvicorn", reason="`make` installs uvicorn")
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def test_an_answer_after_a_reload():
    app = RelayApp(AsyncClient(Model(*map(delta, WORDS), END, b""), ENDPOINT))
    kind = {"content-type": "application/json"}
    source = EventSource(app, "/")
    with serving(app) as url, httpx2.Client(base_url=url, timeout=LONGEST_WAIT) as client:
        made = client.post("/v1/query", content=QUESTION, headers=kind)
        assert (made.status_code, made.headers["location"]) == (201, made.json()["url"])
        with client.stream("GET", made.json()["url"]) as response:
            assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
            source.feed(next(response.iter_bytes(100)))  # and the page is loaded again
        assert source.last_id == "1"
        for status_code in (200, 204):
            again = client.get(made.json()["url"], headers={"last-event-id": source.last_id})
            assert again.status_code == status_code
            source.feed(again.content)
        assert client.delete(made.json()["url"]).status_code == 204
        assert client.get(made.json()["url"]).status_code == 404
        head = client.head("/moondream-relay.js")
        assert (head.status_code, head.headers["content-type"][:15]) == (200, "text/javascript")
    texts = [json.loads(data).get("text") for data in source.data]
    assert texts == [*WORDS, None]
