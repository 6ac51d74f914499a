"""Questions of the page to an endpoint, and what follows their answers."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import threading
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, NamedTuple

import msgspec
import pytest

from moondream_tools import FakeServer
from moondream_tools._exchange import Exchange
from moondream_tools._guard import Guard
from moondream_tools._inspect import _ask, _images
from moondream_tools._inspect._store import Entry, Store
from moondream_tools._server_thread import HOST, ServerThread
from moondream_tools.cli import Exit
from moondream_tools.trace import Trace, TraceUpdate
from moondream_transports import AsyncByteStream, Timeouts
from sansio_moondream import (
    AuthenticationError,
    Endpoint,
    HTTPRequest,
    encode_image,
)
from sansio_moondream.recording import RecordingHeader
from tests.helpers import PIXEL, REQUESTS, delta, record
from tests.tools.inspect.page_server import HARBOUR, Served, serving
from tests.tools.programs import running
from tests.tools.serving import RECORDED

KEY = "planted-key-7f3a"
QUESTION = {"skill": "query", "question": "What is in this image?"}
ASKED: dict[str, dict[str, Any]] = {
    "query": QUESTION,
    "caption": {"skill": "caption"},
    "segment": {"skill": "segment", "object": "moon"},
    "detect": {"skill": "detect", "object": "moon"},
    "point": {"skill": "point", "object": "moon"},
    "chat": {
        "skill": "chat",
        "messages": [{"role": "user", "content": "What is in this image?"}],
    },
}


class Followed(NamedTuple):
    """What a page received: the updates, and the report of the end."""

    ids: list[int]
    updates: list[TraceUpdate]
    end: dict[str, Any]


def ask(served: Served, asked: dict[str, Any] = QUESTION) -> str:
    reply = served.ask("api/ask", asked)
    assert reply.status == 200, reply.json
    name: str = reply.json["name"]
    return name


def follow(served: Served, name: str, after: int = 0, **headers: str) -> Followed:
    reply = served.ask(f"api/live/{name}?after={after}", **headers)
    assert reply.status == 200, reply.json
    assert reply.headers["content-type"] == "text/event-stream"
    ids: list[int] = []
    updates: list[TraceUpdate] = []
    *events, last = reply.body.decode().split("\n\n")[:-1]
    for event in events:
        id_line, data = event.split("\n")
        ids.append(int(id_line.removeprefix("id: ")))
        updates.append(msgspec.json.decode(data.removeprefix("data: "), type=TraceUpdate))
    _, name_line, data = last.split("\n")
    assert name_line == "event: end"
    return Followed(ids, updates, json.loads(data.removeprefix("data: ")))


def added_up(served: Served, name: str, begin: Trace, updates: list[TraceUpdate]) -> None:
    """Check that the updates add up to the trace of the recording."""
    for update in updates:
        begin = begin.updated(update)
    assert json.loads(begin.encode()) == served.ask(f"api/trace/{name}").json


@contextmanager
def answering(handle: Callable[[Exchange], Awaitable[None]]) -> Iterator[Endpoint]:
    """Run a server with this handler, and return its endpoint, with a key."""
    server = ServerThread(handle, Guard(HOST), lambda _: None)
    server.start()
    try:
        yield Endpoint(f"http://{HOST}:{server.port}/v1", api_key=KEY)
    finally:
        server.close()


class SilentTransport:
    """A server that never answers."""

    async def send(self, request: HTTPRequest, timeouts: Timeouts) -> AsyncByteStream:
        await asyncio.Event().wait()
        raise AssertionError

    async def aclose(self) -> None:
        pass


@pytest.fixture
def served(fake: FakeServer) -> Iterator[Served]:
    with serving([], endpoint=Endpoint(fake.url, api_key=KEY)) as served:
        yield served


class TestAnAnswer:
    def test_of_each_skill(self, fake: FakeServer, served: Served):
        for number, (skill, request) in enumerate(REQUESTS.items(), 1):
            fake.answer(recording=RECORDED[skill], seconds=0.0, skill=skill)
            asked = ASKED[skill] | ({} if skill == "query" else {"image": PIXEL.data_url})
            name = ask(served, asked)
            assert name == f"asked-{number}-{skill}.jsonl"
            followed = follow(served, name)
            assert followed.end == {"error": None, "complete": True, "reload": False}
            entry = served.store.get(name)
            assert isinstance(entry, Entry)
            expected = RecordingHeader.of(request.to_http(Endpoint(fake.url)))
            assert entry.header.request_body == expected.request_body
            assert entry.header.path == expected.path
            added_up(served, name, Trace.begin(entry.header, name), followed.updates)
            trace = served.ask(f"api/trace/{name}").json
            assert trace["states"][-1]["state"] == "COMPLETED"
            assert trace["times"]["connected"] is not None
            assert served.ask(f"api/takeaway/{name}").json["curl"].count("curl --no-buffer") == 1
            status = served.ask(f"api/image/{name}").status
            assert status == (404 if skill == "query" else 200)
        names = [each["name"] for each in served.ask("api/recordings").json["recordings"]]
        assert names == [f"asked-{n}-{skill}.jsonl" for n, skill in enumerate(REQUESTS, 1)]

    def test_the_page_knows_what_it_can_ask(self, fake: FakeServer, served: Served):
        endpoint = served.ask("api/recordings").json["endpoint"]
        assert endpoint == {"url": fake.url, "skills": list(REQUESTS)}

    def test_settings_and_a_conversation(self, fake: FakeServer, served: Served):
        fake.answer(text="A pixel.", times=2)
        settings = {"temperature": 0.5, "max_tokens": 10}
        said = [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is it?"},
            {"role": "assistant", "content": "A pixel."},
            {"role": "user", "content": "Sure?"},
        ]
        asked = {"skill": "chat", "messages": said, "image": PIXEL.data_url, "reasoning": True}
        follow(served, ask(served, {**asked, "settings": settings}))
        body = served.ask("api/trace/asked-1-chat.jsonl").json["request"]["body"]
        assert body["reasoning"] is True
        assert (body["temperature"], body["max_completion_tokens"]) == (0.5, 10)
        contents = [message["content"] for message in body["messages"]]
        assert contents[0] == "Be brief."
        assert contents[1][1] == {"type": "text", "text": "What is it?"}
        assert contents[2:] == ["A pixel.", "Sure?"]
        follow(served, ask(served, {**QUESTION, "settings": None, "reasoning": None}))

    def test_any_number_of_pages_follow(self, fake: FakeServer, served: Served):
        """One from the beginning, one that connects again, and one that comes at the end."""
        fake.answer(text="one two three four", seconds=0.05)
        name = ask(served)
        begin = served.ask(f"api/trace/{name}").json
        assert begin["ending"] is None and begin["chunks"] == []
        listed = served.ask("api/recordings").json["recordings"]
        assert [(each["name"], each["ending"]) for each in listed] == [(name, None)]
        assert served.ask(f"api/takeaway/{name}").status == 409
        first = follow(served, name)
        assert first.ids == list(range(1, len(first.ids) + 1))
        assert len(first.ids) > 2  # it came in parts, as it was received
        assert follow(served, name) == first
        again = follow(served, name, after=2)
        assert (again.ids, again.updates) == (first.ids[2:], first.updates[2:])
        by_itself = follow(served, name, after=0, last_event_id="1")
        assert by_itself.ids == first.ids[1:]
        added_up(served, name, msgspec.convert(begin, Trace), first.updates)
        for after in "-1", "x", str(len(first.ids) + 9), "9" * 30:
            assert served.ask(f"api/live/{name}?after={after}").status == 400

    def test_cancel(self, fake: FakeServer, served: Served):
        fake.answer(text="one two three", fault="stall@1")
        name = ask(served)
        connection = http.client.HTTPConnection(HOST, served.port, timeout=20)
        connection.request("GET", f"{served.path}api/live/{name}")
        response = connection.getresponse()
        while b"one" not in response.readline():
            pass
        reply = served.ask(f"api/cancel/{name}", {})
        assert (reply.status, reply.body) == (204, b"")
        assert response.read().endswith(b'{"error": null, "complete": false, "reload": false}\n\n')
        connection.close()
        fake.wait_until_left()
        trace = served.ask(f"api/trace/{name}").json
        assert trace["ending"]["fault"] == "left"
        assert len(trace["events"]) == 1
        assert served.ask(f"api/cancel/{name}", {}).status == 204  # it changes nothing
        assert served.ask("api/cancel/other", {}).status == 404
        assert served.ask("api/live/other").status == 404

    @pytest.mark.parametrize("ticks", [0, 1, 2, 3, 20])
    def test_a_question_that_is_cancelled_at_any_time_and_often_ends(self, ticks: int):
        store = Store()

        async def run() -> None:
            asker = _ask.Asker(store, _images.Pictures(), Endpoint(), transport=SilentTransport())
            names = [(await asker.ask("", QUESTION))["name"] for _ in range(_ask.MAX_RUNNING)]
            for _ in range(ticks):
                await asyncio.sleep(0)
            for _ in range(10):
                for name in names:
                    await asker.cancel(name, None)
                await asyncio.sleep(0)
            while not all(isinstance(entry, Entry) for entry in store):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await asker.cancel((await asker.ask("", QUESTION))["name"], None)  # a place is free

        asyncio.run(asyncio.wait_for(run(), 20))
        ends = [entry.recording.ending.fault for entry in store if isinstance(entry, Entry)]
        assert ends[: _ask.MAX_RUNNING] == ["left"] * _ask.MAX_RUNNING

    def test_a_few_at_once(self, fake: FakeServer, served: Served):
        fake.answer(text="one two", fault="stall@1", times=None)
        names = [ask(served) for _ in range(_ask.MAX_RUNNING)]
        reply = served.ask("api/ask", QUESTION)
        assert reply.status == 429
        assert "4 questions are under way" in reply.json["error"]["message"]
        served.ask(f"api/cancel/{names[0]}", {})
        follow(served, names[0])
        ask(served)

    def test_what_is_kept_is_bounded(
        self, fake: FakeServer, served: Served, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(_ask, "MAX_KEPT", 2)
        monkeypatch.setattr(_images, "MAX_ADDED_BYTES", len(HARBOUR.read_bytes()) + 10)
        fake.answer(text="A pixel.", times=None)
        images = [encode_image(HARBOUR.read_bytes()), PIXEL, PIXEL, PIXEL]
        names = [ask(served, {**QUESTION, "image": image.data_url}) for image in images[:2]]
        for name in names:
            follow(served, name)
        # Both do not fit, and the older one is dropped.
        assert [served.ask(f"api/image/{name}").status for name in names] == [404, 200]
        names += [ask(served, {**QUESTION, "image": image.data_url}) for image in images[2:]]
        for name in names[2:]:
            follow(served, name)
        assert [entry.name for entry in served.store] == names[2:]
        assert served.ask(f"api/trace/{names[0]}").status == 404
        assert served.ask(f"api/image/{names[3]}").status == 200


class TestWhatFails:
    @pytest.mark.parametrize(
        ("asked", "words"),
        [
            ([], "should be an object"),
            ({}, "the skill should be one of query, caption, segment, detect, point, chat"),
            ({"skill": "draw"}, "the skill should be one of"),
            ({"skill": ["query"]}, "the skill should be one of"),
            ({"skill": "query"}, "type a question"),
            ({"skill": "query", "question": 1}, "question"),
            ({"skill": "query", "question": " "}, "question"),
            ({"skill": "query", "question": "x", "object": "y"}, "query has no field 'object'"),
            ({"skill": "segment", "object": "x"}, "drop a picture first"),
            ({"skill": "segment", "image": PIXEL.data_url}, "type what to segment"),
            ({"skill": "caption", "image": PIXEL.data_url, "length": "huge"}, "length"),
            ({"skill": "chat", "messages": []}, "type a message"),
            ({"skill": "chat", "messages": "x"}, "type a message"),
            ({"skill": "chat", "messages": [1]}, "messages[0]"),
            (
                {"skill": "chat", "messages": [{"role": "system"}], "image": PIXEL.data_url},
                "the picture goes with a message of the user",
            ),
            ({**QUESTION, "settings": {"temperature": -1}}, "temperature"),
            ({**QUESTION, "settings": {"heat": 1}}, "heat"),
            ({**QUESTION, "settings": 1}, "settings"),
            ({**QUESTION, "image": 1}, "data URL"),
            ({**QUESTION, "image": "data:image/png;base64,AAAA"}, "JPEG, PNG, WebP or GIF"),
            ({**QUESTION, "image": "/etc/passwd"}, "data URL"),
        ],
        ids=repr,
    )
    def test_requests_that_nobody_can_send(self, served: Served, asked: Any, words: str):
        reply = served.ask("api/ask", asked)
        assert reply.status == 400
        assert words in reply.json["error"]["message"]
        assert "This function" not in reply.json["error"]["message"]
        assert list(served.store) == []

    def test_errors_in_words(self, fake: FakeServer, served: Served):
        fake.answer(error=AuthenticationError("no such key", status_code=401))
        fake.answer(status=429)
        fake.answer(text="one two three four", fault="close@2")
        expected = [
            ("AuthenticationError", "no such key", "MOONDREAM_API_KEY should be a key"),
            ("RateLimitError", "429", None),
            ("ConnectionLost", "closed the connection", None),
        ]
        for kind, words, advice in expected:
            name = ask(served)
            followed = follow(served, name)
            error = followed.end["error"]
            assert error["kind"] == kind
            assert words in error["message"]
            assert (error["advice"] or "").startswith(advice or "")
            assert (error["advice"] is None) == (advice is None)
            begin = Trace.begin(served.store.get(name).header, name)  # type: ignore[union-attr]
            added_up(served, name, begin, followed.updates)
            assert served.ask(f"api/trace/{name}").json["error"]["message"] is not None

    def test_no_server(self):
        with serving([], endpoint=Endpoint(f"http://{HOST}:1/v1")) as served:
            name = ask(served)
            error = follow(served, name).end["error"]
            assert error["kind"] == "ConnectError"
            assert "connection refused" in error["message"]
            assert error["advice"].startswith("Is a server running at 127.0.0.1:1?")
            trace = served.ask(f"api/trace/{name}").json
            assert trace["response"] is None and trace["ending"]["fault"] == "ConnectError"

    def test_a_deadline(self, fake: FakeServer):
        fake.answer(text="one two three", fault="stall@1")
        timeouts = Timeouts(idle=0.2)
        with serving([], endpoint=Endpoint(fake.url), timeouts=timeouts) as served:
            name = ask(served)
            error = follow(served, name).end["error"]
            assert error["kind"] == "IdleTimeout"
            assert served.ask(f"api/trace/{name}").json["deadlines"]["idle"] == 0.2

    def test_without_an_endpoint(self, shipped: Served):
        assert shipped.ask("api/ask", QUESTION).status == 404
        assert shipped.ask("api/recordings").json["endpoint"] is None


PARTS = [
    delta(f"it is {KEY}. "),
    delta("it is planted-"),
    delta("key-7f3a, "),
    *(bytes([byte]) for byte in delta(f"or {b64encode(KEY.encode()).decode()}")),
]


class TestTheKey:
    """A server that quotes the key back: the page never gets it."""

    @pytest.mark.parametrize("where", ["head", "body", "stream", "error", "framing"])
    def test_it_stays_in_the_server(self, where: str, capfd: pytest.CaptureFixture[str]):
        async def handle(exchange: Exchange) -> None:
            assert exchange.headers["x-moondream-auth"] == KEY
            fields = [("x-request-id", f"id-{KEY}"), ("server", KEY), ("set-cookie", KEY)]
            stream = [*fields, ("content-type", "text/event-stream")]
            if where == "head":
                await exchange.answer(302, b"", [*fields, ("location", f"http://x/{KEY}")])
            elif where == "body":
                body = json.dumps({"error": {"message": f"the key {KEY} is wrong"}}).encode()
                await exchange.answer(401, body, fields)
            elif where == "framing":
                await exchange.start(200, [*stream, ("content-encoding", KEY)])
                await exchange.send_unframed(KEY.encode())
                exchange.abort()
            else:
                await exchange.start(200, stream)
                for part in PARTS:
                    await exchange.send(part)
                    await asyncio.sleep(0.002)  # so that it is received by itself
                if where == "error":
                    await exchange.send(record({"error": f"{KEY} again"}))
                else:
                    await exchange.send(record({"completed": True, "answer": f"it is {KEY}"}))
                await exchange.end()

        with answering(handle) as endpoint, serving([], endpoint=endpoint) as served:
            name = ask(served)
            followed = served.ask(f"api/live/{name}")
            replies = [followed, *(served.ask(path) for path in ("api/recordings",))]
            replies += [served.ask(f"api/{what}/{name}") for what in ("trace", "takeaway")]
            entry = served.store.get(name)
            assert isinstance(entry, Entry)
            data = entry.recording.encode() + b"".join(reply.body for reply in replies)
        out, err = capfd.readouterr()
        seen = (data + repr(replies).encode() + (out + err).encode()).decode()
        digits = b64encode(KEY.encode()).decode()
        bodies = "".join(
            msgspec.json.decode(line.removeprefix("data: "), type=TraceUpdate).body.decode()
            for line in followed.body.decode().splitlines()
            if line.startswith('data: {"response"')
        )
        for text in seen, bodies:
            assert KEY not in text
            assert digits[:-4] not in text
        if where in ("stream", "error"):
            # What came in parts was masked from the fourth byte on. The recording masks all of it.
            assert "it is ****************. " in bodies
            assert "planted-" not in bodies

    def test_a_text_that_only_begins_like_it(self):
        """It is masked until more of it is known. Then the page loads the recording."""
        seen = threading.Event()

        async def handle(exchange: Exchange) -> None:
            await exchange.start(200, [("content-type", "text/event-stream")])
            await exchange.send(delta("they are plant"))
            assert await asyncio.to_thread(seen.wait, 20)
            await exchange.send(delta("s."))
            await exchange.send(record({"completed": True}))
            await exchange.end()

        with answering(handle) as endpoint, serving([], endpoint=endpoint) as served:
            name = ask(served)
            connection = http.client.HTTPConnection(HOST, served.port, timeout=20)
            connection.request("GET", f"{served.path}api/live/{name}")
            response = connection.getresponse()
            while b"they are *****" not in response.readline():
                pass
            seen.set()
            assert response.read().endswith(
                b'{"error": null, "complete": true, "reload": true}\n\n'
            )
            connection.close()
            assert served.ask(f"api/trace/{name}").json["result"]["text"] == "they are plants."


@pytest.mark.slow
def test_the_program_keeps_the_key_to_itself_and_ends_at_once():
    """Ctrl+C does not wait for an answer that a page follows."""
    statuses = [401, 200]
    left = threading.Event()

    async def handle(exchange: Exchange) -> None:
        assert exchange.headers["x-moondream-auth"] == KEY
        status = statuses.pop(0)
        if status == 401:
            await exchange.answer(status, f"no such key: {KEY}".encode())
            return
        await exchange.start(status, [("content-type", "text/event-stream")])
        await exchange.send(delta("a boat"))
        try:
            await asyncio.Event().wait()
        finally:
            left.set()

    with answering(handle) as endpoint:
        arguments = ("inspect", "--endpoint", endpoint.url, "--no-open")
        with running(*arguments, MOONDREAM_API_KEY=KEY, NO_PROXY="*") as program:
            path = program.url.removeprefix(program.origin)
            served = Served(program.url, program.port, path, Store())
            assert served.ask("api/recordings").json["endpoint"]["url"] == endpoint.url
            end = follow(served, ask(served)).end
            assert end["error"]["kind"] == "AuthenticationError"
            assert KEY not in served.ask("api/trace/asked-1-query.jsonl").body.decode()
            served.ask("api/ask", {"skill": KEY})
            line = program.wait_for_line("api/ask 400")
            assert program.process.poll() is None
            assert KEY not in line + "".join(program.lines)
            connection = http.client.HTTPConnection(HOST, program.port, timeout=20)
            connection.request("GET", f"{path}api/live/{ask(served)}")
            response = connection.getresponse()
            while b"a boat" not in response.readline():
                pass
            began = monotonic()
            status, log = program.stopped(signal.SIGINT)
            assert monotonic() - began < 5
            assert status == Exit.INTERRUPTED
            assert KEY not in log
            connection.close()
        assert left.wait(20)
    assert not statuses
