"""RecordingTransport and its async twin: nothing is changed, all is kept, and no secret is."""

from __future__ import annotations

import gzip
import json
import os
import re
import threading
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from moondream_transports import (
    AsyncRecordingTransport,
    AsyncReplayTransport,
    AsyncVirtualClock,
    BreakAt,
    Client,
    Fragmentation,
    RecordingFolder,
    RecordingTransport,
    ReplayTransport,
    Timeouts,
    UrllibTransport,
    VirtualClock,
)
from moondream_transports.conformance._fault_cases import FAULTS, exchange
from moondream_transports.conformance._fault_server import (
    CHUNKED,
    LAST_CHUNK,
    FaultServer,
    Peer,
    chunk,
    head,
)
from moondream_transports.conformance._faults import HTTPFault
from moondream_transports.conformance._secrets import KEY
from sansio_moondream import (
    ConnectionLost,
    Endpoint,
    HTTPRequest,
    MoondreamError,
    QueryRequest,
    Result,
    TextDelta,
)
from sansio_moondream.recording import EOF, LEFT, Chunk, Ending, Match, Recording, RecordingHeader
from tests.helpers import END, PIXEL, QUERY, TRACES, Trace, delta

from .adapters import ADAPTERS, Adapter

LOCAL = Endpoint("http://localhost:2020/v1")
HEAD = (("content-type", "text/event-stream"),)
TWO = [adapter for adapter in ADAPTERS if adapter.name in ("urllib", "anyio-trio")]


def recording_of(adapter: Adapter, transport: Any, save: Callable[[Recording], object]) -> Any:
    return (AsyncRecordingTransport if adapter.is_async else RecordingTransport)(transport, save)


def replay_of(adapter: Adapter, recording: Recording) -> Any:
    if adapter.is_async:
        return AsyncReplayTransport([recording], clock=AsyncVirtualClock())
    return ReplayTransport([recording], clock=VirtualClock())


def about(events: list[Any], outcome: Any) -> Any:
    """What an exchange came to, without what differs between two runs of one server."""
    if isinstance(outcome, Result):
        return (
            events[:-1],
            type(outcome),
            [(name, value) for name, value in vars_of(outcome) if name != "metadata"],
        )
    return (
        events,
        type(outcome),
        re.sub(r"[0-9.]+ seconds?", "", str(outcome)),
        str(getattr(outcome.partial, "text", None)),
    )


def vars_of(result: Any) -> list[tuple[str, Any]]:
    return [(name, getattr(result, name)) for name in result.__struct_fields__]


@pytest.mark.parametrize(
    ("fault", "adapter"),
    list(zip(FAULTS, cycle(TWO), strict=False)),
    ids=[fault.id for fault in FAULTS],
)
def test_every_fault_is_recorded_and_replays_to_the_same(
    fault: HTTPFault, adapter: Adapter
) -> None:
    saved: list[Recording] = []

    async def live(server: FaultServer) -> Any:
        request = fault.request
        async with adapter.transport() as transport:
            seen = await exchange(
                adapter,
                recording_of(adapter, transport, saved.append),
                server,
                request,
                timeouts=fault.timeouts,
                limits=fault.limits,
            )
        (recording,) = [Recording.decode(one.encode()) for one in saved]
        again = await exchange(
            adapter,
            replay_of(adapter, recording),
            server,
            request,
            timeouts=fault.timeouts,
            limits=fault.limits,
        )
        assert about(*again) == about(*seen)

    with FaultServer(fault.script) as server:
        adapter.run(live, server)
    assert KEY.encode() not in saved[0].encode()


class FakeStream:
    """A transport's stream, and what is done with it."""

    status_code = 200
    connected_at = 7.0

    def __init__(self, *steps: Any) -> None:
        self.steps = list(steps)
        self.calls: list[Any] = []
        self.headers = (pair for pair in HEAD)  # readable once

    def read(self, timeout: float | None) -> bytes:
        self.calls.append(timeout)
        step = self.steps.pop(0)
        if isinstance(step, BaseException):
            raise step
        chunk: bytes = step
        return chunk

    def close(self) -> None:
        self.calls.append("close")


class FakeTransport:
    """A transport that gives one stream, or raises."""

    def __init__(
        self, given: FakeStream | BaseException, clock: VirtualClock | None = None
    ) -> None:
        self.given = given
        self.clock = clock or VirtualClock()
        self.asked: list[Any] = []

    def send(self, request: HTTPRequest, timeouts: Timeouts) -> FakeStream:
        self.asked.append((request, timeouts))
        self.clock.sleep(0.5)
        if isinstance(self.given, BaseException):
            raise self.given
        return self.given


