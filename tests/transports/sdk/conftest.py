"""The server of the tests, and the official package as its client."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from importlib import import_module
from typing import Any

import pytest

from tests.transports.sdk.service import Service


@pytest.fixture
def service() -> Iterator[type[Service]]:
    class Mine(Service):
        asked = []  # noqa: RUF012
        url = ""

    with ThreadingHTTPServer(("127.0.0.1", 0), Mine) as server:
        Mine.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield Mine
        if Mine.pause is not None:
            Mine.pause.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def official(service: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return import_module("moondream").vl(api_key="key", endpoint=service.url)
