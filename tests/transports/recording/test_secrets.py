"""No secret reaches a recording."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from moondream_transports import (
    AsyncRecordingTransport,
    BreakAt,
    Client,
    Fragmentation,
    RecordingFolder,
    RecordingTransport,
    ReplayTransport,
)
from moondream_transports.conformance._fault_server import (
    CHUNKED,
    LAST_CHUNK,
    FaultServer,
    Peer,
    chunk,
    head,
)
from moondream_transports.conformance._secrets import KEY
from sansio_moondream import (
    ConnectionLost,
    Endpoint,
    MoondreamError,
    QueryRequest,
    TextDelta,
)
from sansio_moondream.recording import EOF, Chunk, Ending, Match, Recording, RecordingHeader
from tests.helpers import END, PIXEL
from tests.transports.adapters import SYNC_AND_ASYNC, Adapter
from tests.transports.recording.transports import LOCAL

PLANTED = {
    "key": KEY,
    "bearer": "b3arer-s3cret-0123456789",
    "cookie": "c00kie-s3cret-0123456789",
    "session": "s3ssion-s3cret-0123456789",
    "org": "0rg-s3cret-0123456789",
    "extra": 'extra-"s3cret"-é-0123456789',
}


class TestPlantedSecrets:
    """Every secret, in every place, in every fragmentation: no recorded byte has one."""

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
                for encoded in (
                    secret,
                    json.dumps(secret)[1:-1],
                    json.dumps(json.dumps(secret))[3:-3],
                ):
                    assert encoded.encode() not in raw, name
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
            question=f"Is {PLANTED['key']} or {PLANTED['extra']} my key?", image=PIXEL
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
        fragmentation: Any,
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
            fragmentation=fragmentation,
            seed=len(recordings),
        )
        client = Client(
            RecordingTransport(replay, recordings.append, secrets=[PLANTED["extra"]]), endpoint
        )
        try:
            with client.stream(request) as stream:
                list(stream)
        except (MoondreamError, OSError):
            pass

    @pytest.mark.parametrize(
        "fragmentation",
        [
            Fragmentation.WHOLE,
            Fragmentation.EACH_BYTE,
            Fragmentation.AT_RANDOM,
            range(0, 10_000, 5),
        ],
        ids=str,
    )
    def test_in_headers_bodies_and_error_texts(self, fragmentation: Any) -> None:
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
                    recordings,
                    self.body(),
                    BreakAt(error, after_bytes=after),
                    fragmentation,
                    self.headers(),
                )
                self.record(
                    recordings,
                    packed,
                    BreakAt(error, after_bytes=after),
                    fragmentation,
                    [*self.headers(), ("Content-Encoding", "gzip")],
                )
        self.record(
            recordings,
            self.body(),
            BreakAt(ConnectionLost(f"no connection for {secrets}")),
            fragmentation,
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
                BreakAt(ConnectionLost("reset"), after_bytes=after),
                Fragmentation.EACH_BYTE,
                self.headers(),
            )
            assert not b"".join(chunk.data for chunk in recordings[-1].chunks).endswith(
                PLANTED["key"][:4].encode()
            )
        self.assert_none(*recordings)

    @pytest.mark.parametrize("adapter", SYNC_AND_ASYNC, ids=lambda adapter: adapter.name)
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
                recording = kind(transport, RecordingFolder(tmp_path), secrets=[PLANTED["extra"]])
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