HTTP = QUERY.to_http(LOCAL)


def opened(*steps: Any) -> tuple[Any, FakeStream, list[Recording]]:
    told, saved = FakeStream(*steps), list[Recording]()
    return RecordingTransport(FakeTransport(told), saved.append).send(HTTP, Timeouts()), told, saved


class TestNothingIsChanged:
    def test_what_goes_in(self) -> None:
        transport = FakeTransport(FakeStream(b"A", b""))
        timeouts = Timeouts(connect=1)
        stream = RecordingTransport(transport, print).send(HTTP, timeouts)
        assert transport.asked == [(HTTP, timeouts)]
        assert (stream.status_code, tuple(stream.headers), stream.connected_at) == (200, HEAD, 7.0)
        assert stream.read(3) == b"A"
        assert stream.read(None) == b""
        assert transport.given.calls == [3, None]  # type: ignore[union-attr]

    @pytest.mark.parametrize(
        "error",
        [
            ConnectionLost("x"),
            TimeoutError("x"),
            KeyboardInterrupt(),
            OSError("x"),
            ReferenceError("a bug"),
        ],
    )
    def test_errors(self, error: BaseException) -> None:
        stream, told, saved = opened(b"A", error)
        stream.read(None)
        with pytest.raises(type(error)) as caught:
            stream.read(None)
        assert caught.value is error
        assert len(saved) == 1
        stream.close()
        assert told.calls[-1] == "close"
        assert len(saved) == 1
        with pytest.raises(type(error)) as caught:
            RecordingTransport(FakeTransport(error), saved.append).send(HTTP, Timeouts())
        assert caught.value is error
        assert (saved[1].header.status_code, saved[1].ending.seconds) == (None, 0.5)

    def test_closing_that_fails(self) -> None:
        stream, told, saved = opened()
        told.close = lambda: told.read(None)  # type: ignore[method-assign, assignment]
        told.steps = [RuntimeError("a bug")]
        with pytest.raises(RuntimeError, match="a bug"):
            stream.close()
        assert saved[0].ending.fault == LEFT

    def test_reading_on_is_not_recorded(self) -> None:
        stream, _, saved = opened(b"A", TimeoutError(), b"B", b"", b"")
        stream.read(1)
        with pytest.raises(TimeoutError):
            stream.read(1)
        assert [stream.read(1), stream.read(1), stream.read(1)] == [b"B", b"", b""]
        assert [chunk.data for chunk in saved[0].chunks] == [b"A"]

    def test_what_saving_raises_comes_out(self) -> None:
        def full(recording: Recording) -> None:
            raise OSError("the disk is full")

        stream = RecordingTransport(FakeTransport(FakeStream(b"")), full).send(HTTP, Timeouts())
        with pytest.raises(OSError, match="disk is full"):
            stream.read(None)
        stream.close()

    def test_a_request_that_cannot_be_recorded_is_not_sent(self) -> None:
        transport = FakeTransport(FakeStream())
        with pytest.raises(ValueError, match="not JSON"):
            RecordingTransport(transport, print).send(
                HTTPRequest("POST", "http://h/v1/query", (), b"x"), Timeouts()
            )
        assert transport.asked == []


