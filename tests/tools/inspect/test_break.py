"""Recordings that are broken on purpose: what our decoder makes of them."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from msgspec.structs import replace

from moondream_tools._inspect._answers import Refused
from moondream_tools._inspect._break import MAX_CHUNKS, break_recording, broken
from moondream_tools._inspect._plain import LOOPS
from moondream_tools.trace import Trace
from sansio_moondream.recording import Ending, RecordedTimeouts, Recording
from sansio_moondream.testing import at_offsets
from tests.helpers import END, delta
from tests.tools.inspect.broken_answers import (
    SKILLS,
    answer,
    entry,
    fault,
    parsed,
    recorded,
    size_of,
)
from tests.tools.inspect.page_server import SHIPPED, Served

LINES = 1  # in LOOPS


class TestTheBrokenTrace:
    @pytest.mark.parametrize("skill", SKILLS)
    @pytest.mark.parametrize("fragmentation", [None, [], 1, 100, [3, 50, 51]])
    def test_other_chunks_have_the_same_events(self, skill: str, fragmentation: Any) -> None:
        before = Trace.of(recorded(skill))
        after = broken(entry(recorded(skill)), {"fragmentation": fragmentation})["trace"]
        assert [event["value"] for event in after["events"]] == [
            event.value for event in before.events
        ]
        cuts = {
            None: [chunk.end for chunk in before.chunks],
            1: range(len(before.body)),
            100: range(0, len(before.body), 100),
        }
        listed = isinstance(fragmentation, list)
        expected = at_offsets(before.body, fragmentation if listed else cuts[fragmentation])
        assert [chunk["end"] - chunk["start"] for chunk in after["chunks"]] == [
            len(chunk) for chunk in expected
        ]

    def test_a_chunk_comes_when_its_last_byte_did_and_the_parts_of_one_at_once(self) -> None:
        recording = answer(b"ab", b"cdef", b"g")
        cut = break_recording(recording, parsed({"fragmentation": 3}))
        assert [(chunk.seconds, chunk.data) for chunk in cut.chunks] == [
            (1.0, b"abc"), (0.0, b"def"), (0.5, b"g"),
        ]  # fmt: skip
        assert cut.ending == recording.ending
        parts = break_recording(recording, parsed({"fragmentation": [3, 4]}))
        assert [(chunk.seconds, chunk.data) for chunk in parts.chunks] == [
            (1.0, b"abc"), (0.0, b"d"), (0.5, b"efg"),
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("kind", "error", "seconds"),
        [("close", "connection_lost", 0.0), ("reset", "connection_lost", 0.0),
         ("silence", "idle_timeout", 30.0)],
    )  # fmt: skip
    def test_a_fault_after_the_first_event(self, kind: str, error: str, seconds: float) -> None:
        trace = broken(entry(recorded("query")), fault(kind, 100))["trace"]
        assert trace["error"]["kind"] == error
        assert trace["error"]["partial"]["text"] == trace["result"]["text"] == "The image shows"
        assert [chunk["end"] for chunk in trace["chunks"]] == [74, 100]
        last = trace["chunks"][-1]["at"]
        assert trace["ending"]["at"] == pytest.approx(last + seconds)

    def test_a_silence_before_the_first_event_has_another_deadline(self) -> None:
        for at in (0, 20):
            trace = broken(entry(recorded("query")), fault("silence", at))["trace"]
            assert trace["error"]["kind"] == "first_event_timeout"
            # The deadline begins with the connection.
            assert trace["ending"]["at"] == trace["times"]["connected"] + 60.0 > 60

    def test_a_silence_lasts_as_long_as_the_recorded_client_waits(self) -> None:
        recording = recorded("query")
        connected = recording.header.connected or 0
        for first_event, idle, total, at, expected, words in (
            (5.0, 2.0, None, 0, (connected + 5.0, "first_event_timeout"), "of the first event"),
            (5.0, 2.0, None, 74, (0.695 + 2.0, "idle_timeout"), "before the idle deadline"),
            (5.0, None, 9.0, 74, (9.0, "total_timeout"), "before the total deadline"),
        ):
            timeouts = RecordedTimeouts(1.0, first_event, idle, total)
            known = replace(recording, header=replace(recording.header, timeouts=timeouts))
            trace = broken(entry(known), fault("silence", at))["trace"]
            assert (trace["ending"]["at"], trace["error"]["kind"]) == expected
            assert trace["error"]["message"].endswith(words)

    def test_a_fault_behind_the_answer_is_none(self) -> None:
        recording = recorded("query")
        for kind in ("close", "reset", "silence"):
            trace = broken(entry(recording), fault(kind, size_of(recording)))["trace"]
            assert trace["error"] is None
            assert trace["result"]["partial"] is False

    def test_a_damaged_byte_and_what_comes_first_of_several_faults(self) -> None:
        asked = {"faults": [
            {"kind": "reset", "at": 200}, {"kind": "damage", "at": 80, "value": 65},
            {"kind": "close", "at": 100}, {"kind": "damage", "at": 150},
        ], "fragmentation": 30}  # fmt: skip
        trace = Trace.of(break_recording(recorded("query"), parsed(asked)))
        body = b"".join(chunk.data for chunk in recorded("query").chunks)
        assert trace.body == body[:80] + b"A" + body[81:100]
        assert trace.ending is not None and trace.ending.message == "the connection was closed"
        damaged = broken(entry(recorded("query")), fault("damage", 100))["trace"]
        assert damaged["error"]["kind"] == "remote_protocol_error"

    def test_a_compressed_body_is_broken_as_it_was_received(self) -> None:
        packed = gzip.compress(delta("A moon ") + delta("rises") + END)
        plain = answer(packed)
        fields = (*plain.header.response_headers, ("content-encoding", "gzip"))
        recording = replace(plain, header=replace(plain.header, response_headers=fields))
        cut = broken(entry(recording), {"fragmentation": 1})
        assert len(cut["trace"]["chunks"]) == len(packed)
        assert cut["trace"]["result"]["text"] == "A moon rises"
        assert [each["outcome"] for each in cut["plain"]] == ["fails", "same", "fails"]
        hurt = broken(entry(recording), fault("damage", len(packed) // 2))
        assert hurt["trace"]["error"]["kind"] == "remote_protocol_error"
        assert "httpx.DecodingError" in hurt["plain"][LINES]["error"]

    def test_a_recording_without_a_head_stays_as_it_is(self) -> None:
        header = replace(recorded("query").header, status_code=None, response_headers=())
        recording = Recording(header, (), Ending(1.0, "ConnectError", "refused"))
        found = broken(entry(recording), {"fragmentation": 1})
        assert found["trace"]["error"]["kind"] == "connect_error"
        assert {each["outcome"] for each in found["plain"]} == {"error"}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ([], "object"),
        ({"fragmentation": 0}, ">= 1"),
        ({"fragmentation": [-1]}, ">= 0"),
        ({"fragmentation": "whole"}, "str"),
        (fault("explode", 1), "explode"),
        (fault("close", 1_448), "body of 1,447 bytes, not at byte 1,448"),
        (fault("damage", 1_447), "body of 1,447 bytes, not at byte 1,447"),
        (fault("damage", 1, value=256), "<= 255"),
        ({"file": "/etc/passwd"}, "unknown field"),
    ],
)
def test_what_cannot_be_broken_is_refused(asked: Any, words: str) -> None:
    with pytest.raises(Refused) as refused:
        broken(entry(recorded("query")), asked)
    assert refused.value.status_code == 400
    assert words in str(refused.value)


def test_a_huge_body_is_not_cut_into_single_bytes() -> None:
    recording = answer(b"x" * (MAX_CHUNKS + 1))
    with pytest.raises(Refused, match="200,000 chunks are the most"):
        broken(entry(recording), {"fragmentation": 1})


def test_the_server_breaks_and_saves(shipped: Served) -> None:
    reply = shipped.ask("api/break/query.jsonl", fault("close", 100))
    assert reply.json["trace"]["error"]["kind"] == "connection_lost"
    assert len(reply.json["plain"]) == len(LOOPS)
    reply = shipped.ask("api/save/query.jsonl", {**fault("close", 100), "as": "test"})
    assert reply.json["name"] == "test_query-close_at_100.py"
    assert shipped.ask("api/break/query.jsonl", fault("close", 10**9)).status == 400
    assert shipped.ask("api/break/none.jsonl", {}).status == 404
    assert not (SHIPPED / reply.json["name"]).exists()
