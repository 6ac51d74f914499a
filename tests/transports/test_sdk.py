"""The documented SDK's surface: each method of the official package and of ours, on the same
server, and what comes out of both.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import inspect
import io
import json
import threading
import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from typing import Any

import pytest
from PIL import Image

import moondream_transports
from moondream_transports import sdk as md
from moondream_transports._concurrency import async_sleep
from sansio_moondream import (
    APIError,
    AuthenticationError,
    ChatResult,
    Completed,
    Dialect,
    Endpoint,
    Grounding,
    IncompleteStream,
    Metadata,
    Point,
    QueryResult,
    Reasoning,
    ReasoningDelta,
    ServerError,
    TextDelta,
    encode_events,
    encode_result,
)
from tests.helpers import END, TRACES, delta

IMAGE = Image.new("RGB", (32, 24), "gray")
TEXT = {"query": "answer", "caption": "caption", "chat": "message"}
# What is asked of both, as a call of each method. `stream` comes on top, where there is such a
# thing.
CALLS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "query": (
        (IMAGE, "What is in this image?"),
        {"settings": {"temperature": 0.5}, "spatial_refs": [[0.5, 0.25]]},
    ),
    "caption": ((IMAGE, "short"), {"settings": {"max_tokens": 9}}),
    "segment": (
        (IMAGE, "moon"),
        {"spatial_refs": [(0.1, 0.2, 0.3, 0.4)], "settings": {"temperature": 0}},
    ),
    "detect": ((IMAGE, "moon"), {"settings": {"max_objects": 3}}),
    "point": ((IMAGE, "moon"), {"spatial_refs": [[0.5, 0.25]]}),
    "chat": (
        ([{"role": "user", "content": [{"type": "text", "text": "What is this?"}]}],),
        {"settings": {"temperature": 0.5, "max_tokens": 9}, "reasoning": True},
    ),
}
STREAMED = [name for name in CALLS if name not in ("detect", "point")]
WHOLE_CAPTION = json.dumps(
    {"request_id": "7", "finish_reason": "stop", "caption": "The moon.", "metrics": {}}
).encode()  # none was captured
# As the documentation has it: no chat was captured either.
CHAT = ChatResult(
    "A moon.", Reasoning("Look.", (Grounding(0, 4, (Point(0.5, 0.25),)),)), Metadata("8", "stop")
)
MADE_UP = {
    "engine-caption-whole": WHOLE_CAPTION,
    "engine-completions": encode_events(
        [ReasoningDelta("Look."), TextDelta("A "), TextDelta("moon."), Completed(CHAT)],
        Dialect.CHAT,
    ),
    "engine-completions-whole": encode_result(CHAT, Dialect.CHAT),
}
# What only ours has: named in docs/from-the-official-sdk.md.
MORE = {"request_id", "parse_error"}
MORE_STREAMED = {*MORE, "finish_reason"}  # of a chat


class Service(BaseHTTPRequestHandler):
    """Answers with captured responses, or with what it was given, and keeps what it was asked."""

    asked: list[tuple[str, dict[str, str], dict[str, Any]]]
    answer: tuple[int, bytes] | None = None
    pause: threading.Event | None = None

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append(
            (self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        )
        skill = self.path.rpartition("/")[2]
        name = f"engine-{skill}" if body.get("stream") else f"engine-{skill}-whole"
        if body.get("reasoning") and skill == "query":
            name = "engine-query-reasoning-whole"
        bodies = {trace.name: trace.body for trace in TRACES} | MADE_UP
        status, content = self.answer or (200, bodies[name])
        self.send_response(status)
        self.send_header(
            "Content-Type", "application/json" if content.startswith(b"{") else "text/event-stream"
        )
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(content)
            if self.pause is not None:
                self.pause.wait(20)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def service() -> Iterator[type[Service]]:
    class Mine(Service):
        asked = []  # noqa: RUF012
        url = ""

    with ThreadingHTTPServer(("127.0.0.1", 0), Mine) as server:
        Mine.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield Mine
        if Mine.pause is not None:
            Mine.pause.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def official(service: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return import_module("moondream").vl(api_key="key", endpoint=service.url)


def ours(service: Any, **options: Any) -> md.VL:
    return md.vl(
        api_key="key",
        endpoint=service.url,
        transport=moondream_transports.UrllibTransport(proxies={}),
        **options,
    )


def settled(output: Any) -> Any:
    """What a call gave, with all that it streams taken."""
    if isinstance(output, Generator):
        return list(output)
    return {
        name: list(value) if isinstance(value, Generator) else value
        for name, value in output.items()
    }


def without_more(output: Any, more: set[str] = MORE) -> Any:
    if isinstance(output, list):
        return [without_more(item) for item in output]
    return (
        {name: value for name, value in output.items() if name not in more}
        if isinstance(output, dict)
        else output
    )


def both(official: Any, service: Any, name: str, *args: Any, **options: Any) -> tuple[Any, Any]:
    theirs = settled(getattr(official, name)(*args, **options))
    mine = settled(getattr(ours(service), name)(*args, **options))
    (their_path, their_headers, their_body), (path, headers, body) = service.asked
    assert path == their_path
    assert (
        body.pop("image_url", "")[:30] == their_body.pop("image_url", "")[:30]
    )  # two encoders' JPEGs
    assert body == their_body
    key = "authorization" if name == "chat" else "x-moondream-auth"
    assert headers[key] == their_headers[key]
    assert headers[key].endswith("key")
    return theirs, mine


@pytest.mark.parametrize("name", CALLS)
def test_whole_answers_are_the_same(official: Any, service: Any, name: str):
    args, options = CALLS[name]
    theirs, mine = both(official, service, name, *args, **options)
    assert without_more(mine) == theirs
    assert mine["request_id"]


@pytest.mark.parametrize("name", STREAMED)
def test_streamed_answers_are_the_same(official: Any, service: Any, name: str):
    args, options = CALLS[name]
    theirs, mine = both(official, service, name, *args, **options, stream=True)
    if name in TEXT:
        # The official generator gives an empty text at the end.
        theirs = {TEXT[name]: [chunk for chunk in theirs[TEXT[name]] if chunk]}
    assert without_more(mine, MORE_STREAMED) == theirs
    assert (mine[-1] if isinstance(mine, list) else mine)["request_id"]


def test_reasoning(official: Any, service: Any):
    theirs, mine = both(official, service, "query", IMAGE, "What is in this image?", reasoning=True)
    assert mine["reasoning"] == theirs["reasoning"]
    assert mine["reasoning"]["grounding"][0]["points"] == [[0.5, 0.25]]


def test_signatures_are_the_documented_ones():
    official = import_module("moondream")
    cloud = import_module("moondream.cloud_vl").CloudVL
    for name in [*CALLS, "encode_image", "close"]:
        for surface in (md.VL, md.AsyncVL):
            method = getattr(
                surface, f"a{name}" if name == "close" and surface is md.AsyncVL else name
            )
            assert _parameters(method) == _parameters(getattr(cloud, name)), name
    theirs, mine = _parameters(official.vl), _parameters(md.vl)
    names = [name for name in theirs if name != "kwargs"]
    assert list(mine)[: len(names)] == names
    assert all(mine[name] == theirs[name] for name in names if name != "endpoint")
    assert theirs["endpoint"][1] == Endpoint().url  # None is the same here
    assert _parameters(md.avl).keys() == mine.keys()


def _parameters(function: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
    return {
        name: (parameter.kind, parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
    }


def test_the_documented_samples(service: Any):
    model = ours(service)
    said = "".join(model.query(IMAGE, question="What is in this image?", stream=True)["answer"])
    assert said == "".join(model.query(IMAGE, "What is in this image?", True)["answer"])
    assert "".join(model.caption(IMAGE, stream=True)["caption"])
    box, chunks, end = None, [], None
    for update in model.segment(IMAGE, "moon", stream=True):
        assert isinstance(update, dict)
        if "bbox" in update and not update.get("completed"):
            box = update["bbox"]
        if "chunk" in update:
            chunks.append(update["chunk"])
        if update.get("completed"):
            end = update["path"]
    assert box is not None
    assert chunks
    assert end is not None
    assert end.startswith("M")


def test_a_picture_is_encoded_once(official: Any, service: Any):
    model = ours(service)
    encoded = model.encode_image(IMAGE)
    assert isinstance(encoded, md.Base64EncodedImage)
    theirs = official.encode_image(IMAGE).image_url
    with Image.open(io.BytesIO(base64.b64decode(encoded.image_url.partition(",")[2]))) as image:
        assert (image.format, image.size) == ("JPEG", IMAGE.size)
    for picture in (encoded, md.Base64EncodedImage(theirs), theirs):
        model.caption(picture)
    assert [body["image_url"] for _, _, body in service.asked] == [
        encoded.image_url,
        theirs,
        theirs,
    ]
    assert len(repr(encoded)) < 100


def test_the_request_leaves_at_the_call_and_the_id_comes_when_it_is_known(service: Any):
    result = ours(service).query(IMAGE, "What is in this image?", stream=True)
    assert len(service.asked) == 1
    answer = result["answer"]
    assert isinstance(answer, Generator)
    "".join(answer)
    assert result["request_id"]
    assert list(answer) == []
    with pytest.raises(StopIteration):
        next(answer)


def test_faults_are_this_librarys(service: Any):
    service.answer = 401, b'{"error": {"message": "no such key"}}'
    with pytest.raises(AuthenticationError, match="no such key"):
        ours(service).query(IMAGE, "?")
    with pytest.raises(AuthenticationError, match="no such key"):
        next(ours(service).caption(IMAGE, stream=True)["caption"])  # type: ignore[arg-type]
    service.answer = 200, b'data: {"error": {"message": "busy", "type": "server_error"}}\n\n'
    with pytest.raises(ServerError, match="busy"):
        next(ours(service).segment(IMAGE, "moon", stream=True))  # type: ignore[arg-type]
    service.answer = 200, delta("The") + delta(" moon")
    got: list[str] = []
    with pytest.raises(IncompleteStream) as caught:
        got.extend(ours(service).query(IMAGE, "?", stream=True)["answer"])
    assert isinstance(caught.value.partial, QueryResult)
    assert caught.value.partial.text == "The moon"


@pytest.mark.parametrize("leave", ["close", "drop", "throw", "drop unbegun"])
def test_leaving_a_stream_closes_the_connection(service: Any, leave: str):
    service.answer, service.pause = (200, delta("The")), threading.Event()
    output: Any = ours(service).query(IMAGE, "?", stream=True)
    answer = output["answer"]
    stream = answer._stream
    del output
    assert leave == "drop unbegun" or next(answer) == "The"
    assert "open" in repr(stream)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if leave == "close":
            answer.close()
            assert list(answer) == []
        elif leave == "throw":
            with pytest.raises(KeyError, match="mine"):
                answer.throw(KeyError("mine"))
        else:
            gc.disable()  # nothing has to be found: there is no ring
            try:
                del answer
            finally:
                gc.enable()
    assert "open" not in repr(stream)


def test_refusals_say_why(service: Any):
    with pytest.raises(ValueError, match="local=True loads a model"):
        md.vl(local=True, model="moondream3-preview")
    with pytest.raises(ValueError, match="question"):
        ours(service).query(IMAGE)
    with pytest.raises(ValueError, match="plain http"):
        md.vl(api_key="key", endpoint="http://moondream.test/v1")
    md.vl(api_key="key", endpoint="http://moondream.test/v1", allow_insecure_key=True)
    for name in ("photon", "ft"):
        with pytest.raises(AttributeError, match="official package"):
            getattr(md, name)
    with pytest.raises(AttributeError, match="nonsense"):
        md.nonsense  # noqa: B018
    assert not service.asked


def test_a_model_is_a_context_manager_that_leaves_a_transport_of_your_own_open(service: Any):
    with ours(service, model="moondream3-preview/mine@7") as model:
        model.caption(IMAGE)
    model.caption(IMAGE)
    assert [body["model"] for _, _, body in service.asked] == ["moondream3-preview/mine@7"] * 2


def on_each_loop(main: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(main(), debug=True)  # type: ignore[arg-type]
    pytest.importorskip("trio").run(main)


def test_the_async_twin(service: Any):
    sync = ours(service)
    whole = {name: getattr(sync, name)(*args, **options) for name, (args, options) in CALLS.items()}
    streamed = {
        name: settled(getattr(sync, name)(*args, **options, stream=True))
        for name, (args, options) in CALLS.items()
        if name in STREAMED
    }

    async def main() -> None:
        async with md.avl(api_key="key", endpoint=service.url) as model:
            for name, (args, options) in CALLS.items():
                assert await getattr(model, name)(*args, **options) == whole[name]
            for name in STREAMED:
                args, options = CALLS[name]
                output = await getattr(model, name)(*args, **options, stream=True)
                if isinstance(output, AsyncGenerator):
                    assert [update async for update in output] == streamed[name]
                else:
                    parts = [part async for part in output[TEXT[name]]]
                    assert {**output, TEXT[name]: parts} == streamed[name]
            assert (
                await model.caption(model.encode_image(IMAGE), "short", settings={"max_tokens": 9})
                == whole["caption"]
            )

    on_each_loop(main)


def test_leaving_an_async_stream(service: Any):
    service.answer, service.pause = (200, delta("The")), threading.Event()

    async def main() -> None:
        model = md.avl(endpoint=service.url)
        for leave in ("aclose", "athrow"):
            answer: Any = (await model.query(IMAGE, "?", stream=True))["answer"]
            assert await anext(answer) == "The"
            if leave == "aclose":
                await answer.aclose()
                assert [part async for part in answer] == []
            else:
                with pytest.raises(KeyError, match="mine"):
                    await answer.athrow(KeyError("mine"))

    on_each_loop(main)


def test_dropping_an_async_stream_closes_the_connection(service: Any):
    service.answer, service.pause = (200, delta("The")), threading.Event()

    async def main() -> None:
        answer: Any = (await md.avl(endpoint=service.url).query(IMAGE, "?", stream=True))["answer"]
        assert await anext(answer) == "The"
        stream = answer._stream
        assert "open" in repr(stream)
        del answer  # no ResourceWarning, as for an async generator
        for _ in range(1000):
            await async_sleep(0.01)
            if "open" not in repr(stream):
                return
        raise AssertionError("the stream is still open")

    on_each_loop(main)


def test_async_faults(service: Any):
    service.answer = 200, delta("The") + b'data: {"error": "no"}\n\n' + END

    async def main() -> None:
        answer: Any = (await md.avl(endpoint=service.url).query(IMAGE, "?", stream=True))["answer"]
        assert await anext(answer) == "The"
        with pytest.raises(APIError, match="no"):
            await anext(answer)
        with pytest.raises(StopAsyncIteration):
            await anext(answer)

    on_each_loop(main)
