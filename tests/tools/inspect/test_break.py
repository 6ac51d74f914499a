"""Recordings that are broken on purpose: what becomes of them, here, in plain loops, in files."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from moondream_tools._faults import HTTPFault
from moondream_tools._inspect._answers import Refused
from moondream_tools._inspect._break import MAX_CHUNKS, Asked, break_recording, broken, saved
from moondream_tools._inspect._plain import LOOPS, plain_outcomes
from moondream_tools._inspect._store import Entry
from moondream_tools.trace import Trace
from moondream_transports.conformance._fault_server import FaultServer
from sansio_moondream.recording import Chunk, Ending, Recording
from sansio_moondream.testing import record_ends
from tests.helpers import END, delta, record
from tests.tools.inspect.broken_answers import answering, official, recorded, size_of
from tests.tools.inspect.page_server import SHIPPED, Served

SKILLS = ("query", "caption", "segment", "chat", "detect", "point")
OFFICIAL, LINES, CHUNKS = range(3)  # in LOOPS
_KINDS = ["close", "reset", "truncate", "error", "json-error", "500"]  # of faults of `serve`
_KINDS += ["keep-alive", "no-space", "cr", "bom", "gzip"]


def entry(recording: Recording) -> Entry:
    return Entry("some.jsonl", recording)


def fault(kind: str, at: int, **more: int) -> dict[str, Any]:
    return {"faults": [{"kind": kind, "at": at, **more}]}


def answer(*chunks: bytes, ending: str = "eof", skill: str = "query") -> Recording:
    """Return a recording with other chunks."""
    return replace(
        recorded(skill), chunks=tuple(Chunk(0.5, data) for data in chunks), ending=Ending(0, ending)
    )


def verdicts(recording: Recording, asked: Any = None) -> list[tuple[str, str]]:
    plain = broken(entry(recording), asked or {})["plain"]
    return [(each["outcome"], each["verdict"]) for each in plain]


class TestTheBrokenTrace:
    @pytest.mark.parametrize("skill", SKILLS)
    @pytest.mark.parametrize("fragmentation", [None, [], 1, 100, [3, 50, 51]])
    def test_other_chunks_have_the_same_events(self, skill: str, fragmentation: Any) -> None:
        before = Trace.of(recorded(skill))
        after = broken(entry(recorded(skill)), {"fragmentation": fragmentation})["trace"]
        assert [event["value"] for event in after["events"]] == [
            event.value for event in before.events
        ]
        sizes = [chunk["end"] - chunk["start"] for chunk in after["chunks"]]
        size = len(before.body)
        expected = {
            None: [chunk.end - chunk.start for chunk in before.chunks],
            1: [1] * size,
            100: [100] * (size // 100) + ([size % 100] if size % 100 else []),
        }
        cuts = [*([] if fragmentation == [] else [3, 47, 1]), 0]
        cuts[-1] = size - sum(cuts)
        key = None if isinstance(fragmentation, list) else fragmentation
        assert sizes == (cuts if isinstance(fragmentation, list) else expected[key])

    def test_a_chunk_comes_when_its_last_byte_did_and_the_parts_of_one_at_once(self) -> None:
        recording = answer(b"ab", b"cdef", b"g")
        cut = break_recording(recording, Asked(fragmentation=3))
        assert [(chunk.seconds, chunk.data) for chunk in cut.chunks] == [
            (1.0, b"abc"), (0.0, b"def"), (0.5, b"g"),
        ]  # fmt: skip
        assert cut.ending == recording.ending
        parts = break_recording(recording, Asked(fragmentation=[3, 4]))
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
            assert trace["ending"]["at"] == 60.0

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
        trace = Trace.of(break_recording(recorded("query"), _asked(asked)))
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


def _asked(asked: dict[str, Any]) -> Asked:
    return msgspec.convert(asked, Asked)


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


class TestPlainLoops:
    def test_a_whole_answer(self) -> None:
        for skill in SKILLS:
            if skill != "chat":  # it has characters that its chunks cut
                assert {outcome for outcome, _ in verdicts(recorded(skill))} == {"same"}

    def test_a_chat_whose_chunks_cut_characters(self) -> None:
        assert [outcome for outcome, _ in verdicts(recorded("chat"))] == ["same", "same", "fails"]

    def test_a_cut_off_answer_is_taken_for_whole(self) -> None:
        closed = answer(delta("A moon "), ending="ConnectionLost")
        assert verdicts(closed) == [
            ("silent", "It takes this cut-off answer for whole."),
            ("error", "It raises httpx.RemoteProtocolError."),
            ("error", "It raises httpx.RemoteProtocolError."),
        ]
        ended = answer(delta("A moon "))
        assert set(verdicts(ended)) == {("silent", "It takes this cut-off answer for whole.")}

    def test_the_error_of_the_server_is_lost(self) -> None:
        failed = answer(delta("A"), record({"error": {"message": "out of memory"}}))
        words = "It loses the error: \u201cout of memory\u201d"
        assert set(verdicts(failed)) == {("silent", words)}
        refused = HTTPFault("429").apply(recorded("query"))
        for outcome, words in verdicts(refused):
            assert outcome == "error"
            assert words.endswith("What the server says is lost: \u201csimulated fault 429\u201d")

    def test_silence(self) -> None:
        found = verdicts(recorded("query"), fault("silence", 100))
        assert [outcome for outcome, _ in found] == ["hangs", "error", "error"]

    def test_chunks_that_cut_records_and_characters(self) -> None:
        body = '{"chunk": "月"}'.encode()
        whole = answer(b"data: " + body + b"\n\n" + END)
        outcome, words = verdicts(whole, {"fragmentation": [18]})[CHUNKS]
        assert outcome == "fails" and words.startswith("It raises UnicodeDecodeError, though")
        assert words.endswith("It has 0 of the 1 characters that arrived.")
        assert verdicts(whole, {"fragmentation": [12]})[CHUNKS][0] == "fails"
        assert verdicts(answer(delta("a"), END), {"fragmentation": 1})[CHUNKS] == (
            "silent", "It has no answer, and says nothing.",
        )  # fmt: skip
        assert {outcome for outcome, _ in verdicts(whole, {"fragmentation": 1})[:CHUNKS]} == {
            "same"
        }

    def test_another_text(self) -> None:
        mended = answer(delta("a \ufffd"), record({"completed": True, "answer": "a \u6708"}))
        words = "\u201ca \ufffd\u201d where the answer has \u201ca \u6708\u201d."
        assert {outcome for outcome, _ in verdicts(mended)} == {"silent"}
        assert {found.partition(": ")[2] for _, found in verdicts(mended)} == {words}
        odd = answer('data: {"chunk": "a\u2028b"}\n\n'.encode(), END)
        assert [outcome for outcome, _ in verdicts(odd)] == ["same", "fails", "fails"]

    @pytest.mark.parametrize("kind", _KINDS)
    @pytest.mark.parametrize("skill", ["query", "segment", "chat"])
    def test_no_loop_calls_a_fault_the_same_answer(self, skill: str, kind: str) -> None:
        """What our decoder reports, no verdict hides; and none is called wrong without a reason."""
        trace = Trace.of(HTTPFault.parse(kind).apply(recorded(skill)))
        for each in plain_outcomes(trace):
            assert (each["outcome"] == "same") <= (trace.error is None)
            assert (each["outcome"] == "fails") <= (trace.error is None)
            assert each["outcome"] != "error" or each["error"]

    def test_hostile_bodies_and_heads(self) -> None:
        recording = answer(b"data: " + b"[" * 100_000 + b"\n\n", b"data: null\n\n")
        assert {outcome for outcome, _ in verdicts(recording)} == {"error"}
        for charset in ("hex", "no such", "\u6708", "idna"):
            fields = (("content-type", f"text/event-stream; charset={charset}"),)
            named = replace(recording, header=replace(recording.header, response_headers=fields))
            assert len(verdicts(named)) == len(LOOPS)


def _faults_of(skill: str) -> Iterator[dict[str, Any]]:
    recording = recorded(skill)
    size = size_of(recording)
    ends = record_ends(b"".join(chunk.data for chunk in recording.chunks)) or [size]
    yield {}
    yield {"fragmentation": 1 if size < 3000 else 700}
    for at in (0, 100, ends[len(ends) // 2], size - 1, size):
        yield fault("close", at)
    for at in (0, ends[len(ends) // 2], size):
        yield fault("reset", at)
    for at in (0, 10, 100):
        yield fault("damage", at)


@pytest.mark.slow  # each client makes some hundred connections
class TestRealClients:
    """The loops of the page against the libraries that they model."""

    @pytest.mark.parametrize("skill", SKILLS)
    def test_the_official_client(self, skill: str) -> None:
        for asked in _faults_of(skill):
            recording = break_recording(recorded(skill), _asked(asked))
            model = plain_outcomes(Trace.of(recording))[OFFICIAL]
            with answering(recording, len(model["items"])) as server:
                real = _run(official(skill, server.url), server)
            assert (model["items"], _name(model["error"])) == real, asked

    @pytest.mark.parametrize("skill", ["query", "segment", "chat"])
    def test_loops_over_httpx(self, skill: str) -> None:
        httpx = pytest.importorskip("httpx")
        with httpx.Client(trust_env=False, timeout=2) as client:
            for asked in [*_faults_of(skill), fault("silence", 100)]:
                recording = break_recording(recorded(skill), _asked(asked))
                outcomes = plain_outcomes(Trace.of(recording))
                for index in (LINES, CHUNKS):
                    model = outcomes[index]
                    with answering(recording, len(model["items"])) as server:
                        loop = _over(client, server.url, LOOPS[index].run, skill)
                        real = _run(loop, server)
                    assert (model["items"], _name(model["error"])) == real, (asked, index)


def _over(client: Any, url: str, loop: Any, skill: str) -> Iterator[Any]:
    with client.stream("POST", url, json={}) as response:
        response.raise_for_status()
        yield from loop(response, skill)


def _run(items: Iterator[Any], server: FaultServer) -> tuple[list[Any], str | None]:
    found: list[Any] = []
    error: BaseException | None = None
    try:
        for item in items:
            found.append(item)
            server.saw_event()
    except Exception as raised:  # noqa: BLE001
        error = raised
    if type(error) is ValueError:  # the official client's own, for what is no JSON
        error = error.__cause__
    return found, None if error is None else type(error).__name__


def _name(error: str | None) -> str | None:
    return None if error is None else error.partition(":")[0].rpartition(".")[2]


class TestSaved:
    def test_a_recording(self) -> None:
        asked = {**fault("close", 100), "as": "recording"}
        file = saved(Entry("folder/some query.jsonl", recorded("query")), asked)
        assert file["name"] == "folder_some_query-close_at_100.jsonl"
        read = Recording.decode(file["text"].encode())
        assert read == break_recording(recorded("query"), _asked(fault("close", 100)))

    def test_it_is_masked_as_recordings_are(self) -> None:
        recording = answer(record({"chunk": "A", "org_id": "acme-inc"}), END)
        header = replace(
            recording.header,
            request_headers=(("x-moondream-auth", "s3cret-key"), ("accept", "*/*")),
            request_body={"question": "?", "api_key": "s3cret-key", "stream": True},
            response_headers=(("set-cookie", "s3cret-key"), ("content-type", "text/event-stream")),
        )
        ending = Ending(0, "ConnectionLost", 'lost {"org_id": "acme-inc"}')
        by_hand = replace(recording, header=header, ending=ending)
        for kind in ("recording", "test"):
            text = saved(entry(by_hand), {"fragmentation": 7, "as": kind})["text"]
            assert "s3cret" not in text and "acme" not in text

    @pytest.mark.parametrize(
        ("skill", "asked"),
        [("query", fault("close", 100)), ("segment", {**fault("silence", 900), "fragmentation": 5}),
         ("chat", fault("damage", 100))],
    )  # fmt: skip
    def test_a_test_has_what_it_expects(self, skill: str, asked: dict[str, Any]) -> None:
        file = saved(Entry(f"{skill}.jsonl", recorded(skill)), {**asked, "as": "test"})
        names: dict[str, Any] = {}
        exec(compile(file["text"], file["name"], "exec"), names)
        test = next(value for name, value in names.items() if name.startswith("test_"))
        test()
        names["EVENTS"].append({"kind": "text_delta", "text": "more"})
        with pytest.raises(AssertionError):
            test()

    def test_a_recording_of_no_skill_makes_no_test(self) -> None:
        recording = recorded("query")
        other = replace(recording, header=replace(recording.header, path="/v1/models"))
        with pytest.raises(Refused, match="save it as a recording"):
            saved(entry(other), {"as": "test"})
        assert broken(entry(other), {})["plain"] == []

    @pytest.mark.slow  # a pytest of its own
    def test_all_of_them_pass_in_a_project_with_the_plugin(self, tmp_path: Path) -> None:
        count = 0
        for skill in SKILLS:
            size = size_of(recorded(skill))
            for asked in (
                {},
                {"fragmentation": 1 if size < 3000 else 1000},
                *(fault(kind, size // 2) for kind in ("close", "reset", "silence", "damage")),
            ):
                file = saved(Entry(f'it"s/{skill}.jsonl', recorded(skill)), {**asked, "as": "test"})
                (tmp_path / file["name"]).write_text(file["text"])
                count += 1
        (tmp_path / "conftest.py").write_text(
            'pytest_plugins = ["moondream_transports.pytest_plugin"]\n'
        )
        command = [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout
        assert f"{count} passed" in done.stdout


def test_the_server_breaks_and_saves(shipped: Served) -> None:
    reply = shipped.ask("api/break/query.jsonl", fault("close", 100))
    assert reply.json["trace"]["error"]["kind"] == "connection_lost"
    assert len(reply.json["plain"]) == len(LOOPS)
    reply = shipped.ask("api/save/query.jsonl", {**fault("close", 100), "as": "test"})
    assert reply.json["name"] == "test_query-close_at_100.py"
    assert shipped.ask("api/break/query.jsonl", fault("close", 10**9)).status == 400
    assert shipped.ask("api/break/none.jsonl", {}).status == 404
    assert not (SHIPPED / reply.json["name"]).exists()
