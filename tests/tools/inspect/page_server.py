"""Run the server of the page in a thread, and ask it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from moondream_tools._inspect._api import Api
from moondream_tools._inspect._app import App
from moondream_tools._inspect._ask import Asker
from moondream_tools._inspect._guard import OwnPageGuard
from moondream_tools._inspect._images import Pictures
from moondream_tools._inspect._store import Store
from moondream_tools._server_thread import HOST, ServerThread
from moondream_transports import Timeouts
from sansio_moondream import Endpoint

SHIPPED = Path(str(files("moondream_tools") / "recordings"))
HARBOUR = SHIPPED / "harbour.jpg"


class Reply(NamedTuple):
    """An answer of the server."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Served(NamedTuple):
    """A running server of the page.

    Attributes:
        url: of the page.
        port: that it listens on.
        path: of the page.
        store: its recordings.
    """

    url: str
    port: int
    path: str
    store: Store

    def ask(self, path: str, value: Any = None, method: str = "GET", **headers: str) -> Reply:
        """Ask for a path under the page, by POST with a JSON value."""
        body = None
        if value is not None:
            method, body = "POST", json.dumps(value)
            headers = {"content_type": "application/json", **headers}
        return self.request(method, self.path + path, body, **headers)

    def request(self, method: str, path: str, body: str | None = None, **headers: str) -> Reply:
        """Ask for a whole path."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=20)
        try:
            fields = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, fields)
            response = connection.getresponse()
            got = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, got, response.read())
        finally:
            connection.close()


@contextmanager
def serving(
    sources: Sequence[Path | str],
    images: Sequence[Path] = (),
    endpoint: Endpoint | None = None,
    timeouts: Timeouts | None = None,
) -> Iterator[Served]:
    """Serve the page with recordings while the block lasts. It asks the endpoint, if there is one.

    Without sources there are no recordings.
    """
    store = Store()
    store.read([str(source) for source in sources])
    pictures = Pictures.read([str(image) for image in images])
    asker = None if endpoint is None else Asker(store, pictures, endpoint, timeouts)
    api = Api(store, pictures, asker)
    app = App(api.values, api.streams)
    server = ServerThread(app, OwnPageGuard(HOST), lambda _: None)
    server.start()
    try:
        yield Served(f"http://{HOST}:{server.port}{app.path}", server.port, app.path, store)
    finally:
        server.close()


def named(name: str) -> str:
    """Return a name as the page writes it into a path."""
    return quote(name, safe="")
