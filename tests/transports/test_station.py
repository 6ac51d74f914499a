"""A real server that nobody here wrote: every transport against moondream-station's REST server.
See tests/station/server.py.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from sansio_moondream import (
    APIError,
    BBox,
    CaptionRequest,
    Completed,
    ConnectionLost,
    DetectRequest,
    Endpoint,
    Event,
    IncompleteStream,
    MoondreamError,
    Point,
    PointRequest,
    QueryRequest,
    Request,
    SegmentRequest,
    TextDelta,
)
from tests.helpers import PIXEL

from .adapters import ADAPTERS, SYNC_AND_ASYNC, Adapter, each_adapter

WORDS = ["The", " moon", " over", " 月の", " sea 🌙"]
EVENTS = [TextDelta(word) for word in WORDS]


@contextmanager
def running_station() -> Iterator[tuple[subprocess.Popen[str], Endpoint]]:
    for module in ("moondream_station", "fastapi", "uvicorn"):
        if find_spec(module) is None:
            pytest.skip(
                f"the real server, moondream-station, needs {module}, which `make` installs"
            )
    command = [sys.executable, str(Path(__file__).parents[1] / "station" / "server.py")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        try:
            port = process.stdout.readline().strip()
            assert port, process.stderr.read()
            yield process, Endpoint(f"http://127.0.0.1:{port}/v1")
        finally:
            process.kill()


@pytest.fixture(scope="module")
def station() -> Iterator[Endpoint]:
    with running_station() as (_, endpoint):
        yield endpoint


def asked(
    adapter: Adapter, station: Endpoint, *requests: Request[Any], stream: bool = True
) -> list[tuple[list[Event], Any]]:
    """For each request its events, and its result or the error that ended it; one after the other,
    with one transport.
    """

    async def main() -> list[tuple[list[Event], Any]]:
        outcomes: list[tuple[list[Event], Any]] = []
        async with adapter.transport() as transport:
            client = adapter.client(transport, station)
            for request in requests:
                events: list[Event] = []
                try:
                    if not stream:
                        outcomes.append((events, await client.send(request)))
                        continue
                    async with client.stream(request) as answer:
                        async for event in answer:
                            events.append(event)
                        outcomes.append((events, await answer.result()))
                except MoondreamError as error:
                    outcomes.append((events, error))
        return outcomes

    return adapter.run(main)


@each_adapter
def test_text_streamed(adapter: Adapter, station: Endpoint) -> None:
    for events, result in asked(
        adapter,
        station,
        QueryRequest(question="What?", image=PIXEL),
        CaptionRequest(image=PIXEL, length="long"),
    ):
        assert events == [*EVENTS, Completed(result)]
        assert result.text == "".join(WORDS)
        assert result.metadata.stats.tokens == len(WORDS)


@each_adapter
def test_whole_answers(adapter: Adapter, station: Endpoint) -> None:
    requests: list[Request[Any]] = [
        QueryRequest(question="What?"),
        CaptionRequest(image=PIXEL),
        DetectRequest(image=PIXEL, object="moon"),
        PointRequest(image=PIXEL, object="moon"),
    ]
    query, caption, detect, point = (
        result for _, result in asked(adapter, station, *requests, stream=False)
    )
    assert query.text == caption.text == "".join(WORDS)
    assert detect.objects == (BBox(0.1, 0.2, 0.3, 0.4),)
    assert point.points == (Point(0.25, 0.75),)


@each_adapter
def test_detect_and_point_as_streams_of_one(adapter: Adapter, station: Endpoint) -> None:
    for events, result in asked(
        adapter,
        station,
        DetectRequest(image=PIXEL, object="moon"),
        PointRequest(image=PIXEL, object="moon"),
    ):
        assert events == [Completed(result)]


@each_adapter
@pytest.mark.parametrize("stream", [True, False])
def test_errors_in_a_200(adapter: Adapter, station: Endpoint, stream: bool) -> None:
    requests: list[Request[Any]] = [
        QueryRequest(question="fail"),
        SegmentRequest(image=PIXEL, object="moon"),
    ]
    (_, failed), (_, unknown) = asked(adapter, station, *requests, stream=stream)
    assert isinstance(failed, APIError) and isinstance(unknown, APIError)
    assert (failed.status_code, failed.message) == (200, "model refused")
    assert (unknown.status_code, unknown.message) == (200, "Function 'segment' not available")


@pytest.mark.parametrize("adapter", SYNC_AND_ASYNC, ids=lambda adapter: adapter.name)
def test_an_endpoint_with_a_skill_in_it(adapter: Adapter, station: Endpoint) -> None:
    wrong = Endpoint(f"{station.url}/chat/completions")
    [(_, error)] = asked(adapter, wrong, QueryRequest(question="What?"))
    assert isinstance(error, APIError)
    assert error.message == (
        "Function 'chat' not available (the url of an endpoint usually ends in /v1, before the "
        f"skill: try {station.url} instead of {wrong.url})"
    )


@each_adapter
@pytest.mark.slow
def test_its_death_in_the_middle(adapter: Adapter, station: Endpoint) -> None:
    (events, error), (_, after) = asked(
        adapter, station, QueryRequest(question="die"), QueryRequest(question="What?")
    )
    assert (events, type(error)) == (EVENTS[:3], ConnectionLost)
    assert error.partial.text == "".join(WORDS[:3])
    assert after.text == "".join(WORDS)  # and it goes on


@pytest.mark.parametrize("name", ["urllib", "aiohttp", "anyio-trio"])
@pytest.mark.slow
def test_its_process_is_killed_in_the_middle(name: str) -> None:
    adapter = next(adapter for adapter in ADAPTERS if adapter.name == name)
    with running_station() as (process, station):

        async def main() -> tuple[list[Event], Any]:
            events: list[Event] = []
            async with adapter.transport() as transport:
                try:
                    async with adapter.client(transport, station).stream(
                        QueryRequest(question="hang")
                    ) as answer:
                        async for event in answer:
                            events.append(event)
                            if len(events) == 3:
                                process.kill()
                except (ConnectionLost, IncompleteStream) as error:
                    return events, error
            return events, None

        events, error = adapter.run(main)
        assert process.wait(20) == -signal.SIGKILL
    assert events == EVENTS[:3]
    assert error.partial.text == "".join(WORDS[:3])
