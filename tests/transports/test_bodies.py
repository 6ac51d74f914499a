"""Bodies and connections on every transport: what is out when, what is doubtful, and what is used again."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from sansio_moondream import (
    APIError,
    BBox,
    Completed,
    ConnectionLost,
    Endpoint,
    PathChunk,
    QueryResult,
    RemoteProtocolError,
)
from tests.helpers import END, QUERY, SEGMENT, record

from .drivers import KEY, Driver, each_driver, exchange
from .fault_server import CHUNKED, EVENT_STREAM, LAST_CHUNK, FaultServer, Peer, Script, chunk, head
from .faults import DELTAS, EVENTS, F1, WHOLE_BODY, WORDS, answers, sized, wait

TEXT = "".join(WORDS)


def outcome_of(driver: Driver, script: Script, request: Any = QUERY) -> tuple[list[Any], Any]:
    """One exchange with a server that does this."""

    async def main() -> tuple[list[Any], Any]:
        async with driver.transport() as transport:
            return await exchange(driver, transport, server, request)

    with FaultServer(script) as server:
        return driver.run(main)


@each_driver
def test_each_event_is_out_before_the_next_byte_is_sent(driver: Driver) -> None:
    box = record({"type": "bbox", "bbox": {"x_min": 0, "y_min": 0, "x_max": 1, "y_max": 1}})
    path = [record({"type": "path_delta", "chunk": data, "completed": False}) for data in ("M 0 0", " L 1 1")]

    def segment(peer: Peer) -> None:
        peer.answer(head())
        for message in (box, *path):
            peer.send(chunk(message)[:-2])  # not even the line end that closes the chunk
            peer.wait_for_event()
            peer.send(b"\r\n")
        peer.send(chunk(record({"type": "final", "completed": True, "path": "M0,0z"})) + LAST_CHUNK)

    events, outcome = outcome_of(driver, segment, SEGMENT)
    assert [type(event) for event in events] == [BBox, PathChunk, PathChunk, Completed]
    assert outcome.path == "M0,0z"

    def query(peer: Peer) -> None:
        peer.answer(head(headers=EVENT_STREAM))
        for message in DELTAS:
            peer.send(message)
            peer.wait_for_event()
        peer.send(END)
        peer.wait_for_event()
        peer.wait_until_closed()

    events, outcome = outcome_of(driver, query)
    assert events == [*EVENTS, Completed(outcome)]


def _fields(count: int) -> bytes:
    return head(headers=[*EVENT_STREAM, *((f"X-{number}", "1") for number in range(count - 1))])


_TWO_LENGTHS = [*EVENT_STREAM, ("Content-Length", str(len(WHOLE_BODY))), ("Content-Length", "7")]
_BOTH = [*CHUNKED, ("Content-Length", "7")]
_REFUSED: dict[str, tuple[bytes, ...]] = {
    "length and chunked": (head(headers=_BOTH), chunk(WHOLE_BODY), LAST_CHUNK),
    "two lengths": (head(headers=_TWO_LENGTHS), WHOLE_BODY),
    "two lengths, short first": (head(headers=_TWO_LENGTHS[::-1]), WHOLE_BODY),
    "space before colon": (sized(WHOLE_BODY).replace(b"Content-Length:", b"Content-Length :"),),
    "no colon": (sized(WHOLE_BODY).replace(b"Content-Length:", b"Content-Length"),),
}
_TAKEN: dict[str, tuple[bytes, ...]] = {
    "LF": (sized(WHOLE_BODY).replace(b"\r\n", b"\n"),),
    "the same length twice": (head(headers=[*EVENT_STREAM, *[("Content-Length", str(len(WHOLE_BODY)))] * 2]), WHOLE_BODY),
    "99 fields": (_fields(99), WHOLE_BODY),
}
_OTHERWISE: dict[tuple[str, str], type[Any]] = {("the same length twice", "aiohttp"): RemoteProtocolError}


@each_driver
@pytest.mark.parametrize("doubt", [*_REFUSED, *_TAKEN])
def test_doubtful_heads(doubt: str, driver: Driver) -> None:
    """Rows 31 and 34: what could smuggle a second response is refused; line ends alone do no harm."""
    segments, expected = (_REFUSED[doubt], RemoteProtocolError) if doubt in _REFUSED else (_TAKEN[doubt], QueryResult)
    _, outcome = outcome_of(driver, answers(*segments))
    assert type(outcome) is _OTHERWISE.get((doubt, driver.name), expected), outcome


@each_driver
@pytest.mark.parametrize(
    "broken", [b"zz\r\n" + DELTAS[0], b"-5\r\n" + END, b"\r\n" + END, b"5" * 200_000], ids=["zz", "-5", "blank", "long"]
)
def test_broken_chunk_framing(broken: bytes, driver: Driver) -> None:
    """Never a stall, and never whole."""
    events, error = outcome_of(driver, answers(*F1, broken, then=wait))
    assert events == EVENTS
    assert type(error) in (ConnectionLost, RemoteProtocolError)
    assert isinstance(error.partial, QueryResult)
    assert error.partial.text == TEXT


@each_driver
@pytest.mark.parametrize("status_code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("where", ["same", "other"])
def test_redirects_are_not_followed(driver: Driver, status_code: int, where: str) -> None:
    seen: list[bytes] = []

    def elsewhere(peer: Peer) -> None:
        seen.append(peer.read_request()[0])
        peer.send(sized(WHOLE_BODY))

    with FaultServer(elsewhere) as other:
        target = "/v1/moved" if where == "same" else f"{other.url}/moved"
        _, error = outcome_of(driver, answers(sized(b"", status_code=status_code, Location=target)))
    assert type(error) is APIError
    assert error.status_code == status_code
    assert target in str(error)
    assert KEY not in str(error)
    assert seen == []


def _many(peer: Peer, count: int = 50) -> None:
    for _ in range(count):
        peer.answer(*F1, chunk(END))
        peer.send(LAST_CHUNK)  # in a segment of its own, as servers do


@each_driver
def test_fifty_exchanges(driver: Driver) -> None:
    """Row 33: one connection, where the library keeps any."""

    async def main() -> None:
        async with driver.transport() as transport:
            client = driver.client(transport, Endpoint(url=server.url))
            for turn in range(50):
                if turn % 2:
                    assert (await client.send(QUERY)).text == TEXT
                    continue
                async with client.stream(QUERY) as stream:
                    events = [event async for event in stream]
                    assert events[:-1] == EVENTS

    with FaultServer(_many if driver.pools else answers(*F1, chunk(END), LAST_CHUNK)) as server:
        driver.run(main)
    assert server.connections == (1 if driver.pools else 50)


@each_driver
def test_the_server_closed_a_kept_connection_in_between(driver: Driver) -> None:
    closed = threading.Event()

    def script(peer: Peer) -> None:
        peer.answer(*F1, chunk(END), LAST_CHUNK)
        peer.sock.close()
        closed.set()

    async def main() -> None:
        async with driver.transport() as transport:
            client = driver.client(transport, Endpoint(url=server.url))
            for _ in range(3):
                assert (await client.send(QUERY)).text == TEXT
                assert closed.wait(2)
                closed.clear()
                await driver.sleep(0.02)  # for the news to arrive

    with FaultServer(script) as server:
        driver.run(main)
    assert server.connections == 3


@each_driver
def test_a_kept_connection_that_dies_under_the_request(driver: Driver) -> None:
    """It is ConnectionLost, or the HTTP library asked once more; the request is not answered twice."""

    def script(peer: Peer) -> None:
        if server.connections == 1:
            peer.answer(*F1, chunk(END), LAST_CHUNK)
            peer.read_request()  # and close without an answer
        else:
            peer.answer(*F1, chunk(END), LAST_CHUNK)

    async def main() -> None:
        async with driver.transport() as transport:
            client = driver.client(transport, Endpoint(url=server.url))
            assert (await client.send(QUERY)).text == TEXT
            try:
                assert (await client.send(QUERY)).text == TEXT
            except ConnectionLost:
                assert driver.pools
            else:
                assert server.connections == 2

    if driver.pools:
        with FaultServer(script) as server:
            driver.run(main)
