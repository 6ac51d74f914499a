"""An exchange as HAR."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

import msgspec
import pytest
from msgspec import Struct, field
from msgspec.structs import replace

from moondream_tools._inspect._take_away import take_away
from sansio_moondream.recording import Chunk, Ending, Recording
from tests.helpers import REQUESTS
from tests.tools.serving import RECORDED


class Header(Struct, forbid_unknown_fields=True):
    name: str
    value: str
    comment: str = ""


class PostData(Struct, forbid_unknown_fields=True):
    mime_type: str = field(name="mimeType")
    text: str
    comment: str = ""


class HARRequest(Struct, forbid_unknown_fields=True):
    method: str
    url: str
    http_version: str = field(name="httpVersion")
    cookies: list[Any]
    headers: list[Header]
    query: list[Any] = field(name="queryString")
    headers_size: int = field(name="headersSize")
    body_size: int = field(name="bodySize")
    post_data: PostData | None = field(name="postData", default=None)


class Content(Struct, forbid_unknown_fields=True):
    size: int
    mime_type: str = field(name="mimeType")
    text: str
    compression: int = 0
    encoding: str = ""


class HARResponse(Struct, forbid_unknown_fields=True):
    status: int
    status_text: str = field(name="statusText")
    http_version: str = field(name="httpVersion")
    cookies: list[Any]
    headers: list[Header]
    content: Content
    redirect_url: str = field(name="redirectURL")
    headers_size: int = field(name="headersSize")
    body_size: int = field(name="bodySize")
    own_error: str = field(name="_error", default="")


class Timings(Struct, forbid_unknown_fields=True):
    blocked: float
    dns: float
    connect: float
    ssl: float
    send: float
    wait: float
    receive: float


class HAREntry(Struct, forbid_unknown_fields=True):
    started: str = field(name="startedDateTime")
    time: float
    request: HARRequest
    response: HARResponse
    cache: dict[str, Any]
    timings: Timings
    comment: str
    own_chunks: list[dict[str, float]] = field(name="_chunks")
    own_ending: dict[str, str] = field(name="_ending")


class Creator(Struct, forbid_unknown_fields=True):
    name: str
    version: str


class Log(Struct, forbid_unknown_fields=True):
    version: str
    creator: Creator
    entries: list[HAREntry]


class HAR(Struct, forbid_unknown_fields=True):
    """What the HAR 1.2 specification lists, and additions with a name that begins with "_"."""

    log: Log


def har_of(recording: Recording) -> HAREntry:
    log = msgspec.json.decode(take_away(recording)["har"], type=HAR).log
    assert log.version == "1.2" and len(log.entries) == 1
    entry = log.entries[0]
    times = entry.timings
    parts = (times.blocked, times.dns, times.connect, times.send, times.wait, times.receive)
    assert entry.time == pytest.approx(sum(max(part, 0) for part in parts), abs=0.01)
    return entry


class TestHAR:
    @pytest.mark.parametrize("skill", REQUESTS)
    def test_of_each_skill(self, skill: str):
        recording = RECORDED[skill]
        entry = har_of(recording)
        assert entry.request.url == f"http://not-recorded.invalid{recording.header.path}"
        assert entry.request.post_data is not None
        assert json.loads(entry.request.post_data.text) == recording.header.request_body
        body = b"".join(chunk.data for chunk in recording.chunks)
        assert entry.response.content.text == body.decode()
        assert entry.response.content.size == entry.response.body_size == len(body)
        assert (entry.response.status, entry.response.status_text) == (200, "OK")
        assert [chunk["size"] for chunk in entry.own_chunks] == [
            len(chunk.data) for chunk in recording.chunks
        ]
        assert entry.own_chunks[-1]["time"] <= entry.time
        assert entry.started.startswith("2026-11-29T07:59:59.")  # `Date` less the time until then
        assert entry.timings.connect == (recording.header.connected or 0) * 1000 > 0
        head = entry.timings.connect + entry.timings.wait
        assert head == pytest.approx(recording.header.seconds * 1000)

    def test_what_is_not_there(self):
        header = replace(
            RECORDED["query"].header, status_code=None, response_headers=(), connected=None
        )
        entry = har_of(Recording(header, (), Ending(1.5, "ConnectError", "no server")))
        assert (entry.response.status, entry.response.own_error) == (0, "ConnectError: no server")
        assert entry.timings.connect == -1
        assert entry.time == entry.timings.wait == 1500 + header.seconds * 1000
        assert entry.started == "1970-01-01T00:00:00.000+00:00"
        assert "The time of day is not recorded" in entry.comment

    def test_a_connection_that_a_recording_has_after_its_head(self):
        header = replace(RECORDED["query"].header, connected=5.0)
        times = har_of(Recording(header, (), Ending(0.0))).timings
        assert (times.connect, times.wait) == (header.seconds * 1000, 0)

    def test_bytes_that_are_no_text(self):
        chunks = (Chunk(0.5, b"data: \xff"), Chunk(0.25, b"\xfe\n\n"))
        header = replace(RECORDED["query"].header, request_body=None)
        entry = har_of(Recording(header, chunks, Ending(0.0)))
        assert entry.response.content.encoding == "base64"
        assert b64decode(entry.response.content.text) == b"data: \xff\xfe\n\n"
        assert entry.request.post_data is None