class TestWhatIsKept:
    def test_chunks_times_and_the_end(self) -> None:
        original = Recording(
            RecordingHeader.of(HTTP, 200, HEAD, seconds=0.25),
            (Chunk(0.5, delta("A")), Chunk(0, b"\xe6"), Chunk(1, END)),
            Ending(2),
        )
        saved: list[Recording] = []
        transport = RecordingTransport(
            ReplayTransport([original], clock=VirtualClock()), saved.append
        )
        stream = transport.send(HTTP, Timeouts())
        while stream.read(None):
            pass
        assert saved == [original]

    @pytest.mark.parametrize("trace", TRACES, ids=[trace.name for trace in TRACES])
    def test_a_recording_of_a_replay_is_the_recording(self, trace: Trace) -> None:
        http = trace.request.to_http(LOCAL)
        ending = (
            Ending(1) if trace.ending is None else Ending(1, "ConnectionLost", str(trace.ending))
        )
        chunks = tuple(Chunk(0.25, chunk) for chunk in trace.chunks)
        original = Recording(
            RecordingHeader.of(http, trace.status_code, trace.headers, seconds=0.5), chunks, ending
        )
        saved: list[Recording] = []
        client = Client(
            RecordingTransport(ReplayTransport([original], clock=VirtualClock()), saved.append),
            LOCAL,
        )
        try:
            with client.stream(trace.request) as stream:
                stream.result()
        except MoondreamError:
            pass
        (copy,) = saved
        assert copy.header == original.header
        assert copy.chunks == original.chunks[: len(copy.chunks)]
        if copy.ending.fault == original.ending.fault:
            assert (copy.chunks, copy.ending) == (original.chunks, original.ending)
        else:  # the client had all it wanted before the end
            assert copy.ending.fault in (LEFT, "TimeoutError")

    def test_leaving_early(self) -> None:
        stream, _, saved = opened(b"A", b"B")
        stream.read(None)
        stream.close()
        stream.close()
        assert [(recording.chunks, recording.ending) for recording in saved] == [
            ((Chunk(0, b"A"),), Ending(0, LEFT))
        ]

    def test_closed_by_another_thread(self) -> None:
        """Whoever ends it first, one recording is saved, and the reader gets what the transport
        says.
        """
        reading, closed = threading.Event(), threading.Event()

        class Slow(FakeStream):
            def read(self, timeout: float | None) -> bytes:
                reading.set()
                assert closed.wait(10)
                return b"too late"

        saved: list[Recording] = []
        stream = RecordingTransport(FakeTransport(Slow()), saved.append).send(HTTP, Timeouts())
        read: list[bytes] = []
        thread = threading.Thread(target=lambda: read.append(stream.read(None)))
        thread.start()
        assert reading.wait(10)
        stream.close()
        closed.set()
        thread.join()
        assert read == [b"too late"]
        assert [(recording.chunks, recording.ending.fault) for recording in saved] == [((), LEFT)]

    @pytest.mark.parametrize(
        "adapter",
        [adapter for adapter in ADAPTERS if adapter.name.startswith("anyio")],
        ids=lambda adapter: adapter.name,
    )
    def test_cancelled(self, adapter: Adapter) -> None:
        saved: list[Recording] = []

        def hold(peer: Peer) -> None:
            peer.answer(head(), chunk(delta("A")))
            peer.wait_until_closed()

        async def main(server: FaultServer) -> None:
            async with adapter.transport() as transport:
                client = adapter.client(
                    recording_of(adapter, transport, saved.append), Endpoint(server.url)
                )

                async def read(cancel: Callable[[], object]) -> None:
                    async with client.stream(QUERY) as stream:
                        async for _ in stream:
                            cancel()

                await adapter.cancelled(read)

        with FaultServer(hold) as server:
            adapter.run(main, server)
        assert [
            (b"".join(part.data for part in one.chunks), one.ending.fault) for one in saved
        ] == [(delta("A"), LEFT)]


PLANTED = {
    "key": KEY,
    "bearer": "b3arer-s3cret-0123456789",
    "cookie": "c00kie-s3cret-0123456789",
    "session": "s3ssion-s3cret-0123456789",
    "org": "0rg-s3cret-0123456789",
    "told": 't0ld-"s3cret"-é-0123456789',
}


