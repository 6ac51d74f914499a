"""The programs of docs/how-to/browser.md under uvicorn, with faults between them and a browser."""

from __future__ import annotations

import json
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass, field
from importlib import util
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from moondream_tools import FakeServer
from moondream_transports import AsyncClient
from moondream_transports.relay import RelayApp, relay
from sansio_moondream import Endpoint, QueryRequest
from tests.devtools import Page
from tests.guides import BLOCK, ROOT, write_files

GUIDE = ROOT / "docs" / "how-to" / "browser.md"
FOLDER = ROOT / "docs" / "browser-page"
WORDS = " ".join(f"word{i}" for i in range(30))
TEXT = "document.getElementById('answer').textContent"
STATUS = "document.getElementById('status').textContent"
IS_COMPLETE = f"{STATUS} === 'Complete.'"


class CutError(Exception):
    """The connection is to be cut here."""


@dataclass
class Faults:
    """An ASGI application in front of another one, which spoils some responses of streams.

    Attributes:
        app: that answers.
        cuts: after how many records, and a part of another, the next streams are cut.
        busy: for how many requests of streams the answer is 503 with Retry-After.
        requests: method, path and Last-Event-ID of each request to the relay.
    """

    app: Any
    cuts: list[int] = field(default_factory=list)
    busy: int = 0
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(("/v1/", "/streams/")):
            await self.app(scope, receive, send)
            return
        last_id = dict(scope["headers"]).get(b"last-event-id")
        last = None if last_id is None else last_id.decode()
        self.requests.append((scope["method"], scope["path"], last))
        if scope["method"] != "GET":
            await self.app(scope, receive, send)
        elif self.busy:
            self.busy -= 1
            await send({"type": "http.response.start", "status": 503, "headers": BUSY})
            await send({"type": "http.response.body", "body": b'{"error":"full"}'})
        else:
            left = self.cuts.pop(0) if self.cuts else None

            async def send_some(message: Any) -> None:
                nonlocal left
                records = message.get("body", b"").split(RECORD_END)
                if left is not None and len(records) > left:
                    body = RECORD_END.join(records[:left]) + records[left][:9]
                    await send({**message, "body": body, "more_body": True})
                    raise CutError
                await send(message)
                if left is not None:
                    left -= len(records) - 1

            await self.app(scope, receive, send_some)


class Direct:
    """An ASGI application that answers each POST by the stream itself, without a broadcast."""

    def __init__(self, upstream: FakeServer) -> None:
        self._client = AsyncClient(endpoint=Endpoint(upstream.url))
        self._files = RelayApp(self._client)  # and the end of the server's life

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            await receive()  # the body
            response = relay(self._client.stream(QueryRequest(question="?")))
            await response(scope, receive, send)
        else:
            await self._files(scope, receive, send)


RECORD_END = b"\n\n"
BUSY = [(b"retry-after", b"1"), (b"content-type", b"application/json")]


def short_page() -> str:
    """Return the page in the guide."""
    (page,) = (code for kind, code in BLOCK.findall(GUIDE.read_text()) if kind == "html")
    return str(page)


@contextmanager
def served(upstream: FakeServer, folder: Path) -> Iterator[tuple[str, Faults]]:
    """Run the server of the guide with the folder of its page. Gives its address."""
    pytest.importorskip("starlette", reason="`make` installs starlette")
    (program,) = write_files(GUIDE, folder)
    shutil.copytree(FOLDER, folder / "page")
    (folder / "page" / "short.html").write_text(short_page())
    spec = util.spec_from_file_location("browser_app", program)
    assert spec is not None and spec.loader is not None
    module = util.module_from_spec(spec)
    with chdir(folder):  # the program serves its folder `page`
        with mock.patch.dict(os.environ, UPSTREAM=upstream.url):
            spec.loader.exec_module(module)
        with running(Faults(module.app)) as both:
            yield both


@contextmanager
def running(faults: Faults) -> Iterator[tuple[str, Faults]]:
    """Run an application under uvicorn, in a thread."""
    uvicorn: Any = pytest.importorskip("uvicorn", reason="`make` installs uvicorn")
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(faults, log_level="critical", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", faults
    finally:
        server.should_exit = True
        thread.join()


def ask(page: Page, words: str = "What is it?", skill: str = "query", picture: str = "") -> None:
    values = json.dumps({"skill": skill, "words": words})
    page.evaluate(f"""(async () => {{
        {picture}
        const form = document.forms[0];
        for (const [name, value] of Object.entries({values})) form[name].value = value;
        form.requestSubmit();
    }})()""")


def words_shown(page: Page, at_least: int) -> None:
    page.wait_for(f"{TEXT}.split(' ').length >= {at_least}")


def paths(faults: Faults, method: str = "GET") -> list[str | None]:
    return [last for made, _, last in faults.requests if made == method]
