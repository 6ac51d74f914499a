"""Traces of errors and of exchanges under way, and the JSON form of all."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import pytest

from moondream_tools.trace import (
    Trace,
    TraceBuilder,
    TraceEnding,
    TraceState,
    TraceTimes,
    json_schema,
)
from sansio_moondream.recording import Ending, RecordingHeader
from tests.helpers import END, delta
from tests.tools.trace.traces import STREAM, texts, traced

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "trace.md"


class TestWithoutAnAnswer:
    def test_no_head(self) -> None:
        ending = Ending(2, "ConnectError", "refused")
        trace = traced(headers=(), status_code=None, ending=ending)
        assert (trace.response, trace.ending) == (
            None,
            TraceEnding(2.25, "ConnectError", "refused"),
        )
        assert trace.times == TraceTimes(None, None, None)
        assert trace.error is not None and trace.error["kind"] == "connect_error"
        assert [(state.at, state.state) for state in trace.states] == [
            (0.0, "AWAITING_RESPONSE"),
            (2.25, "FAILED"),
        ]
        assert (trace.size, trace.deadlines) == (None, None)

    def test_of_an_unknown_skill(self) -> None:
        body = delta("A") + END + delta("B")
        trace = traced(body, path="/v1/moo")
        assert (trace.skill, trace.events, trace.states) == (None, (), ())
        assert (trace.error, trace.result) == (None, None)
        assert texts(trace) == [delta("A"), END, delta("B")]
        assert len(trace.messages) == 3
        packed = gzip.compress(body, mtime=0)
        headers = (*STREAM, ("content-encoding", "gzip"))
        assert texts(traced(packed, path="/v1/moo", headers=headers)) == texts(trace)

    def test_no_answer_by_its_head(self) -> None:
        trace = traced(b"<html>", b"</html>", headers=(("content-type", "text/html"),))
        assert (trace.records, trace.messages, len(trace.chunks)) == ((), (), 2)
        assert trace.states[-1] == TraceState(0.25, None, "FAILED", "FAULT")

    @pytest.mark.parametrize(
        "body",
        [
            None,
            "text",
            {"sha256": "1c", "width": None, "height": None},
            {"sha256": "1c", "width": True, "height": 1},
            {"sha256": "1c", "width": 0, "height": 1},
            {"width": 1, "height": 1},
            [{"a": [1]}],
        ],
    )
    def test_no_size(self, body: Any) -> None:
        assert Trace.begin(RecordingHeader("POST", "/v1/query", (), body)).size is None

    def test_the_size_of_a_picture_in_a_chat(self) -> None:
        picture = {"sha256": "1c", "width": 3, "height": 2}
        body = {"messages": [{"content": ["A", {"image_url": {"url": picture}}]}]}
        assert Trace.begin(RecordingHeader("POST", "/v1/query", (), body)).size == (3, 2)


class TestUnderWay:
    def test_an_exchange(self) -> None:
        header = RecordingHeader("POST", "/v1/query", connected=0.01)
        builder, trace = TraceBuilder(header), Trace.begin(header)
        assert repr(trace) == "<Trace POST /v1/query: no head, 0 chunks, 0 events, under way>"
        assert trace.updated(builder.take_update()) == trace
        builder.receive_response(200, STREAM, 0.25, connected=0.125)
        builder.receive_data(b"", 0.25)
        builder.receive_data(delta("A"), 0.5)
        update = builder.take_update()
        assert (update.times, update.ending) == (TraceTimes(0.125, 0.25, 0.5), None)
        assert (update.decoded, update.result) == (delta("A"), None)
        form = update.to_dict()
        assert (form["decoded"], list(form)) == (
            None,
            [*json_schema()["$defs"]["TraceUpdate"]["properties"]],
        )
        assert repr(update) == "<TraceUpdate of 1 chunks, 1 events>"
        trace = trace.updated(update)
        builder.receive_data(END, 0.75)
        update = builder.take_update()
        assert (update.records[0].chunk, update.events[0].chunk) == (1, 1)
        assert (update.body, [item.record for item in update.messages]) == (END, [1])
        assert trace.updated(update).body == delta("A") + END


class TestJSONForm:
    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"trace": 2}, "trace"),
            ({"trace": None}, "trace"),
            ({"chunks": None}, "chunks"),
            ({"body": "*"}, "base64"),
        ],
    )
    def test_another_is_refused(self, change: dict[str, Any], words: str) -> None:
        form = traced(delta("A")).to_dict()
        with pytest.raises(ValueError, match=words):
            Trace.from_dict(form | change)

    def test_a_field_that_is_new(self) -> None:
        trace = traced(delta("A"))
        assert Trace.from_dict(trace.to_dict() | {"mood": "new"}) == trace

    def test_text_that_is_no_text(self) -> None:
        header = RecordingHeader("P\ud800", "/\ud800", (("x", "\ud800"),), {"\ud800": "\ud800"})
        trace = Trace.begin(header, "\ud800")
        assert Trace.from_dict(trace.to_dict()) == trace
        assert trace.name == "\ufffd"

    def test_the_page_has_each_field(self) -> None:
        page = PAGE.read_text()
        for definition in json_schema()["$defs"].values():
            for name in definition["properties"]:
                assert re.search(rf"`{name}`", page), name
