"""What `moondream-stream record` forwards and records."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

import pytest

from moondream_transports import AnyioTransport, AsyncClient, Client, ReplayTransport, Timeouts
from moondream_transports.conformance._fault_server import LAST_CHUNK, Peer, chunk, head
from moondream_transports.conformance._faults import WHOLE_BODY, WORDS, sized
from sansio_moondream import Endpoint, QueryRequest, Request, TextDelta
from sansio_moondream.recording import Match
from tests.helpers import END, LOCAL, OWN, QUERY, delta
from tests.tools.programs import Program
from tests.tools.proxies import (
    KEY,
    SCRIPT,
    Recorded,
    Scripted,
    asked,
    client,
    http_request,
    post,
    raw,
)


class TestPassingOn:
    @pytest.mark.parametrize("request_", OWN.values(), ids=list(OWN))
    @pytest.mark.parametrize("dialect", ["engine", "cloud", "station"])
    def test_every_skill_streamed_and_whole(
        self, upstream: Program, proxy: Recorded, request_: Request[Any], dialect: str
    ) -> None:
        headers = {"X_Moondream_Dialect": dialect}
        events, result = asked(proxy.program, request_, **headers)
        assert (events, result) == asked(upstream, request_, **headers)
        assert client(proxy.program, **headers).send(request_) == client(upstream, **headers).send(
            request_
        )
        streamed, whole = proxy.new(2)
        for recording in (streamed, whole):
            assert recording.ending.fault == "eof"
            header = recording.header
            assert header.connected is not None and header.connected <= header.seconds
            assert header.timeouts is None  # those of the client are not known
            assert KEY not in recording.encode().decode()
        with Client(ReplayTransport([streamed], None, match=Match.SKILL), LOCAL).stream(
            request_
        ) as stream:
            assert list(stream)[:-1] == events[:-1]
        image = streamed.header.request_body.get("image_url")
        if "image" in request_.__struct_fields__ and (picture := request_.image):  # type: ignore[attr-defined]
            assert image["sha256"] == hashlib.sha256(picture.data).hexdigest()

    def test_the_very_bytes(self, upstream: Program, proxy: Recorded) -> None:
        for headers in (
            [],
            ["X-Moondream-Fragmentation: 50"],
            ["X-Moondream-Fault: gzip"],
            ["X-Moondream-Fault: 401"],
        ):
            through, direct = raw(proxy.program, post(*headers)), raw(upstream, post(*headers))
            assert sorted(through.partition(b"\r\n\r\n")[0].lower().split(b"\r\n")) == sorted(
                direct.partition(b"\r\n\r\n")[0].lower().split(b"\r\n")
            )
            if b"chunked" in direct:
                through, direct = (
                    _unchunked(data.partition(b"\r\n\r\n")[2]) for data in (through, direct)
                )
                assert through == direct

    def test_each_chunk_at_once(self, scripted: Scripted) -> None:
        """The server sends a chunk only after the client has received the one before."""

        def script(peer: Peer) -> None:
            peer.read_request()
            peer.send(head())
            for word in WORDS:
                peer.send(chunk(delta(word)))
                peer.wait_for_event()
            peer.send(chunk(END) + LAST_CHUNK)

        SCRIPT.append(script)
        with client(scripted.program).stream(QUERY) as stream:
            for word in WORDS:
                assert next(stream) == TextDelta(word)
                scripted.server.saw_event()
            assert stream.result().text == "".join(WORDS)
        (recording,) = scripted.recorded.new()
        assert [part.data for part in recording.chunks] == [*map(delta, WORDS), END]

    def test_what_reaches_the_server(self, scripted: Scripted) -> None:
        seen: list[tuple[bytes, bytes]] = []

        def script(peer: Peer) -> None:
            seen.append(peer.read_request())
            peer.send(
                sized(
                    b"{}",
                    kind="application/json",
                    Connection="X-Hop, close",
                    X_Hop="1",
                    X_End="2",
                    Keep_Alive="timeout=5",
                )
            )

        SCRIPT.append(script)
        path = f"/v1/other/path?key={KEY}&x=%20"
        headers = {
            "Accept_Encoding": "gzip;q=1, br, deflate, zstd",
            "X_Moondream_Auth": KEY,
            "TE": "trailers",
            "Cookie": "session=12345678",
        }
        status, fields, body = http_request(scripted.program, "PUT", path, '{"a": 1}', **headers)
        assert (status, body) == (200, b"{}")
        assert {name.lower() for name, _ in fields} == {"content-type", "content-length", "x-end"}
        request_head, request_body = seen[0]
        lines = request_head.decode().split("\r\n")
        assert lines[0] == f"PUT {path} HTTP/1.1"
        assert request_body == b'{"a": 1}'
        assert f"Host: localhost:{scripted.server.port}" in lines
        assert "accept-encoding: gzip;q=1, deflate" in (line.lower() for line in lines)
        assert f"x-moondream-auth: {KEY}" in (line.lower() for line in lines)
        assert not any(line.lower().startswith("te:") for line in lines)
        (recording,) = scripted.recorded.new()
        assert (recording.header.method, recording.header.path, recording.header.request_body) == (
            "PUT",
            "/v1/other/path",
            {"a": 1},
        )
        written = recording.encode().decode()
        assert not any(secret in written for secret in (KEY, "12345678"))
        scripted.program.wait_for_line("PUT /v1/other/path 200", "-path.jsonl")
        assert KEY not in "".join(scripted.program.lines)

    def test_only_codings_that_cannot_be_recorded(self, scripted: Scripted) -> None:
        seen: list[bytes] = []

        def script(peer: Peer) -> None:
            seen.append(peer.read_request()[0])
            peer.send(sized(b"{}", kind="application/json"))

        SCRIPT.append(script)
        assert (
            http_request(scripted.program, "POST", "/v1/query", "{}", Accept_Encoding="br")[0]
            == 200
        )
        assert b"accept-encoding: identity" in seen[0].lower()

    @pytest.mark.parametrize(
        ("method", "body"), [("GET", None), ("POST", b"question=What"), ("HEAD", None)]
    )
    def test_what_is_not_json_passes_unrecorded(
        self, scripted: Scripted, method: str, body: bytes | None
    ) -> None:
        SCRIPT.append(
            lambda peer: peer.answer(
                head(200, [("Content-Length", "2")]) + (b"" if method == "HEAD" else b"ok")
            )
        )
        so_far = len(scripted.program.lines)
        status, _, answer = http_request(scripted.program, method, "/v1/models", body)
        assert (status, answer) == (200, b"" if method == "HEAD" else b"ok")
        scripted.program.wait_for_line(
            f"{method} /v1/models 200",
            "the body of the request is not JSON" if body else "the request has no body",
            after=so_far,
        )

    def test_no_tunnels_and_no_other_server(self, scripted: Scripted) -> None:
        tunnel = b"CONNECT example.org:443 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        assert raw(scripted.program, tunnel).startswith(b"HTTP/1.1 501 ")
        seen: list[bytes] = []

        def script(peer: Peer) -> None:
            seen.append(peer.read_request()[0])
            peer.send(sized(b"{}", kind="application/json"))

        SCRIPT.append(script)
        absolute = (
            post()
            .replace(b"POST /v1", b"POST http://example.org/v1")
            .replace(b"Host: localhost", b"Host: localhost:7")
        )
        assert raw(scripted.program, absolute).startswith(b"HTTP/1.1 200 ")
        assert seen[0].startswith(b"POST /v1/query HTTP/1.1\r\n")
        assert f"Host: localhost:{scripted.server.port}".encode() in seen[0]

    @pytest.mark.slow
    def test_a_request_of_30_mb(self, scripted: Scripted) -> None:
        received: list[bytes] = []

        def script(peer: Peer) -> None:
            received.append(peer.read_request()[1])
            peer.send(sized(WHOLE_BODY))

        SCRIPT.append(script)
        body = json.dumps(
            {"question": "?", "image_url": "data:image/png;base64," + "A" * 30_000_000}
        )
        assert (
            http_request(scripted.program, "POST", "/v1/query", body, Expect="100-continue")[2]
            == WHOLE_BODY
        )
        assert hashlib.sha256(received[0]).digest() == hashlib.sha256(body.encode()).digest()
        (recording,) = scripted.recorded.new()
        assert recording.header.request_body["image_url"]["bytes"] == 22_500_000
        assert len(recording.encode()) < 2000

    @pytest.mark.slow
    def test_200_at_once(self, upstream: Program, proxy: Recorded) -> None:
        """All exchanges are open before the first may end."""
        count = 200
        texts: list[str] = []

        async def main() -> None:
            everybody_has_begun, waiting = asyncio.Event(), 0

            async def ask(asker: AsyncClient, number: int) -> None:
                nonlocal waiting
                request = QueryRequest(question=f"What? {number}")
                async with asker.stream(request) as stream:
                    await anext(stream)
                    waiting += 1
                    if waiting == count:
                        everybody_has_begun.set()
                    await everybody_has_begun.wait()
                    texts.append((await stream.result()).text)

            async with AnyioTransport() as transport, asyncio.TaskGroup() as tasks:
                asker = AsyncClient(
                    transport, Endpoint(proxy.program.url), timeouts=Timeouts(60, 60, 60, 60)
                )
                for number in range(count):
                    tasks.create_task(ask(asker, number))

        asyncio.run(main())
        recordings = proxy.new(count)
        assert len(texts) == count and len(set(texts)) == 1
        assert len({recording.header.request_body["question"] for recording in recordings}) == count
        bodies = {b"".join(chunk.data for chunk in recording.chunks) for recording in recordings}
        assert len(bodies) == 1
        assert {recording.ending.fault for recording in recordings} == {"eof"}


def _unchunked(data: bytes) -> bytes:
    """Return a chunked body without its framing."""
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        body, data = body + data[: int(size, 16)], data[int(size, 16) + 2 :]
    return body
