"""Faults of the transport and of the server, as a client raises them."""

from __future__ import annotations

import pytest

from sansio_moondream import (
    ConnectError,
    ConnectionLost,
    IncompleteStream,
    LimitExceeded,
    Limits,
    MoondreamError,
    ServerError,
    TextDelta,
)
from tests.helpers import END, QUERY, delta, record
from tests.transports.fakes import (
    FakeStream,
    client,
)


class TestFaults:
    def test_no_connection(self) -> None:
        cause = OSError("no route")
        refusal = ConnectError("could not connect")
        refusal.__cause__ = cause
        with (
            pytest.raises(ConnectError) as caught,
            client(FakeStream(refuses=refusal)).stream(QUERY),
        ):
            pass
        assert caught.value is refusal
        assert caught.value.__cause__ is cause

    def test_connection_lost(self) -> None:
        transport = FakeStream(delta("A"), ConnectionLost("peer reset"))
        with client(transport).stream(QUERY) as stream:
            assert next(stream) == TextDelta("A")
            for _ in range(2):  # the same error again
                with pytest.raises(ConnectionLost, match="peer reset") as caught:
                    next(stream)
                assert caught.value.partial == stream.snapshot
            assert transport.closed == 1  # at once

    def test_an_error_behind_events_of_the_same_chunk(self) -> None:
        transport = FakeStream(delta("A") + record({"error": "no"}))
        with client(transport).stream(QUERY) as stream:
            assert next(stream) == TextDelta("A")
            with pytest.raises(MoondreamError, match="no"):
                next(stream)
            assert transport.closed == 1

    def test_a_body_that_ends_too_soon(self) -> None:
        with (
            client(FakeStream(delta("A"), b"")).stream(QUERY) as stream,
            pytest.raises(IncompleteStream),
        ):
            stream.result()

    def test_error_status(self) -> None:
        with pytest.raises(ServerError, match="busy"):
            client(FakeStream(b'{"error": ', b'"busy"}', b"", status_code=503)).send(QUERY)

    def test_limits(self) -> None:
        with pytest.raises(LimitExceeded):
            client(FakeStream(delta("A" * 99), END), limits=Limits(max_text_bytes=9)).send(QUERY)

    @pytest.mark.parametrize("bug", [ValueError("a bug"), KeyboardInterrupt()])
    def test_what_is_no_fault_of_the_exchange_passes(self, bug: BaseException) -> None:
        transport = FakeStream(bug)
        with pytest.raises(type(bug)), client(transport).stream(QUERY) as stream:
            next(stream)
        assert transport.closed == 1
