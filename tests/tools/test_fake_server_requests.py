"""`FakeServer`: what it says of requests, of any client."""

from __future__ import annotations

import json
import shutil
import subprocess
from contextlib import closing

import anyio
import httpx
import pytest
from msgspec.structs import replace

from moondream_tools import FakeServer
from moondream_transports import (
    AsyncClient,
)
from sansio_moondream import (
    Endpoint,
)
from tests.helpers import CHAT, DETECT, QUERY
from tests.tools.fake_servers import (
    client,
    post,
)
from tests.tools.serving import RECORDED


class TestReceived:
    def test_requests_and_what_else_was_sent(self, fake: FakeServer) -> None:
        fake.answer(text="Yes.", times=2)
        fake.answer(objects=[])
        with client(fake, api_key="s3cret-key", headers={"X-Trace": "t-1"}) as moon:
            moon.send(QUERY, extra_body={"lang": "de"})
            with moon.stream(CHAT) as stream:
                stream.result()
            moon.send(DETECT)
        assert fake.requests == (QUERY, replace(CHAT, model="moondream3-preview"), DETECT)
        query, chat, detect = fake.received
        assert [seen.stream for seen in (query, chat, detect)] == [False, True, False]
        assert (query.path, chat.path) == ("/v1/query", "/v1/chat/completions")
        assert query.extra_body == {"lang": "de"}
        assert query.headers["x-trace"] == "t-1"
        masked = query.headers["x-moondream-auth"], chat.headers["authorization"]
        assert all(text and "s3cret" not in text for text in masked)
        assert "s3cret" not in repr(fake.received)

    @pytest.mark.parametrize("suffix", ["", "/v1/v1", "/v2", "/v1/query", "/v1/chat"])
    def test_only_at_the_path_of_the_service(self, suffix: str) -> None:
        with closing(FakeServer().start()) as server:
            server.answer(text="Yes.", times=None)
            address = server.url.removesuffix("/v1") + suffix
            for request in (QUERY, CHAT):
                http = request.to_http(Endpoint(address))
                answer = httpx.post(http.url, content=http.body, trust_env=False)
                assert (answer.status_code, len(server.received)) == (404, 0)
            assert len(server.misses) == 2


class TestWebPages:
    """A page of this machine may be under test, as with `serve`."""

    ORIGIN = "http://localhost:3000"

    def test_the_preflight_request_of_a_browser(self, fake: FakeServer) -> None:
        asks = {"Origin": self.ORIGIN, "Access-Control-Request-Headers": "content-type"}
        answer = httpx.options(f"{fake.url}/query", headers=asks, trust_env=False)
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["access-control-allow-origin"] == self.ORIGIN
        assert answer.headers["access-control-allow-headers"] == "content-type"
        assert (fake.received, fake.misses) == ((), ())

    @pytest.mark.parametrize("body", ['{"question": "?"}', "{}"])
    def test_answers_and_refusals_are_readable(self, body: str) -> None:
        with closing(FakeServer().start()) as server:
            server.answer(text="Yes.", times=None)
            origin = {"Origin": self.ORIGIN}
            url = f"{server.url}/query"
            answer = httpx.post(url, content=body, headers=origin, trust_env=False)
        assert answer.status_code == (400 if body == "{}" else 200)
        assert answer.headers["access-control-allow-origin"] == self.ORIGIN
        assert answer.headers["vary"] == "origin"

    def test_in_place_of_the_headers_that_were_recorded(self, fake: FakeServer) -> None:
        recorded = RECORDED["detect"]
        theirs = ("Access-Control-Allow-Origin", "https://moondream.ai"), ("x-more", "1")
        headers = (*recorded.header.response_headers, *theirs)
        header = replace(recorded.header, response_headers=headers)
        fake.answer(recording=replace(recorded, header=header), times=2)
        for origin, expected in ((self.ORIGIN, self.ORIGIN), (None, "https://moondream.ai")):
            answer = httpx.post(
                f"{fake.url}/detect",
                content=DETECT.to_http(Endpoint(fake.url)).body,
                headers={} if origin is None else {"Origin": origin},
                trust_env=False,
            )
            assert answer.headers.get_list("access-control-allow-origin") == [expected]
            assert answer.headers["x-more"] == "1"

    def test_pages_from_elsewhere(self) -> None:
        with closing(FakeServer().start()) as server:
            server.answer(text="Yes.", times=None)
            answer = httpx.options(
                f"{server.url}/query", headers={"Origin": "https://evil.example"}, trust_env=False
            )
            assert answer.status_code == 403
            assert "access-control-allow-origin" not in answer.headers
        assert "may not use this server" in server.misses[0]


class TestOtherClients:
    def test_httpx_alone(self, fake: FakeServer) -> None:
        fake.answer(text="The moon")
        fake.answer(text="The moon")
        answer = post(fake, "query", question="What?")
        assert (answer.status_code, answer.json()["answer"]) == (200, "The moon")
        lines = post(fake, "query", question="What?", stream=True).text.split("\n\n")
        first, *_, last, empty = [json.loads(line.removeprefix("data: ") or "0") for line in lines]
        assert (first["chunk"], last["completed"], last["answer"], empty) == (
            "The",
            True,
            "The moon",
            0,
        )

    @pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not there")
    def test_curl(self, fake: FakeServer) -> None:
        fake.answer(text="The moon")
        command = ["curl", "-sS", "--noproxy", "*", f"{fake.url}/query"]
        command += ["-d", '{"question": "What is in this image?"}']
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert json.loads(ran.stdout)["answer"] == "The moon", ran.stderr
        assert fake.requests == (QUERY,)

    @pytest.mark.parametrize("backend", ["asyncio", "trio"])
    def test_async(self, fake: FakeServer, backend: str) -> None:
        """The server does not share the event loop of the test."""

        async def ask() -> list[str]:
            async with AsyncClient(endpoint=Endpoint(fake.url)) as moon:
                answers: list[str] = []

                async def one() -> None:
                    async with moon.stream(QUERY) as stream:
                        answers.append((await stream.result()).text)

                async with anyio.create_task_group() as tasks:
                    for _ in range(5):
                        tasks.start_soon(one)
                return answers

        fake.answer(text="The moon", times=5)
        assert anyio.run(ask, backend=backend) == ["The moon"] * 5
