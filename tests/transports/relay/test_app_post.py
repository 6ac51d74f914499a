"""Requests for answers to a RelayApp: their type, their size, and what is refused."""

from __future__ import annotations

import json

import anyio
import pytest

from moondream_transports import AsyncClient
from moondream_transports.relay import AsyncBroadcasts, RelayApp
from tests.helpers import DETECT, delta
from tests.transports.fakes import ENDPOINT

from .apps import QUESTION, Model, Server, error_of
from .asgi import JSON, Exchange
from .exchanges import run
from .upstreams import until


class TestPost:
    @pytest.mark.parametrize("type_", ["application/json; charset=utf-8", "Application/JSON"])
    def test_its_type(self, type_: str):
        async def main() -> None:
            async with Server() as server:
                field = ("Content-Type", type_)
                exchange = await server.ask("/v1/query", field, method="POST", body=QUESTION)
                assert exchange.status_code == 201

        run("asyncio", main)

    @pytest.mark.parametrize(
        "headers",
        [
            [],
            [("content-type", "")],
            [("content-type", "text/plain")],
            [("content-type", "application/x-www-form-urlencoded")],
            [("content-type", "application/jsonp")],
        ],
    )
    def test_what_a_form_of_another_site_could_send(self, headers: list[tuple[str, str]]):
        async def main() -> None:
            async with Server() as server:
                exchange = await server.ask("/v1/query", *headers, method="POST", body=QUESTION)
                assert exchange.status_code == 415
                assert "application/json" in error_of(exchange)["message"]
                assert not server.model.requests

        run("asyncio", main)

    @pytest.mark.parametrize(
        ("path", "body", "status_code"),
        [
            ("/v1/query", b"{", 400),
            ("/v1/query", b'{"question": ""}', 400),
            ("/v1/embed", QUESTION, 404),
        ],
    )
    def test_what_the_service_refuses(self, path: str, body: bytes, status_code: int):
        async def main() -> None:
            async with Server() as server:
                exchange = await server.ask(path, JSON, method="POST", body=body)
                assert exchange.status_code == status_code
                assert error_of(exchange)["message"]
                assert len(server.broadcasts) == 0

        run("asyncio", main)

    @pytest.mark.parametrize("announced", [True, False])
    def test_its_size(self, announced: bool):
        async def main() -> None:
            async with Server(max_body_bytes=len(QUESTION)) as server:

                async def post(extra: bytes) -> Exchange:
                    body = [QUESTION[:10], QUESTION[10:] + extra]
                    size = str(len(QUESTION + extra)) if announced else "x"
                    headers = [JSON, ("content-length", size)]
                    return await server.ask("/v1/query", *headers, method="POST", body=body)

                assert (await post(b"")).status_code == 201
                refused = await post(b" ")
                assert refused.status_code == 413
                assert f"at most {len(QUESTION):,} bytes" in error_of(refused)["message"]

        run("asyncio", main)

    def test_a_client_that_leaves_before_its_end(self):
        async def main() -> None:
            async with Server() as server:
                exchange = Exchange(server.app, "/v1/query", JSON, method="POST", body=[])
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(exchange.run)
                    await until(lambda: hasattr(exchange, "left"))
                    exchange.left.set()
                assert exchange.status_code == 0

        run("asyncio", main)

    def test_skills_that_do_not_stream_and_fields_of_the_service(self):
        async def main() -> None:
            async with Server() as server:
                body = json.loads(DETECT.to_http(ENDPOINT).body) | {"variant": "x"}
                await server.post(json.dumps(body).encode(), "/v1/detect")
                await until(lambda: server.model.requests)
                assert json.loads(server.model.requests[0].body)["variant"] == "x"

        run("asyncio", main)

    def test_too_many(self):
        async def main() -> None:
            broadcasts = AsyncBroadcasts(max_broadcasts=1, retry_after=3)
            app = RelayApp(AsyncClient(Model(delta("A")), ENDPOINT), broadcasts)
            asked = [
                await Exchange(app, "/v1/query", JSON, method="POST", body=QUESTION).run()
                for _ in range(2)
            ]
            assert [exchange.status_code for exchange in asked] == [201, 503]
            assert asked[1].headers["retry-after"] == "3"
            assert error_of(asked[1])["type"] == "too_many_streams"
            await app.aclose()

        run("asyncio", main)
