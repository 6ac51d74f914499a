"""The recordings that ship with the command line."""

from __future__ import annotations

import runpy
from importlib.resources import files
from pathlib import Path

import pytest

from moondream_transports import Client, ReplayTransport
from sansio_moondream import Endpoint, Usage, encode_image
from sansio_moondream.recording import Match, Recording
from tests.helpers import CHAT, OWN

SHIPPED = files("moondream_tools") / "recordings"
MAKE = runpy.run_path(str(Path(__file__).parents[2] / "tools" / "make_recordings.py"))["make"]


def test_they_are_what_the_script_makes_of_the_captured_responses() -> None:
    made = {f"{skill}.jsonl": recording.encode() for skill, recording in MAKE().items()}
    assert {name: (SHIPPED / name).read_bytes() for name in made} == made
    assert {path.name for path in SHIPPED.iterdir()} == {*made, "README.md", "moon.png"}


@pytest.mark.parametrize("skill", OWN)
def test_they_play(skill: str) -> None:
    recording = Recording.decode((SHIPPED / f"{skill}.jsonl").read_bytes())
    result = Client(ReplayTransport([recording], speed=None, match=Match.SKILL), Endpoint()).stream(
        OWN[skill]
    )
    with result as stream:
        metadata = stream.result().metadata
    assert metadata.finish_reason == "stop"
    assert metadata.deltas_match is (True if skill in ("query", "caption") else None)
    assert 0.3 < sum(chunk.seconds for chunk in recording.chunks) + recording.header.seconds < 6
    asked = recording.header.request_body["image_url"]
    assert asked["bytes"] == len(encode_image((SHIPPED / "moon.png").read_bytes()).data)


def test_the_chat_plays() -> None:
    recording = Recording.decode((SHIPPED / "chat.jsonl").read_bytes())
    client = Client(ReplayTransport([recording], speed=None, match=Match.SKILL), Endpoint())
    result = client.send(CHAT)
    assert result.text.startswith("A gray crescent moon")
    assert (result.metadata.finish_reason, result.metadata.usage) == ("stop", Usage(740, 24))