class TestPlantedSecrets:
    """Every secret, in every place, in every cut: no recorded byte has one."""

    def assert_none(self, *recordings: Recording) -> None:
        for recording in recordings:
            raw = b"\n".join(
                [
                    recording.encode(),
                    b"".join(chunk.data for chunk in recording.chunks),
                    repr(recording).encode(),
                ]
            )
            for name, secret in PLANTED.items():
                for spelled in (
                    secret,
                    json.dumps(secret)[1:-1],
                    json.dumps(json.dumps(secret))[3:-3],
                ):
                    assert spelled.encode() not in raw, name
            for marker in (b"0123456789", PIXEL.data_url.partition(",")[2].encode()):
                assert marker not in raw

    def request(self, server: str = LOCAL.url) -> tuple[Endpoint, QueryRequest]:
        endpoint = Endpoint(
            server,
            api_key=PLANTED["key"],
            headers={
                "Authorization": f"Bearer {PLANTED['bearer']}",
                "Cookie": f"session={PLANTED['cookie']}",
                "X-Org-Id": PLANTED["org"],
            },
        )
        return endpoint, QueryRequest(
            question=f"Is {PLANTED['key']} or {PLANTED['told']} my key?", image=PIXEL
        )

    def body(self) -> bytes:
        said = {
            **PLANTED,
            "org": "",
            "session": "",
            "org_id": PLANTED["org"],
            "inside": json.dumps({"orgId": PLANTED["org"]}),
        }
        records = [
            {"chunk": f"{value} ", "completed": False, "note": said}
            for value in said.values()
            if value != PLANTED["org"]
        ]
        records = [
            {**one, "chunk": one["chunk"] if "orgId" not in str(one["chunk"]) else "x"}
            for one in records
        ]
        return b"".join(
            b"data: " + json.dumps(one, ensure_ascii=bool(at % 2)).encode() + b"\n\n"
            for at, one in enumerate(records)
        )

    def headers(self) -> list[tuple[str, str]]:
        return [
            ("Content-Type", "text/event-stream"),
            ("Set-Cookie", f"session={PLANTED['session']}"),
            ("OpenAI-Organization", PLANTED["org"]),
            ("X-Request-Id", f"for-{PLANTED['key']}"),
            ("Server", f"proxy of {PLANTED['bearer']}"),
            ("Location", f"https://{PLANTED['key']}:x@host.test/v1?key={PLANTED['key']}"),
        ]

    def record(
        self,
        recordings: list[Recording],
        body: bytes,
        fault: BreakAt | None,
        cut: Any,
        headers: Any,
    ) -> None:
        endpoint, request = self.request(f"{LOCAL.url}/{PLANTED['key']}")
        played = Recording(
            RecordingHeader("POST", f"/v1/{PLANTED['key']}/query", (), {}, 200, tuple(headers)),
            (Chunk(0, body),),
            Ending(0),
        )
        replay = ReplayTransport(
            [played],
            speed=None,
            match=Match.SKILL,
            break_at=fault,
            fragmentation=cut,
            seed=len(recordings),
        )
        client = Client(
            RecordingTransport(replay, recordings.append, secrets=[PLANTED["told"]]), endpoint
        )
        try:
            with client.stream(request) as stream:
                list(stream)
        except (MoondreamError, OSError):
            pass

    @pytest.mark.parametrize(
        "cut",
        [
            Fragmentation.WHOLE,
            Fragmentation.EACH_BYTE,
            Fragmentation.AT_RANDOM,
            range(0, 10_000, 5),
        ],
        ids=str,
    )
    def test_in_headers_bodies_and_error_texts(self, cut: Any) -> None:
        recordings: list[Recording] = []
        secrets = " ".join(
            value for name, value in PLANTED.items() if name not in ("org", "session")
        )
        packed = gzip.compress(self.body())
        for error in (
            None,
            ConnectionLost(f"the server said: {secrets}"),
            OSError(f"'{PLANTED['key'][:-1]}…' {secrets}"),
        ):
            for after in (0, 10**6):
                self.record(
                    recordings, self.body(), BreakAt(error, after_bytes=after), cut, self.headers()
                )
                self.record(
                    recordings,
                    packed,
                    BreakAt(error, after_bytes=after),
                    cut,
                    [*self.headers(), ("Content-Encoding", "gzip")],
                )
        self.record(
            recordings,
            self.body(),
            BreakAt(ConnectionLost(f"no connection for {secrets}")),
            cut,
            self.headers(),
        )
        self.assert_none(*recordings)
        assert len(recordings) >= 13

    def test_where_the_body_is_cut_off(self) -> None:
        recordings: list[Recording] = []
        body = self.body()
        at = body.index(PLANTED["key"].encode())
        for after in range(at + 4, at + len(PLANTED["key"])):
            self.record(
                recordings,
                body,
                BreakAt(ConnectionLost("cut"), after_bytes=after),
                Fragmentation.EACH_BYTE,
                self.headers(),
            )
            assert not b"".join(chunk.data for chunk in recordings[-1].chunks).endswith(
                PLANTED["key"][:4].encode()
            )
        self.assert_none(*recordings)

    @pytest.mark.parametrize("adapter", TWO, ids=lambda adapter: adapter.name)
    def test_by_a_server(self, adapter: Adapter, tmp_path: Path) -> None:
        """The same over a real connection, into files."""

        def script(peer: Peer) -> None:
            body = self.body()
            parts = [chunk(body[start : start + 50]) for start in range(0, len(body), 50)]
            peer.answer(head(200, [*CHUNKED, *self.headers()[1:]]), *parts, chunk(END), LAST_CHUNK)

        async def main(server: FaultServer) -> None:
            endpoint, request = self.request(server.url)
            async with adapter.transport() as transport:
                kind = AsyncRecordingTransport if adapter.is_async else RecordingTransport
                recording = kind(transport, RecordingFolder(tmp_path), secrets=[PLANTED["told"]])
                async with adapter.client(recording, endpoint).stream(request) as stream:
                    texts = [event.text async for event in stream if isinstance(event, TextDelta)]
            assert PLANTED["key"] + " " in texts  # the client sees what came

        with FaultServer(script) as server:
            adapter.run(main, server)
        (path,) = tmp_path.iterdir()
        recording = Recording.decode(path.read_bytes())
        self.assert_none(recording)
        assert recording.ending.fault == EOF
        assert (
            b"".join(part.data for part in recording.chunks).count(b"\n\n")
            == self.body().count(b"\n\n") + 1
        )


