"""Broken recordings on a real connection, for the clients that the page models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from moondream_tools._inspect._break import Asked
from moondream_tools._inspect._store import Entry
from moondream_transports.conformance._fault_server import (
    LAST_CHUNK,
    FaultServer,
    Peer,
    chunk,
    head,
)
from sansio_moondream.recording import Chunk, Ending, Recording
from tests.tools.inspect.page_server import SHIPPED

SKILLS = ("query", "caption", "segment", "chat", "detect", "point")


def recorded(skill: str) -> Recording:
    return Recording.decode((SHIPPED / f"{skill}.jsonl").read_bytes())


def size_of(recording: Recording) -> int:
    return sum(len(each.data) for each in recording.chunks)


@contextmanager
def answering(recording: Recording, items: int) -> Iterator[FaultServer]:
    """Answer each request with the recording, chunk by chunk.

    A reset waits until the client has so many items, as it discards what is not read yet.
    """
    header = recording.header
    fields = [field for field in header.response_headers if field[0] != "connection"]
    is_chunked = dict(fields).get("transfer-encoding") == "chunked"

    def answer(peer: Peer) -> None:
        peer.read_request()
        with suppress(ConnectionError):  # the client leaves when it raises, or has its answer
            peer.send(head(header.status_code or 200, [*fields, ("connection", "close")]))
            for each in recording.chunks:
                peer.send(chunk(each.data) if is_chunked else each.data)
            if recording.ending.fault == "TimeoutError":
                peer.wait_until_closed()
            elif "reset" in recording.ending.message:
                for _ in range(items):
                    peer.wait_for_event()
                peer.reset()
            elif recording.ending.fault == "eof" and is_chunked:
                peer.send(LAST_CHUNK)

    with FaultServer(answer) as server:
        yield server


def official(skill: str, url: str) -> Iterator[Any]:
    """Yield what the official client does, in the form of the page's loops."""
    client = pytest.importorskip("moondream", reason="needs the official client").vl(endpoint=url)
    picture = pytest.importorskip("PIL.Image").new("RGB", (1, 1))
    if skill == "segment":
        for update in client.segment(picture, "x", stream=True):
            update.pop("completed", None)
            yield update.get("chunk", update)
    elif skill == "chat":
        yield from client.chat([{"role": "user", "content": "?"}], stream=True)["message"]
    elif skill == "caption":
        yield from client.caption(picture, stream=True)["caption"]
    elif skill == "query":
        yield from client.query(question="?", stream=True)["answer"]
    else:
        found = getattr(client, skill)(picture, "x")
        yield found["objects" if skill == "detect" else "points"]


def entry(recording: Recording) -> Entry:
    return Entry("some.jsonl", recording)


def fault(kind: str, at: int, **more: int) -> dict[str, Any]:
    return {"faults": [{"kind": kind, "at": at, **more}]}


def answer(*chunks: bytes, ending: str = "eof", skill: str = "query") -> Recording:
    """Return a recording with other chunks."""
    return replace(
        recorded(skill), chunks=tuple(Chunk(0.5, data) for data in chunks), ending=Ending(0, ending)
    )


def parsed(asked: dict[str, Any]) -> Asked:
    return msgspec.convert(asked, Asked)
