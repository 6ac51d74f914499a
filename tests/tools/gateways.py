"""The programs of docs/how-to/write-a-server.md, under uvicorn: a server, and a gateway."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import util
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from moondream_tools import FakeServer
from tests.guides import ROOT, write_files

PAGE = ROOT / "docs" / "how-to" / "write-a-server.md"


@contextmanager
def gateway_of(upstream: FakeServer, folder: Path) -> Iterator[str]:
    """Run the gateway of the page in front of a fake server. Gives its address."""
    with mock.patch.dict(os.environ, UPSTREAM=upstream.url), running("gateway", folder) as url:
        yield url


@contextmanager
def running(name: str, folder: Path) -> Iterator[str]:
    """Run a program of the page unchanged. Gives its address."""
    uvicorn: Any = pytest.importorskip("uvicorn", reason="`make` installs uvicorn")
    pytest.importorskip("starlette", reason="`make` installs starlette")
    (program,) = [path for path in write_files(PAGE, folder) if path.stem == name]
    spec = util.spec_from_file_location(name, program)
    assert spec is not None and spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    server = uvicorn.Server(uvicorn.Config(module.app, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield url  # connections wait until the server accepts them
    finally:
        server.should_exit = True  # it waits for requests that are still being answered
        thread.join()
