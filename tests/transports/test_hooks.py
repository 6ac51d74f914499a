"""Hooks and the log: how an exchange went, without any of what it was about."""

from __future__ import annotations

import gc
import json
import logging
import sys
from time import monotonic
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
import pytest

from moondream_transports import Hooks, Timeline
from sansio_moondream import (
    ConnectError,
    ConnectionLost,
    Endpoint,
    IncompleteStream,
    Metrics,
    Request,
    ServerError,
)
from tests.helpers import DETECT, END, QUERY, delta, record

from .adapters import Adapter, never
from .fakes import ENDPOINT, WHOLE, AsyncFakeStream, FakeStream, JSONFakeStream

EACH = [Adapter(name, name, never) for name in ("sync", "asyncio", "trio")]
each_backend = pytest.mark.parametrize("backend", EACH, ids=lambda backend: backend.name)


class Notes(Hooks):
    def __init__(self) -> None:
        self.called: list[str] = []
        self.timelines: list[Timeline] = []

    def _note(self, name: str, timeline: Timeline) -> None:
        self.called.append(name)
        self.timelines.append(timeline)

    def on_start(self, timeline: Timeline) -> None:
        assert (timeline.connected_at, timeline.head_at) == (None, None)
        self._note("start", timeline)

    def on_head(self, timeline: Timeline) -> None:
        self._note("head", timeline)

    def on_first_event(self, timeline: Timeline) -> None:
        self._note("first event", timeline)

    def on_end(self, timeline: Timeline) -> None:
        self._note("end", timeline)


def watched(
    backend: Adapter, transport: FakeStream, hooks: Hooks, leave_early: bool = False
) -> BaseException | None:
    """One exchange with these hooks; gives what it raised."""

    async def main() -> BaseException | None:
        client = backend.client(
            AsyncFakeStream(transport) if backend.is_async else transport, ENDPOINT, hooks=hooks
        )
        try:
            async with client.stream(QUERY) as stream:
                async for _ in stream:
                    if leave_early:
                        break
        except Exception as error:  # noqa: BLE001 - it is what the test is about
            return error
        return None

    return backend.run(main)