class TestRecordingFolder:
    def saved(self, path: str = "/v1/query") -> Recording:
        return Recording(RecordingHeader("POST", path), (), Ending(0, "ConnectError", path))

    def test_names(self, tmp_path: Path) -> None:
        folder = RecordingFolder(tmp_path / "new" / "folder")
        names = [
            folder(self.saved(path)).name for path in ("/v1/query", "/v1/caption", "/v1/query")
        ]
        assert names == ["001-query.jsonl", "002-caption.jsonl", "003-query.jsonl"]
        (tmp_path / "new" / "folder" / "notes.jsonl").write_text("")
        assert RecordingFolder(tmp_path / "new" / "folder")(self.saved()).name == "004-query.jsonl"

    @pytest.mark.parametrize(
        "path",
        [
            f"/v1/{name}"
            for name in (
                "..",
                ".",
                "",
                "../../x",
                "a\\..\\b",
                "C:",
                "\0",
                "%2e%2e%2fx",
                "ü💥",
                "q" * 999,
                "-rf",
                "con",
            )
        ],
    )
    def test_names_are_safe(self, tmp_path: Path, path: str) -> None:
        inside = tmp_path / "inside"
        recording = self.saved(path)
        written = RecordingFolder(inside)(recording)
        assert written.parent == inside
        assert re.fullmatch(r"001-[A-Za-z0-9_-]{1,80}\.jsonl", written.name)
        assert list(tmp_path.rglob("*")) == [inside, written]
        assert Recording.decode(written.read_bytes()) == recording

    @pytest.mark.parametrize("links", [True, False])
    def test_a_name_that_is_taken_meanwhile(
        self, tmp_path: Path, links: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """By another program, between the look and the writing; on a file system with links, and on
        one without.
        """
        link = os.link

        def taken(source: Any, target: Any) -> None:
            if str(target).endswith("001-query.jsonl"):
                Path(target).write_text("another's")
            if not links:
                raise PermissionError("no links here")
            link(source, target)

        monkeypatch.setattr(os, "link", taken)
        assert RecordingFolder(tmp_path)(self.saved()).name == "002-query.jsonl"
        assert (tmp_path / "001-query.jsonl").read_text() == "another's"
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "001-query.jsonl",
            "002-query.jsonl",
        ]

    def test_they_are_played_by_their_numbers(self, tmp_path: Path) -> None:
        for name in ("999-query", "1000-query", "notes", "1001-query", "002-query"):
            (tmp_path / f"{name}.jsonl").write_bytes(self.saved().encode())
        names = [path.stem for path in ReplayTransport(tmp_path).unused if isinstance(path, Path)]
        assert names == ["notes", "002-query", "999-query", "1000-query", "1001-query"]
        assert RecordingFolder(tmp_path)(self.saved()).name == "1002-query.jsonl"

    def test_threads(self, tmp_path: Path) -> None:
        folder = RecordingFolder(tmp_path)
        threads = [
            threading.Thread(target=lambda: [folder(self.saved()) for _ in range(10)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            f"{number:03}-query.jsonl" for number in range(1, 41)
        ]

    def test_nothing_is_left_where_writing_fails(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(path: Path, data: bytes) -> int:
            path.touch()
            raise OSError("the disk is full")

        monkeypatch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="disk is full"):
            RecordingFolder(tmp_path)(self.saved())
        assert list(tmp_path.iterdir()) == []

    def test_it_replays(self, tmp_path: Path) -> None:
        def answer(peer: Peer) -> None:
            peer.answer(head(), chunk(delta("A")), chunk(END), LAST_CHUNK)

        with FaultServer(answer) as server:
            client = Client(
                RecordingTransport(UrllibTransport(proxies={}), RecordingFolder(tmp_path)),
                Endpoint(server.url),
            )
            with client.stream(QUERY) as stream:
                live = list(stream)
        with Client(ReplayTransport(tmp_path, speed=None), LOCAL).stream(QUERY) as stream:
            assert list(stream) == live
