"""The programs of docs/how-to/write-a-server.md: what clients get from them, faults included."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from moondream_tools import FakeServer
from moondream_transports import Client, Timeouts
from sansio_moondream import (
    BBox,
    Completed,
    Endpoint,
    Event,
    FirstEventTimeout,
    Headers,
    MoondreamError,
    PaymentRequiredError,
    Point,
    RateLimitError,
    Request,
    ServerError,
    TextDelta,
)
from tests.guides import write_files
from tests.helpers import CHAT, QUERY, REQUESTS
from tests.tools.gateways import PAGE, gateway_of, running
from tests.tools.test_witnesses import check
from tests.tools.witnesses import Witness, official_node, official_python
from tests.transports.adapters import Adapter, each_adapter

BOX = BBox(0.25, 0.5, 0.75, 1.0)
PATH = "M0 0L.5 1Z"
ANSWERS: dict[str, dict[str, Any]] = {
    "query": {"text": "The moon rises."},
    "caption": {"text": "A moon."},
    "segment": {"path": PATH, "box": BOX},
    "detect": {"objects": [BOX]},
    "point": {"points": [Point(0.5, 0.25)]},
    "chat": {"text": "The moon.", "reasoning": "It is round."},
}


@pytest.fixture
def upstream() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server


@pytest.fixture
def url(upstream: FakeServer, tmp_path: Path) -> Iterator[str]:
    with gateway_of(upstream, tmp_path) as url:
        yield url


def asked(url: str, request: Request[Any], stream: bool = True) -> tuple[list[Event], Any]:
    """Return the events of an answer, and its result or the error that ended it."""
    events: list[Event] = []
    with Client(endpoint=Endpoint(url, api_key="s3cret-key")) as moon:
        try:
            if not stream:
                return [], without_headers(moon.send(request))
            with moon.stream(request) as answer:
                events.extend(answer)
                result = without_headers(answer.result())
        except MoondreamError as error:
            return events, error
    *events, last = events
    assert isinstance(last, Completed)
    return events, result


def without_headers(result: Any) -> Any:
    return replace(result, metadata=replace(result.metadata, headers=Headers()))


def texts(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, TextDelta)]


def test_the_programs_are_short(tmp_path: Path) -> None:
    programs = {path.name: path.read_text() for path in write_files(PAGE, tmp_path)}
    assert len(programs["moon_server.py"].splitlines()) < 25
    assert len(programs["gateway.py"].splitlines()) < 80
    assert all(len(line) <= 100 for code in programs.values() for line in code.splitlines())


def test_the_server(tmp_path: Path) -> None:
    with running("moon_server", tmp_path) as url:
        events, result = asked(url, QUERY)
        assert (texts(events), result.text) == (["A", " moon", "."], "A moon.")
        assert asked(url, QUERY, stream=False)[1].text == "A moon."
        refused = httpx.post(f"{url}/query", json={"question": 2}, trust_env=False)
        assert (refused.status_code, refused.json()) == (
            400,
            {"error": "Field 'question' must be a string"},
        )
        streamed = curl(url)
    assert f"```text\n{streamed.rstrip()}\n```" in PAGE.read_text()


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_answers_are_the_same_as_the_upstreams(
    upstream: FakeServer, url: str, request_: Request[Any]
) -> None:
    upstream.answer(**ANSWERS[request_.skill], times=4)
    for stream in (True, False):
        events, result = asked(upstream.url, request_, stream)
        assert asked(url, request_, stream) == (events, result)
        assert bool(events) is (stream and request_.streams)
    direct, through, *others = upstream.received
    assert (through.request, through.stream) == (direct.request, direct.stream)
    assert not {"x-moondream-auth", "authorization"} & set(through.headers)
    assert len(others) == 2


class TestFaults:
    @pytest.mark.parametrize("request_", [QUERY, CHAT], ids=["query", "chat"])
    @pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
    def test_before_the_answer_an_error_has_its_status(
        self, upstream: FakeServer, url: str, request_: Request[Any], stream: bool
    ) -> None:
        upstream.answer(error=RateLimitError("slowly", retry_after=7.0))
        upstream.answer(error=PaymentRequiredError("pay"))
        upstream.answer(text="The moon", fault="no-head")
        upstream.answer(text="The moon", fault="close@0")
        upstream.answer(text="The moon", fault="garbage@0")
        errors = [asked(url, request_, stream)[1] for _ in range(5)]
        assert [(type(error), error.status_code) for error in errors] == [
            (RateLimitError, 429),
            (PaymentRequiredError, 402),
            *[(ServerError, 502)] * 3,
        ]
        assert (errors[0].message, errors[0].retry_after) == ("slowly", 7.0)
        assert upstream.url not in "".join(error.message for error in errors)
        upstream.close()
        _, error = asked(url, request_, stream)
        assert (type(error), error.status_code) == (ServerError, 502)
        assert error.message == "the upstream server cannot be reached"

    def test_a_stream_that_begins_with_an_error_is_one(
        self, upstream: FakeServer, url: str
    ) -> None:
        upstream.answer(error=RateLimitError("slowly", status_code=200, type="rate_limit_error"))
        _, error = asked(url, QUERY)
        assert (type(error), error.status_code) == (RateLimitError, 200)
        assert error.headers["content-type"] == "text/event-stream; charset=utf-8"

    @pytest.mark.parametrize("request_", [QUERY, CHAT], ids=["query", "chat"])
    def test_in_the_stream_an_error_is_a_record(
        self, upstream: FakeServer, url: str, request_: Request[Any]
    ) -> None:
        upstream.answer(text="a b", error=RateLimitError("slowly"))
        for fault in ("close@2", "reset@2", "truncate@2", "garbage@2"):
            upstream.answer(text="a b c d", fault=fault)
        answers = [asked(url, request_) for _ in range(5)]
        assert [texts(events) for events, _ in answers] == [["a", " b"]] * 5
        (_, first), *others = answers
        assert (type(first), first.message, first.partial.text) == (RateLimitError, "slowly", "a b")
        for _, error in others:
            assert (type(error), error.status_code, error.code) == (ServerError, 200, "502")
            assert "upstream server" in error.message
            assert error.partial.text == "a b"

    @pytest.mark.parametrize(
        ("path", "body", "status_code", "message"),
        [
            ("query", b'{"question": ""}', 400, "Field 'question' must be a non-empty string"),
            ("query", b"nonsense", 400, "Invalid JSON body"),
            ("dream", b"{}", 404, "Not Found"),
            ("chat/completions", b"{}", 400, "Field 'messages' must be a non-empty list"),
        ],
    )
    def test_what_the_service_refuses_does_not_reach_the_upstream(
        self, upstream: FakeServer, url: str, path: str, body: bytes, status_code: int, message: str
    ) -> None:
        response = httpx.post(f"{url}/{path}", content=body, trust_env=False)
        assert (response.status_code, message in response.text) == (status_code, True)
        assert (upstream.requests, upstream.misses) == ((), ())

    def test_a_client_that_leaves_a_stream(self, upstream: FakeServer, url: str) -> None:
        upstream.answer(text="a b", fault="stall@1")
        with Client(endpoint=Endpoint(url)) as moon, moon.stream(QUERY) as stream:
            assert next(stream) == TextDelta(text="a")
        upstream.wait_until_left()

    @pytest.mark.slow
    def test_a_client_that_leaves_before_an_answer(self, upstream: FakeServer, url: str) -> None:
        with Client(endpoint=Endpoint(url), timeouts=Timeouts(first_event=1.0)) as moon:
            upstream.answer(text="a b", fault="stall@0", times=2)
            for ask in (moon.send, lambda request: next(moon.stream(request).__enter__())):
                with pytest.raises(FirstEventTimeout):
                    ask(QUERY)
                upstream.wait_until_left()


def answer_with_faults(upstream: FakeServer) -> None:
    upstream.answer(text="The moon rises.")
    upstream.answer(text="The moon rises.", error=RateLimitError("slowly"))
    upstream.answer(text="The moon rises.", fault="close@2")
    upstream.answer(status=402)


@pytest.mark.slow
@each_adapter
def test_each_transport(adapter: Adapter, upstream: FakeServer, url: str) -> None:
    async def main() -> list[tuple[list[Event], Any]]:
        async with adapter.transport() as transport:
            return [await ask(transport) for _ in range(4)]

    async def ask(transport: Any) -> tuple[list[Event], Any]:
        events: list[Event] = []
        try:
            async with adapter.asks(transport, url).stream(QUERY) as stream:
                async for event in stream:
                    events.append(event)
                return events, await stream.result()
        except MoondreamError as error:
            return events, error

    answer_with_faults(upstream)
    (whole, result), (limited, slowly), (broken, lost), (refused, pay) = adapter.run(main)
    assert texts(whole) == texts(limited) == ["The", " moon", " rises."]
    assert (texts(broken), refused) == (["The", " moon"], [])
    assert result.text == "The moon rises."
    errors = [type(error) for error in (slowly, lost, pay)]
    assert errors == [RateLimitError, ServerError, PaymentRequiredError]


@pytest.mark.slow
@pytest.mark.parametrize("witness", [official_python, official_node], ids=["python", "node"])
def test_official_clients(witness: Witness, upstream: FakeServer, url: str) -> None:
    for answer in ANSWERS.values():
        upstream.answer(**{"skill": None, **answer}, times=None)
    check(witness, url)


@pytest.mark.slow
@pytest.mark.parametrize("witness", [official_python, official_node], ids=["python", "node"])
def test_official_clients_and_faults(witness: Witness, upstream: FakeServer, url: str) -> None:
    """They do not notice an error inside a stream (README), but they get what came before it."""
    upstream.answer(text="The moon rises.", error=RateLimitError("slowly"))
    upstream.answer(text="The moon rises.", fault="close@2")
    upstream.answer(status=402)
    upstream.answer(text="The moon rises.", fault="no-head")
    seen = [*witness(url, ["query, streamed", "caption, streamed", "query", "caption"]).values()]
    assert [one.text for one in seen] == ["The moon rises.", "The moon", "", ""]
    assert [one.error for one in seen[:2]] == [None, None]
    assert "402" in str(seen[2].error)
    assert "502" in str(seen[3].error)


@pytest.mark.slow
def test_the_openai_package(upstream: FakeServer, url: str) -> None:
    openai = pytest.importorskip("openai", reason="needs openai, which `make` installs")
    ask: dict[str, Any] = {"model": "any", "messages": [{"role": "user", "content": "What?"}]}
    upstream.answer(text="The moon rises.", times=2)
    upstream.answer(text="The moon rises.", error=RateLimitError("slowly"))
    upstream.answer(status=429)
    with openai.OpenAI(api_key="none", base_url=url, max_retries=0) as client:
        create = client.chat.completions.create
        assert create(**ask).choices[0].message.content == "The moon rises."
        assert openai_text(create(**ask, stream=True)) == "The moon rises."
        with pytest.raises(openai.APIError, match="slowly"):
            openai_text(create(**ask, stream=True))
        with pytest.raises(openai.RateLimitError, match="the fake server answers 429"):
            create(**ask)


def openai_text(chunks: Any) -> str:
    choices = [choice for chunk in chunks for choice in chunk.choices]
    return "".join(choice.delta.content or "" for choice in choices)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not there")
def test_curl(upstream: FakeServer, url: str) -> None:
    upstream.answer(text="The moon", error=RateLimitError("slowly"))
    upstream.answer(error=RateLimitError("slowly", retry_after=7.0))
    parts = curl(url).split("\n\n")
    assert [json.loads(part.removeprefix("data: ")) for part in parts[:2]] == [
        {"chunk": "The", "completed": False},
        {"chunk": " moon", "completed": False},
    ]
    assert json.loads(parts[2].removeprefix("data: "))["error"]["message"] == "slowly"
    head, _, body = curl(url, "-i").partition("\n\n")
    assert head.startswith("HTTP/1.1 429 ")
    assert "retry-after: 7" in head.splitlines()
    assert json.loads(body) == {"error": "slowly"}


def curl(url: str, *options: str) -> str:
    command = ["curl", "-N", "-sS", "--noproxy", "*", *options, f"{url}/query"]
    command += ["-d", '{"question": "What?", "stream": true}']
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
