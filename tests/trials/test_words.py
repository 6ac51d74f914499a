"""Words at the wrong moment: numbers 27 to 29 of "What broke in trials"."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

import moondream_transports
from moondream_transports import (
    AiohttpTransport,
    AnyioTransport,
    AsyncClient,
    AsyncRecordingTransport,
    Client,
    RecordingTransport,
    ReplayTransport,
    Timeouts,
    UrllibTransport,
    VirtualClock,
)
from moondream_transports.conformance._fault_server import LAST_CHUNK, FaultServer, Peer, chunk
from moondream_transports.conformance._faults import F1, TEXT
from sansio_moondream import (
    ConnectionLost,
    EncodedImage,
    Endpoint,
    FirstEventTimeout,
    HTTPRequest,
    IdleTimeout,
    MoondreamError,
    QueryRequest,
)
from sansio_moondream.recording import Chunk, Ending, Match, Recording, RecordingHeader
from tests.helpers import END, LOCAL, PIXEL, QUERY, delta
from tests.transports.adapters import ADAPTERS
from tests.transports.fakes import ENDPOINT, WHOLE, FakeStream
from tests.transports.pytest_plugin.projects import ONE, Project, answer

pytest_plugins = ["pytester"]

RECORDED = Recording(
    RecordingHeader.of(
        QUERY.to_http(LOCAL),
        status_code=200,
        response_headers=(("content-type", "text/event-stream"),),
    ),
    tuple(Chunk(0, data) for data in WHOLE if data),
    Ending(0),
)
AnyClientClass: Any = Client
AnyAsyncClientClass: Any = AsyncClient


def replay(**options: Any) -> ReplayTransport | None:
    """A transport with these options, or None if they are a TypeError at once."""
    try:
        return ReplayTransport([RECORDED], speed=None, **options)
    except TypeError as error:
        if "unexpected keyword" in str(error):
            raise
        return None


def test_match_as_a_string_fails_at_the_first_request() -> None:
    """Number 27: a plain string does, or is a TypeError at once."""
    transport = replay(match="skill")
    if transport is not None:
        with Client(transport, ENDPOINT).stream(QueryRequest(question="Why?")) as stream:
            assert stream.result().text == "A moon"


def test_fragmentation_as_a_string_is_a_type_error_at_once() -> None:
    """Number 27."""
    fragmentation: Any = "whole"
    with pytest.raises(TypeError, match="fragmentation should be a Fragmentation"):
        ReplayTransport([RECORDED], fragmentation=fragmentation)


def test_fault_that_is_an_error_fails_at_the_first_request() -> None:
    """Number 27."""
    fault: Any = ConnectionLost()
    with pytest.raises(TypeError, match="break_at"):
        ReplayTransport([RECORDED], break_at=fault)


def test_match_is_not_beside_the_transport_that_takes_it() -> None:
    """Number 27."""
    assert getattr(moondream_transports, "Match", None) is Match


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: AnyClientClass(AnyioTransport()), r"\bAsyncClient\b"),
        (lambda: AnyClientClass(AnyioTransport(), ENDPOINT), r"\bAsyncClient\b"),
        (lambda: AnyAsyncClientClass(UrllibTransport()), r"\bClient\b"),
        (lambda: AnyAsyncClientClass(UrllibTransport(), ENDPOINT), r"\bClient\b"),
        (lambda: AnyClientClass(Endpoint()), "[Tt]ransport"),
    ],
    ids=["async", "async and endpoint", "sync", "sync and endpoint", "endpoint"],
)
def test_what_is_no_transport_is_taken_or_refused_without_words(
    make: Callable[[], object],
    words: str,
) -> None:
    """Number 27."""
    with pytest.raises(TypeError, match=words):
        make()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: AiohttpTransport(httpx.AsyncClient()), "session should be an aiohttp"),  # type: ignore[arg-type]
        (lambda: RecordingTransport(UrllibTransport(), "moon"), "save should be callable"),  # type: ignore[arg-type]
        (lambda: AsyncRecordingTransport(AnyioTransport(), 5), "save should be callable"),  # type: ignore[arg-type]
        (lambda: EncodedImage(PIXEL.data), "data_url should be text, not bytes"),  # type: ignore[arg-type]
    ],
    ids=["aiohttp", "recording", "async recording", "picture"],
)
def test_arguments_of_another_type_fail_at_the_first_request(
    make: Callable[[], object], words: str
) -> None:
    """Number 27: a TypeError at once, in words."""
    with pytest.raises(TypeError, match=words):
        make()


@pytest.mark.parametrize("name", ["urllib", "anyio-asyncio", "anyio-trio"])
def test_client_has_no_transport_of_its_own(name: str) -> None:
    """Number 27. The server waits until the client has closed its connection."""
    adapter = next(adapter for adapter in ADAPTERS if adapter.name == name)

    def script(peer: Peer) -> None:
        peer.answer(*F1, chunk(END), LAST_CHUNK)
        peer.wait_until_closed()

    with FaultServer(script) as server:

        async def main() -> str:
            if adapter.is_async:
                async with AnyAsyncClientClass(endpoint=Endpoint(server.url)) as client:
                    return str((await client.send(QUERY)).text)
            with AnyClientClass(endpoint=Endpoint(server.url)) as client:
                return str(client.send(QUERY).text)

        assert adapter.run(main) == TEXT
    assert isinstance(AnyClientClass(), Client)


# 28


class Hasty(FakeStream):
    """A transport that gives up after 2 seconds of its clock, though it may wait much longer."""

    def __init__(self, where: str) -> None:
        deltas = [delta("A")] if where == "idle" else []
        super().__init__(*deltas, self.give_up)
        self.clock = VirtualClock()
        self.where = where

    def send(self, request: HTTPRequest, timeouts: Timeouts) -> FakeStream:
        return self if self.where != "head" else FakeStream(self.give_up()).send(request, timeouts)

    def give_up(self) -> bytes:
        self.clock.sleep(2)
        raise TimeoutError("timed out")


@pytest.mark.parametrize(
    ("where", "kind"),
    [("head", FirstEventTimeout), ("first event", FirstEventTimeout), ("idle", IdleTimeout)],
)
def test_early_timeout_claims_the_whole_time(where: str, kind: type[MoondreamError]) -> None:
    """Number 28."""

    def ask() -> None:
        with Client(Hasty(where), ENDPOINT).stream(QUERY) as stream:
            stream.result()

    with pytest.raises(kind) as caught:
        ask()
    assert not re.search(r"(within|for) [36]0 seconds", str(caught.value))
    assert re.search(r"\b2(\.0+)? ?s", str(caught.value))


# 29


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    with FaultServer(answer) as server:
        monkeypatch.setenv("SERVER", server.url)
        monkeypatch.setenv("no_proxy", "*")
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        yield Project(pytester, server)


CHANGED = ONE.replace("ask(moondream_transport)", "ask(moondream_transport, 'Why?')")


def remedies(result: pytest.RunResult) -> list[str]:
    """The modes that the output of a run recommends."""
    return sorted(set(re.findall(r"--moondream-record=(\w+)", result.stdout.str())))


def test_miss_without_recordings_does_not_recommend_once(project: Project) -> None:
    """Number 29."""
    project.write(ONE)
    assert "once" in remedies(project.run(failed=1))


def test_miss_after_a_changed_question_recommends_what_fails(project: Project) -> None:
    """Number 29: whatever the message recommends ends in a test that passes."""
    project.write(ONE)
    project.run("once", passed=1)
    ((name, content),) = project.recordings.items()
    project.write(CHANGED)
    result = project.run(failed=1)
    assert "001-query.jsonl" in result.stdout.str()
    modes = remedies(result)
    assert "all" in modes
    for mode in modes:
        (project.pytester.path / name).write_bytes(content)
        project.run(mode, passed=1)
        project.run("none", passed=1)


def test_new_throws_away_what_it_recorded(project: Project) -> None:
    """Number 29: `new` replaces what it recorded anew."""
    project.write(ONE)
    project.run("once", passed=1)
    project.write(CHANGED)
    project.run("new", passed=1)
    assert project.connections == 1
    (content,) = project.recordings.values()
    assert b"Why?" in content
    assert b"What?" not in content


@pytest.mark.parametrize("mode", ["none", "all"])
def test_nothing_keeps_a_test_from_the_network(project: Project, mode: str) -> None:
    """Number 29: with the option `block_network`, a test reaches nothing, whatever it uses."""
    project.write("""
from moondream_transports import UrllibTransport

@pytest.fixture
def moondream_options():
    return {"block_network": True}

def test_one(moondream_transport):
    assert ask(UrllibTransport()) == "A moon"
""")
    result = project.run(mode, failed=1)
    result.stdout.fnmatch_lines(["*block_network*"])
    assert project.connections == 0
