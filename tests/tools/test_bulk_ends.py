"""What ends a bulk run early: signals, and refusals in a row."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from moondream_tools._bulk_signals import stop_by_signals
from moondream_tools._exit import SHARED
from moondream_tools.cli import Exit
from moondream_transports import Timeline
from moondream_transports.bulk import Refusals
from moondream_transports.conformance._fault_server import FaultServer, Peer
from sansio_moondream import (
    AuthenticationError,
    ConnectError,
    IncompleteStream,
    NotFoundError,
    PaymentRequiredError,
    RateLimitError,
)


class TestSignals:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_the_first_the_second_and_the_third(self, number: signal.Signals) -> None:
        before = signal.signal(number, signal.SIG_DFL)
        try:
            stop, abort = threading.Event(), threading.Event()
            with stop_by_signals(stop, abort):
                signal.raise_signal(number)
                assert (stop.is_set(), abort.is_set()) == (True, False)
                signal.raise_signal(number)
                assert abort.is_set()
                with pytest.raises(KeyboardInterrupt):
                    signal.raise_signal(number)
            assert signal.getsignal(number) is signal.SIG_DFL
        finally:
            signal.signal(number, before)

    @pytest.mark.usefixtures("interruptible")
    def test_the_second_one_ends_a_run(self, run: Any, photos: Path, tmp_path: Path) -> None:
        main = threading.get_ident()

        def script(peer: Peer) -> None:
            peer.read_request()
            for number in (signal.SIGINT, signal.SIGTERM):  # to the thread that handles them
                signal.pthread_kill(main, number)
            peer.wait_until_closed()

        output = tmp_path / "out.jsonl"
        with FaultServer(script) as server:
            options = ["--endpoint", server.url, "--concurrent", "1", "--output", output]
            ran = run("bulk", "caption", photos, *options, "--summary", "-")
        assert ran.status == Exit.INTERRUPTED
        summary = json.loads(ran.out)
        assert (summary["interrupted"], summary["done"], summary["failed"]) == (True, 0, 0)
        assert "To go on, run the same command again" in ran.err

    def test_one_that_is_ignored_stays_so(self) -> None:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            stop = threading.Event()
            with stop_by_signals(stop, threading.Event()):
                signal.raise_signal(signal.SIGINT)
                assert not stop.is_set()
        finally:
            signal.signal(signal.SIGINT, before)

    def test_in_another_thread_nothing_changes(self) -> None:
        before = signal.getsignal(signal.SIGTERM)
        seen: list[Any] = []

        def work() -> None:
            with stop_by_signals(threading.Event(), threading.Event()):
                seen.append(signal.getsignal(signal.SIGTERM))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert seen == [before]


class TestRefusals:
    @pytest.mark.parametrize(
        ("errors", "stops"),
        [
            ([AuthenticationError("key"), ConnectError("no way"), NotFoundError("page")], True),
            ([PaymentRequiredError("pay"), None, PaymentRequiredError("pay"), None], False),
            ([RateLimitError("slow"), IncompleteStream("half")] * 3, False),
            ([NotFoundError("page"), NotFoundError("page")], False),
        ],
    )
    def test_in_a_row(self, errors: list[Exception | None], stops: bool) -> None:
        stop = threading.Event()
        refusals = Refusals(SHARED, 3, stop)
        for error in errors:
            refusals.on_end(Timeline("query", "http://localhost", 0.0, error=error))
        assert stop.is_set() is stops
        assert refusals.given_up is (errors[-1] if stops else None)

    def test_never(self) -> None:
        stop = threading.Event()
        refusals = Refusals(SHARED, 0, stop)
        for _ in range(100):
            refusals.on_end(Timeline("query", "", 0.0, error=AuthenticationError("key")))
        assert not stop.is_set()
