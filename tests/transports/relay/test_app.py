"""RelayApp in memory: each path, what is refused, and the lifespan."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from sansio_moondream import ConnectionLost, NotFoundError
from tests.helpers import delta

from .apps import QUESTION, WORDS, Server, error_of
from .asgi import JSON, EventSource, Exchange
from .exchanges import on_each_loop, run
from .upstreams import until


def texts(data: list[str]) -> list[str]:
    """Return the texts of records, which have to be complete."""
    values = [json.loads(each) for each in data]
    assert [value["kind"] for value in values[-1:]] == ["completed"]
    return [value["text"] for value in values[:-1]]


@on_each_loop
def test_an_answer(loop: str):
    async def main() -> None:
        async with Server() as server:
            exchange = await server.ask("/v1/query", JSON, method="POST", body=QUESTION)
            assert exchange.status_code == 201
            made = json.loads(exchange.body)
            assert made == {"id": made["id"], "url": f"/streams/{made['id']}"}
            assert exchange.headers["location"] == made["url"]
            assert exchange.headers["cache-control"] == "no-store"
            source = EventSource(server.app, made["url"])
            first = await source.connect()
            assert (first.status_code, first.is_complete) == (200, True)
            assert first.headers["content-type"] == "text/event-stream; charset=utf-8"
            assert texts(source.data) == list(WORDS)
            assert (await source.connect()).status_code == 204  # it comes no more
            assert server.model.requests[0].url == "http://localhost:2020/v1/query"
            assert json.loads(server.model.requests[0].body) == json.loads(QUESTION) | {
                "stream": True
            }

    run(loop, main)


@pytest.mark.parametrize("root_path", ["/moon", "/a%20b/c", "/moon/"])
def test_below_a_path(root_path: str):
    async def main() -> None:
        async with Server(root_path=root_path) as server:
            root = root_path.rstrip("/")
            exchange = await server.ask(f"{root}/v1/query", JSON, method="POST", body=QUESTION)
            url = json.loads(exchange.body)["url"]
            assert url.startswith(root.replace("%", "%25") + "/streams/")
            target = url.replace("%25", "%")
            assert (await server.ask(target)).status_code == 200
            assert (await server.ask(target.removeprefix(root))).status_code == 200

    run("asyncio", main)


class TestGet:
    def test_a_last_id_by_header_or_query(self):
        async def main() -> None:
            async with Server() as server:
                url = await server.post()
                whole = (await server.ask(url)).body
                for target, headers in (
                    (url, [("last-event-id", "4")]),
                    (f"{url}?last_event_id=4", []),
                    (f"{url}?last_event_id=1", [("Last-Event-ID", "4")]),  # as it comes again
                    (f"{url}?last_event_id=4", [("last-event-id", "")]),
                ):
                    exchange = await server.ask(target, *headers)
                    assert exchange.body.startswith(b"id: 5\n")
                    assert exchange.body.count(b"\n\n") == 1
                for first in ("0", ""):
                    assert (await server.ask(f"{url}?last_event_id={first}")).body == whole

        run("asyncio", main)

    @pytest.mark.parametrize("last_id", ["-1", "6", "x", "1.5", "9" * 100])
    def test_a_last_id_of_another_stream(self, last_id: str):
        async def main() -> None:
            async with Server() as server:
                url = await server.post()
                await server.ask(url)
                exchange = await server.ask(url, ("last-event-id", last_id))
                assert exchange.status_code == 400
                assert error_of(exchange)["param"] == "last_event_id"

        run("asyncio", main)

    @pytest.mark.parametrize("id_", ["x", "x/y", "%00", "x" * 10_000])
    def test_an_unknown_id(self, id_: str):
        async def main() -> None:
            async with Server() as server:
                for method in ("GET", "DELETE"):
                    exchange = await server.ask(f"/streams/{id_}", method=method)
                    assert exchange.status_code == 404
                    assert error_of(exchange)["type"] == "stream_not_found"

        run("asyncio", main)

    def test_while_it_runs_and_the_client_leaves(self):
        async def main() -> None:
            async with Server(delta("A")) as server, anyio.create_task_group() as tasks:
                url = await server.post()
                exchange = Exchange(server.app, url)
                tasks.start_soon(exchange.run)
                await until(lambda: exchange.body)
                exchange.left.set()
                broadcast = server.broadcasts.get(url.rpartition("/")[2])
                await until(lambda: broadcast.readers == 0)
                assert not broadcast.is_ended

        run("asyncio", main)

    def test_an_error_shows_nothing_of_the_upstream(self):
        async def main() -> None:
            async with Server(delta("A"), ConnectionLost("no route to 10.1.2.3")) as server:
                source = EventSource(server.app, await server.post())
                await source.connect()
                error = json.loads(source.data[-1])
                assert (error["kind"], error["partial"]["text"]) == ("connection_lost", "A")
                shown = json.dumps(source.data)
                for hidden in ("10.1.2.3", "localhost", "2020", "key-that-must-not-leak"):
                    assert hidden not in shown

        run("asyncio", main)


def test_delete():
    async def main() -> None:
        async with Server(delta("A")) as server, anyio.create_task_group() as tasks:
            url = await server.post()
            reader = Exchange(server.app, url)
            tasks.start_soon(reader.run)
            await until(lambda: reader.body)
            exchange = await server.ask(url, method="DELETE")
            assert (exchange.status_code, exchange.body) == (204, b"")
            await until(lambda: reader.is_complete)
            assert b"stream_cancelled" in reader.body
            assert server.model.answers[0].closed == 1
            for method in ("GET", "DELETE"):
                assert (await server.ask(url, method=method)).status_code == 404

    run("asyncio", main)


@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [
        ("/v1/query", "GET", "POST"),
        ("/v1/query", "OPTIONS", "POST"),
        ("/streams/x", "POST", "GET, DELETE"),
        ("/streams/x", "HEAD", "GET, DELETE"),
        ("/moondream-relay.js", "POST", "GET, HEAD"),
    ],
)
def test_methods(path: str, method: str, allowed: str):
    async def main() -> None:
        async with Server() as server:
            exchange = await server.ask(path, method=method)
            assert (exchange.status_code, exchange.headers["allow"]) == (405, allowed)
            assert (exchange.body == b"") == (method == "HEAD")

    run("asyncio", main)


@pytest.mark.parametrize("path", ["/", "", "/v1", "/v1/", "/streams", "/streams/", "/v2/query"])
def test_other_paths(path: str):
    async def main() -> None:
        async with Server() as server:
            exchange = await server.ask(path)
            assert exchange.status_code == 404
            assert error_of(exchange)["message"] == "Not Found"

    run("asyncio", main)


@pytest.mark.parametrize(
    "path",
    [
        "/v1//query",
        "/v1/a/query",
        "//v1/query",
        "/v1/query/",
        "/v1/query?a",
        "/v1/x/chat/completions",
    ],
)
def test_a_path_has_one_spelling(path: str):
    """So a rule of a proxy for a path holds. Here each path is decoded, as servers do it."""

    async def main() -> None:
        async with Server() as server:
            exchange = Exchange(server.app, "", JSON, method="POST", body=QUESTION)
            exchange.scope["path"] = path
            await exchange.run()
            assert (exchange.status_code, len(server.broadcasts)) == (404, 0)

    run("asyncio", main)


class TestLifespan:
    @on_each_loop
    def test_its_end_ends_all(self, loop: str):
        async def main() -> None:
            server = Server(delta("A"))
            sent: list[str] = []
            stop = anyio.Event()

            async def receive() -> dict[str, str]:
                if not sent:
                    return {"type": "lifespan.startup"}
                await stop.wait()
                return {"type": "lifespan.shutdown"}

            async def send(message: Any) -> None:
                sent.append(message["type"])

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(server.app, {"type": "lifespan"}, receive, send)
                await until(lambda: sent)
                url = await server.post()
                reader = Exchange(server.app, url)
                tasks.start_soon(reader.run)
                await until(lambda: reader.body)
                stop.set()
            assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
            assert b"server_stopping" in reader.body
            assert server.model.answers[0].closed == 1
            with pytest.raises(NotFoundError):
                server.broadcasts.get(url.rpartition("/")[2])

        run(loop, main)

    def test_other_protocols(self):
        async def main() -> None:
            server = Server()
            with pytest.raises(TypeError, match="only HTTP"):
                await server.app({"type": "websocket"}, None, None)  # type: ignore[arg-type]

        run("asyncio", main)


def test_a_server_that_drains_accepts_no_more():
    async def main() -> None:
        async with Server() as server:
            group = server.app._group
            await group.drain(0)
            exchange = await server.ask("/v1/query", JSON, method="POST", body=QUESTION)
            assert (exchange.status_code, error_of(exchange)["type"]) == (503, "server_stopping")

    run("asyncio", main)

    def test_an_outer_application_passes_it_on(self):
        async def main() -> None:
            server = Server(delta("A"))
            async with server.app.lifespan(object()):
                url = await server.post()
                reader = Exchange(server.app, url)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(reader.run)
                    await until(lambda: reader.body)
                    with pytest.raises(ZeroDivisionError):
                        async with server.app.lifespan():
                            raise ZeroDivisionError
            assert b"server_stopping" in reader.body
            assert server.model.answers[0].closed == 1

        run("asyncio", main)
