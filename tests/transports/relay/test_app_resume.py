"""Connections to a RelayApp that break anywhere: nothing is lost, and nothing comes twice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_moondream import ServerError
from sansio_moondream.relay import EventsEncoder
from tests.helpers import END, delta
from tests.transports.fakes import Step

from .apps import Server
from .asgi import EventSource
from .exchanges import run

TEXTS = ["A", " crescent", "\n\n", "id: 9", " 🌙", "", '"data: x"']
ANSWERS: dict[str, tuple[Step, ...]] = {
    "complete": (*map(delta, TEXTS), END, b""),
    "in one chunk": (b"".join(map(delta, TEXTS)) + END, b""),
    "failed": (*map(delta, TEXTS), ServerError("overloaded", status_code=503)),
    "cut": (*map(delta, TEXTS), b""),
}


async def read(source: EventSource, cuts: list[int]) -> None:
    """Connect until the server wants no more. Each connection breaks after so many bytes."""
    while source.status_code in (0, 200):
        await source.connect(cuts.pop() if cuts else None)


@pytest.mark.slow
@given(
    st.sampled_from(sorted(ANSWERS)),
    st.lists(st.integers(0, 60) | st.integers(0, 1500), max_size=4),
    st.booleans(),
)
def test_any_cuts(name: str, cuts: list[int], later: bool):
    async def main() -> None:
        async with Server(*ANSWERS[name]) as server:
            url = await server.post()
            whole = EventSource(server.app, url)
            if later:
                await read(whole, [])
            source = EventSource(server.app, url)
            await read(source, cuts)
            await read(whole, [])
            assert source.data == whole.data
            assert len(source.data) == int(source.last_id) == len(TEXTS)  # "" gives no event
            assert source.status_code == 204

    run("asyncio", main)


def test_each_cut():
    """Of one connection, around each end of a line; the next one is whole."""

    async def main() -> None:
        async with Server(delta("A"), delta("\n"), END, b"") as server:
            url = await server.post()
            whole = EventSource(server.app, url)
            body = (await whole.connect()).body
            ends = [at for at, byte in enumerate(body) if byte == ord("\n")]
            for at in sorted({end + offset for end in ends for offset in range(-1, 3)}):
                source = EventSource(server.app, url)
                assert len((await source.connect(at)).body) == min(at, len(body))
                await read(source, [])
                assert source.data == whole.data

    run("asyncio", main)


def test_an_error_of_one_reader_is_not_the_end():
    """It has no id, so the reader comes again with the one before, and gets the rest."""
    encoder = EventsEncoder()
    source = EventSource(lambda *_: None, "/")  # type: ignore[arg-type]
    source.feed(b"id: 7\ndata: {}\n\n" + encoder.encode_interruption(ServerError("slow")))
    assert (source.last_id, len(source.data)) == ("7", 2)
