"""`FakeServer`: what it says of requests, of any client."""

from __future__ import annotations

import json
import shutil
import subprocess

import anyio
import pytest
from msgspec.structs import replace

from moondream_tools import FakeServer
from moondream_transports import (
    AsyncClient,
    Client,
)
from sansio_moondream import (
    Endpoint,
)
from tests.helpers import CHAT, DETECT, QUERY
from tests.tools.fake_servers import (
    client,
    post,
)


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

    def test_at_any_prefix(self, fake: FakeServer) -> None:
        fake.answer(text="Yes.")
        url = fake.url.removesuffix("/v1") + "/behind/a/proxy/v2"
        with Client(endpoint=Endpoint(url)) as moon:
            assert moon.send(QUERY).text == "Yes."
        assert fake.received[0].path == "/behind/a/proxy/v2/query"


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