@each_backend
class TestHooks:
    def test_a_whole_answer(self, backend: Adapter) -> None:
        notes = Notes()
        connected_at = monotonic()
        transport = FakeStream(
            record({"chunk": "A", "request_id": "7"}), END, b"", connected_at=connected_at
        )
        assert watched(backend, transport, notes) is None
        assert notes.called == ["start", "head", "first event", "end"]
        seen = notes.timelines[0]
        assert all(timeline is seen for timeline in notes.timelines)
        assert (seen.skill, seen.url, seen.status_code, seen.request_id) == (
            "query",
            f"{ENDPOINT.url}/query",
            200,
            "7",
        )
        assert seen.error is None
        assert seen.connected_at == connected_at
        moments = [
            seen.opened_at,
            seen.head_at,
            seen.first_event_at,
            seen.completed_at,
            seen.ended_at,
        ]
        assert None not in moments
        assert moments == sorted(moment for moment in moments if moment is not None)
        assert seen.metadata is not None
        assert seen.metadata.request_id == "7"

    @pytest.mark.parametrize(
        ("transport", "called", "error"),
        [
            (FakeStream(refuses=ConnectError("no")), ["start", "end"], ConnectError),
            (FakeStream(ConnectionLost("reset")), ["start", "head", "end"], ConnectionLost),
            (
                FakeStream(delta("A"), b""),
                ["start", "head", "first event", "end"],
                IncompleteStream,
            ),
            (FakeStream(b"busy", b"", status_code=503), ["start", "head", "end"], ServerError),
            (
                FakeStream(delta("A"), ZeroDivisionError()),
                ["start", "head", "first event", "end"],
                ZeroDivisionError,
            ),
        ],
        ids=["refused", "lost", "cut short", "error status", "a bug"],
    )
    def test_an_exchange_that_fails(
        self, backend: Adapter, transport: FakeStream, called: list[str], error: type[Exception]
    ) -> None:
        notes = Notes()
        again = FakeStream(
            *transport.steps, status_code=transport.status_code, refuses=transport.refuses
        )
        raised = watched(backend, again, notes)
        assert notes.called == called
        assert type(raised) is error
        assert notes.timelines[-1].error is raised
        assert notes.timelines[-1].completed_at is None
        assert notes.timelines[-1].ended_at is not None

    @pytest.mark.parametrize(("model", "seen"), [(None, "moon-2"), ("moon-1", "moon-1")])
    def test_model_of_the_request_or_the_endpoint(
        self, backend: Adapter, model: str | None, seen: str
    ) -> None:
        notes = Notes()
        asked = msgspec.structs.replace(QUERY, model=model)

        async def main() -> None:
            transport = JSONFakeStream(b'{"answer": "A"}', b"")
            client = backend.client(
                AsyncFakeStream(transport) if backend.is_async else transport,
                Endpoint(model="moon-2"),
                hooks=notes,
            )
            await client.send(asked)
            assert json.loads(transport.requests[0].body)["model"] == seen

        backend.run(main)
        assert notes.timelines[-1].model == seen

    @pytest.mark.parametrize(
        ("request_", "streams", "streamed"),
        [(QUERY, True, True), (QUERY, False, False), (DETECT, True, False)],
        ids=["streamed", "whole", "a skill that does not stream"],
    )
    def test_how_it_was_asked(
        self, backend: Adapter, request_: Request[Any], streams: bool, streamed: bool
    ) -> None:
        notes = Notes()
        asked = msgspec.structs.replace(request_, model="moon-1")

        async def main() -> None:
            transport = JSONFakeStream(
                b'{"answer": "A", "objects": [], "metrics": {"output_tokens": 3}}', b""
            )
            client = backend.client(
                AsyncFakeStream(transport) if backend.is_async else transport, ENDPOINT, hooks=notes
            )
            if streams:
                async with client.stream(asked) as stream:
                    await stream.result()
            else:
                await client.send(asked)

        backend.run(main)
        seen = notes.timelines[-1]
        assert (seen.model, seen.streamed) == ("moon-1", streamed)
        assert seen.metadata is not None
        assert seen.metadata.metrics == Metrics(output_tokens=3)

    def test_left_early(self, backend: Adapter) -> None:
        notes = Notes()
        watched(backend, FakeStream(*WHOLE), notes, leave_early=True)
        assert notes.called == ["start", "head", "first event", "end"]
        assert (
            notes.timelines[-1].completed_at,
            notes.timelines[-1].error,
            notes.timelines[-1].metadata,
        ) == (None, None, None)

    def test_what_a_hook_keeps_for_an_exchange_goes_with_it(self, backend: Adapter) -> None:
        class Keeping(Hooks):
            def on_start(self, timeline: Timeline) -> None:
                kept[timeline] = "what is mine"

        kept: WeakKeyDictionary[Timeline, str] = WeakKeyDictionary()
        watched(backend, FakeStream(*WHOLE), Keeping())
        gc.collect()
        assert not kept

    def test_a_hook_that_raises_does_no_harm(
        self, backend: Adapter, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Broken(Hooks):
            def on_head(self, timeline: Timeline) -> None:
                raise ZeroDivisionError

        assert watched(backend, FakeStream(*WHOLE), Broken()) is None
        assert [
            (entry.levelname, entry.message)
            for entry in caplog.records
            if entry.name == "moondream_transports"
        ] == [("ERROR", "a hook raised in on_head; the exchange goes on")]

    def test_the_log(self, backend: Adapter, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG, "moondream_transports")
        watched(backend, FakeStream(*WHOLE), Hooks())
        watched(backend, FakeStream(ConnectionLost("reset")), Hooks())
        watched(backend, FakeStream(*WHOLE), Hooks(), leave_early=True)
        lines = [entry.message for entry in caplog.records if entry.name == "moondream_transports"]
        assert [line.partition(":")[0] for line in lines] == [
            *("start", "head", "first_event", "end"),
            *("start", "head", "end"),
            *("start", "head", "first_event", "end"),
        ]
        assert [line.rpartition(", ")[2] for line in lines if line.startswith("end")] == [
            "complete",
            "ConnectionLost",
            "left early",
        ]
        assert all(f"query at {ENDPOINT.url}/query, " in line for line in lines)
        assert ENDPOINT.api_key is not None
        assert ENDPOINT.api_key not in caplog.text
        assert QUERY.question not in caplog.text


def test_nothing_is_logged_unless_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    watched(EACH[0], FakeStream(ConnectionLost("reset")), Hooks())
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("module", [None, ModuleType("logging")])
def test_a_log_that_is_not_imported_yet(
    module: ModuleType | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has imported it, or another thread is doing so."""
    monkeypatch.setitem(sys.modules, "logging", module)
    notes = Notes()
    watched(EACH[0], FakeStream(*WHOLE), notes)
    assert notes.called == ["start", "head", "first event", "end"]
