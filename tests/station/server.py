"""The REST server of `moondream-station` from PyPI, with a stub in place of its model: python
tests/station/server.py

Its routes, queue, event generator and error handling are the package's own; only what it calls a
backend is ours, and its set-up, which would write into the home folder and download a model. The
first line says the port."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from types import SimpleNamespace
from typing import Any

WORDS = ["The", " moon", " over", " 月の", " sea 🌙"]


class Backend:
    """What the station has in place of a model: functions that take the fields of a request."""

    def query(self, question: str = "", stream: bool = False, **fields: Any) -> dict[str, Any]:
        if "fail" in question:
            raise RuntimeError("model refused")
        return {"answer": self._words(question) if stream else "".join(WORDS)}

    def caption(self, stream: bool = False, **fields: Any) -> dict[str, Any]:
        return {"caption": self._words() if stream else "".join(WORDS)}

    def detect(self, object: str = "", **fields: Any) -> dict[str, Any]:
        return {"objects": [{"x_min": 0.1, "y_min": 0.2, "x_max": 0.3, "y_max": 0.4}]}

    def point(self, object: str = "", **fields: Any) -> dict[str, Any]:
        return {"points": [{"x": 0.25, "y": 0.75}]}

    def _words(self, question: str = "") -> Iterator[str]:
        for number, word in enumerate(WORDS):
            if number == 3 and "die" in question:
                raise RuntimeError("the model died")
            if number == 3 and "hang" in question:
                time.sleep(60)  # until the whole process is killed
            yield word
            time.sleep(0.002)  # the server tells the time that it took only where it took some


def listens(port: int) -> bool:
    with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def main() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    backend = Backend()
    models = SimpleNamespace(
        clear_worker_backends=lambda: None,
        get_worker_backends=lambda model, count: [backend],
        get_models=dict,
    )
    rest_server: Any = import_module("moondream_station.core.rest_server")
    server = rest_server.RestServer({"current_model": "stub"}, models)
    if not server.start("127.0.0.1", port):
        raise SystemExit("the station did not start")
    while not listens(port):  # on a busy machine it says too soon that it has started
        if not server.server_thread.is_alive():
            raise SystemExit("the station has stopped")
        time.sleep(0.01)
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    server.server_thread.join()


if __name__ == "__main__":
    main()
