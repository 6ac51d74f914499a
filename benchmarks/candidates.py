"""What is measured: the floor, this library, and the Python peers, each as one function from (work,
chunks) to nothing.

Every candidate takes every event, decodes its JSON, and asserts what came out: the number of events
and the whole text. The peers' packages are optional; `load` says which are missing."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any, TypeAlias

import msgspec
from works import Work

Run: TypeAlias = Callable[[Work, list[bytes]], None]  # AssertionError if what came out is wrong

FLOOR = "floor"
OURS = "sansio-moondream"


class _Message(msgspec.Struct, frozen=True):
    chunk: str = ""
    completed: bool = False
    token_index: int | None = None


def floor() -> Run:
    """The JSON decoding alone, on payloads already cut out; the text is not even put together."""
    decode = msgspec.json.Decoder(_Message).decode

    def run(work: Work, _: list[bytes]) -> None:
        count = 0
        message = _Message()
        for payload in work.payloads:
            message = decode(payload)
            count += 1
        assert count == len(work.payloads)
        assert message.completed

    return run


def sansio_moondream() -> Run:
    package = import_module("sansio_moondream")
    png = base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
    )
    requests = {
        "query": package.QueryRequest(question="?"),
        "segment": package.SegmentRequest(image=package.encode_image(png), object="moon"),
        "chat": package.ChatRequest(messages=[package.ChatMessage("user", "?")]),
    }

    def run(work: Work, chunks: list[bytes]) -> None:
        stream = package.ResponseStream(requests[work.skill])
        stream.receive_response(200, {"content-type": "text/event-stream"})
        count = 0
        for chunk in chunks:
            stream.receive_data(chunk)
            for _ in stream.events():
                count += 1
        stream.receive_eof()
        for _ in stream.events():
            count += 1
        result = stream.result()
        assert count == work.events
        if work.skill == "segment":
            assert result.path == work.whole
            assert result.bbox is not None
        else:
            assert result.text == work.text
            assert result.metadata.deltas_match is (None if work.whole is None else True)

    return run


def moondream() -> Run:
    """The loops of the official client, fed by the fastest line iterators of the standard library
    instead of a connection.
    """
    cloud_vl: Any = import_module("moondream.cloud_vl")

    def urlopen(body: io.BufferedIOBase) -> io.BufferedIOBase:
        return body

    cloud_vl.urllib = SimpleNamespace(
        request=SimpleNamespace(urlopen=urlopen)
    )  # in its namespace only
    client = cloud_vl.CloudVL()

    def run(work: Work, chunks: list[bytes]) -> None:
        body = io.BytesIO(chunks[0]) if len(chunks) == 1 else io.BufferedReader(_Chunks(chunks))
        if work.skill == "query":  # the loop gives nothing but the text
            http_chunks: list[str] = []
            count = 0
            for http_chunk in client._stream_response(body):
                count += 1
                http_chunks.append(http_chunk)
            assert count == len(work.payloads)
            assert "".join(http_chunks) == work.text
        else:
            _check(client._stream_segment_response(body), work)

    return run


def httpx_sse() -> Run:
    return _httpx(
        "httpx", lambda response: import_module("httpx_sse").EventSource(response).iter_sse()
    )


def httpx2() -> Run:
    return _httpx(
        "httpx2",
        lambda response: import_module("httpx2").EventSource(response, max_event_size=None),
    )


def openai() -> Run:
    return _sse_decoder("openai._streaming")


def anthropic() -> Run:
    return _sse_decoder("anthropic._streaming")


def _httpx(package: str, events_of: Callable[[Any], Iterable[Any]]) -> Run:
    library: Any = import_module(package)
    request = library.Request("POST", "http://localhost/v1/query")
    events_of(library.Response(200))  # a missing package shows here

    def run(work: Work, chunks: list[bytes]) -> None:
        headers = {"content-type": "text/event-stream"}
        response = library.Response(200, headers=headers, content=iter(chunks), request=request)
        _check((json.loads(event.data) for event in events_of(response)), work)

    return run


def _sse_decoder(module: str) -> Run:
    decoder: Any = import_module(module).SSEDecoder

    def run(work: Work, chunks: list[bytes]) -> None:
        _check((json.loads(event.data) for event in decoder().iter_bytes(iter(chunks))), work)

    return run


class _Chunks(io.RawIOBase):
    """Gives the chunks, one a read, as a socket would."""

    def __init__(self, chunks: list[bytes]) -> None:
        self._chunks: Iterator[bytes] = iter(chunks)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self._rest or next(self._chunks, b"")
        size = len(chunk)
        if size > len(buffer):
            size = len(buffer)
            self._rest = chunk[size:]
        elif self._rest:
            self._rest = b""
        buffer[:size] = chunk[:size]
        return size


def _check(messages: Iterable[dict[str, Any]], work: Work) -> None:
    """What a user of a peer writes: take every message, gather the text, and see that it is whole."""
    chunks: list[str] = []
    count = 0
    message: dict[str, Any] = {}
    for message in messages:
        count += 1
        chunk = message.get("chunk")
        if chunk:
            chunks.append(chunk)
    assert count == len(work.payloads)
    assert "".join(chunks) == work.text
    assert message["completed"]
    assert message.get(work.whole_field) == work.whole


# Each candidate: its distribution, and what makes its function.
PEERS: dict[str, Callable[[], Run]] = {
    "moondream": moondream,
    "httpx-sse": httpx_sse,
    "httpx2": httpx2,
    "openai": openai,
    "anthropic": anthropic,
}
ALL: dict[str, Callable[[], Run]] = {FLOOR: floor, OURS: sansio_moondream, **PEERS}


def load(names: Iterable[str]) -> tuple[dict[str, Run], dict[str, str]]:
    """The functions of those that are installed, and of every one its version or why it is missing."""
    runs: dict[str, Run] = {}
    notes: dict[str, str] = {}
    for name in names:
        try:
            runs[name] = ALL[name]()
            notes[name] = version("msgspec" if name == FLOOR else name)
        except ImportError as error:
            notes.setdefault(
                name, f"without a version ({error})" if name in runs else f"missing ({error})"
            )
    return runs, notes
