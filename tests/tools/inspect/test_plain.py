"""What plain loops make of broken recordings, and whether real ones make the same of them."""

from __future__ import annotations

from collections.abc import Iterator
from time import process_time
from typing import Any

import pytest
from msgspec.structs import replace

from moondream_tools._faults import HTTPFault
from moondream_tools._inspect._break import break_recording, broken
from moondream_tools._inspect._plain import LOOPS, plain_outcomes
from moondream_tools.trace import Trace
from moondream_transports.conformance._fault_server import FaultServer
from sansio_moondream.recording import Recording
from sansio_moondream.testing import record_ends
from tests.helpers import END, delta, record
from tests.tools.inspect.broken_answers import (
    SKILLS,
    answer,
    answering,
    entry,
    fault,
    official,
    parsed,
    recorded,
    size_of,
)

OFFICIAL, LINES, CHUNKS = range(3)  # in LOOPS
_KINDS = ["close", "reset", "truncate", "error", "json-error", "500"]  # of faults of `serve`
_KINDS += ["keep-alive", "no-space", "cr", "bom", "gzip"]


def verdicts(recording: Recording, asked: Any = None) -> list[tuple[str, str]]:
    plain = broken(entry(recording), asked or {})["plain"]
    return [(each["outcome"], each["verdict"]) for each in plain]


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
            ("error", "It raises an exception."),
            ("error", "It raises an exception."),
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
        assert outcome == "fails" and words.startswith("It fails on a whole answer. ")
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

    @pytest.mark.parametrize("charset", ["punycode", "idna"])
    def test_a_charset_whose_work_is_quadratic_is_not_used(self, charset: str) -> None:
        recording = answer(b"data: x-" + b"bcd9z" * 20_000)
        fields = (("content-type", f"text/event-stream; charset={charset}"),)
        named = replace(recording, header=replace(recording.header, response_headers=fields))
        began = process_time()
        verdicts(named)
        assert process_time() - began < 5  # it was half a minute


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
            recording = break_recording(recorded(skill), parsed(asked))
            model = plain_outcomes(Trace.of(recording))[OFFICIAL]
            with answering(recording, len(model["items"])) as server:
                real = _run(official(skill, server.url), server)
            assert (model["items"], _name(model["error"])) == real, asked

    @pytest.mark.parametrize("skill", ["query", "segment", "chat"])
    def test_loops_over_httpx(self, skill: str) -> None:
        httpx = pytest.importorskip("httpx")
        with httpx.Client(trust_env=False, timeout=2) as client:
            for asked in [*_faults_of(skill), fault("silence", 100)]:
                recording = break_recording(recorded(skill), parsed(asked))
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
    except Exception as raised:  # noqa: BLE001 - whatever a client raises is compared
        error = raised
    if type(error) is ValueError:  # the official client's own, for what is no JSON
        error = error.__cause__
    return found, None if error is None else type(error).__name__


def _name(error: str | None) -> str | None:
    return None if error is None else error.partition(":")[0].rpartition(".")[2]
