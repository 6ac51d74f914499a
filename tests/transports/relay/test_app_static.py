"""The files for browsers, as RelayApp serves them."""

from __future__ import annotations

from importlib.resources import files

import pytest

from .apps import Server
from .exchanges import run

TYPES = {
    "moondream-relay.js": "text/javascript; charset=utf-8",
    "moondream-relay.d.ts": "text/plain; charset=utf-8",
}


@pytest.mark.parametrize("name", TYPES)
def test_a_file(name: str):
    async def main() -> None:
        content = (files("moondream_transports.relay") / "static" / name).read_bytes()
        async with Server() as server:
            exchange = await server.ask(f"/{name}")
            assert (exchange.status_code, exchange.body) == (200, content)
            tag = exchange.headers["etag"]
            assert exchange.headers == {
                "content-type": TYPES[name],
                "content-length": str(len(content)),
                "etag": tag,
                "cache-control": "no-cache",
                "x-content-type-options": "nosniff",
            }
            head = await server.ask(f"/{name}", method="HEAD")
            assert (head.status_code, head.headers, head.body) == (200, exchange.headers, b"")

    run("asyncio", main)


def test_one_that_the_browser_has():
    async def main() -> None:
        async with Server() as server:
            tag = (await server.ask("/moondream-relay.js")).headers["etag"]
            for known, status_code in (
                (tag, 304),
                (f"W/{tag}", 304),
                (f'"other", {tag}', 304),
                ("*", 304),
                ('"other"', 200),
                ("", 200),
            ):
                exchange = await server.ask("/moondream-relay.js", ("if-none-match", known))
                assert exchange.status_code == status_code
                assert (exchange.body == b"") == (status_code == 304)
                assert exchange.headers["etag"] == tag

    run("asyncio", main)


def test_no_other_file():
    async def main() -> None:
        async with Server() as server:
            for path in ("/moondream-relay", "/../__init__.py", "/static/moondream-relay.js"):
                assert (await server.ask(path)).status_code == 404

    run("asyncio", main)
