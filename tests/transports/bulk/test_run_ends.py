"""Whatever ends a run: what has ended is in the ledger and in the files, and a run goes on."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from moondream_transports import AsyncClient, Limiter, RetryPolicy, Timeouts
from moondream_transports.bulk import BulkError, Counts, Item, OutputFormat
from sansio_moondream import HTTPRequest
from tests.transports.bulk.runs import (
    TEMPLATE,
    Answers,
    AnswerStream,
    Gate,
    Step,
    answers,
    echo,
    items,
    run,
    run_with,
    wait_until,
    whole,
)

JSON = OutputFormat.JSON_LINES


def check_continued(output: Path, ended: set[int], count: int) -> None:
    """Check what a run has left, continue it, and check that each item is there once."""
    assert answers(output) == {str(n): f"about {n}" for n in ended}
    transport = Answers()
    run(transport, items(*range(count)), output)
    assert sorted(transport.asked) == sorted(str(n) for n in range(count) if n not in ended)
    assert answers(output) == {str(n): f"about {n}" for n in range(count)}


def test_a_stop_begins_nothing_and_finishes_what_is_in_flight(tmp_path: Path) -> None:
    stop, gate, output = threading.Event(), Gate(), tmp_path / "a.jsonl"

    def set_stop() -> None:
        gate.wait_for(3)
        stop.set()
        gate.opened.set()

    thread = threading.Thread(target=set_stop)
    thread.start()
    transport = Answers(gate)
    summary = run(transport, items(*range(20)), output, concurrent=3, stop=stop)
    thread.join()
    assert summary.interrupted
    assert summary.counts.done == len(transport.asked) == len(answers(output)) < 20
    check_continued(output, set(map(int, transport.asked)), 20)


def test_a_stop_after_the_last_item_is_no_interruption(tmp_path: Path) -> None:
    stop, transport = threading.Event(), Answers()

    def given() -> Iterator[Item]:
        yield from items(1, 2)
        asyncio.run(wait_until(lambda: len(transport.asked) == 2))
        stop.set()

    assert not run(transport, given(), tmp_path / "a.jsonl", stop=stop).interrupted


def test_a_stop_withdraws_what_waits_for_its_turn(tmp_path: Path) -> None:
    stop, gate, output, limiter = threading.Event(), Gate(), tmp_path / "a.jsonl", Limiter(1e-3)
    transport = Answers(gate)

    def set_stop() -> None:
        gate.wait_for(1)
        asyncio.run(wait_until(lambda: limiter.status().waiting == 3))
        stop.set()
        asyncio.run(wait_until(lambda: not limiter.status().waiting))
        gate.opened.set()

    thread = threading.Thread(target=set_stop)
    thread.start()
    client = AsyncClient(transport, limiter=limiter)
    summary = run_with(client, items(*range(20)), TEMPLATE, output, concurrent=4, stop=stop)
    thread.join()
    assert (summary.interrupted, summary.counts.done, summary.counts.failed) == (True, 1, 0)
    assert (transport.asked, summary.counts.in_flight) == (["0"], 0)
    check_continued(output, {0}, 20)


def test_a_stop_withdraws_what_waits_for_a_retry(tmp_path: Path) -> None:
    stop, retries = threading.Event(), RetryPolicy(max_attempts=2, initial_backoff=60, jitter=0)

    def answer(question: str) -> Step:
        if question == "1":
            stop.set()
        return 503 if question == "1" else echo(question)

    transport = Answers(answer)
    output = tmp_path / "a.jsonl"
    summary = run(transport, items(0, 1), output, retries=retries, stop=stop, concurrent=1)
    assert (summary.interrupted, summary.counts.done, summary.counts.failed) == (True, 1, 0)
    check_continued(output, {0}, 2)


def test_an_abort_cancels_what_is_in_flight(tmp_path: Path) -> None:
    abort, gate, output = threading.Event(), Gate(), tmp_path / "a.jsonl"

    async def answer(question: str) -> Step:
        return echo(question) if question == "0" else await gate(question)

    def set_abort() -> None:
        gate.wait_for(2)
        abort.set()

    thread = threading.Thread(target=set_abort)
    thread.start()
    summary = run(Answers(answer), items(*range(9)), output, concurrent=2, abort=abort)
    gate.opened.set()
    thread.join()
    assert (summary.interrupted, summary.counts.done, summary.counts.failed) == (True, 1, 0)
    assert summary.files == (output,)
    check_continued(output, {0}, 9)


def test_an_interrupt_cancels_what_runs_and_keeps_what_has_ended(tmp_path: Path) -> None:
    hanging = threading.Semaphore(0)

    class Hanging(Answers):
        def __init__(self) -> None:
            super().__init__()
            self.open: list[HangingStream] = []

        async def send(self, request: HTTPRequest, timeouts: Timeouts) -> AnswerStream:
            stream = await super().send(request, timeouts)
            if int(self.asked[-1]) < 8:
                return stream
            self.open.append(HangingStream())
            hanging.release()
            return self.open[-1]

    class HangingStream(AnswerStream):
        def __init__(self) -> None:
            super().__init__(b"", ())
            self.is_closed = False

        async def read(self, timeout: float | None) -> bytes:
            await asyncio.sleep(30)
            raise AssertionError("it was not cancelled")

        async def aclose(self) -> None:
            self.is_closed = True

    def interrupt() -> None:
        for _ in range(4):
            assert hanging.acquire(timeout=30)
        signal.pthread_kill(main, signal.SIGINT)

    main, transport = threading.get_ident(), Hanging()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            run(transport, items(*range(40)), tmp_path / "a.jsonl", concurrent=4)
    finally:
        signal.signal(signal.SIGINT, before)
    thread.join()
    assert all(stream.is_closed for stream in transport.open)
    assert len(transport.asked) == 12
    check_continued(tmp_path / "a.jsonl", set(range(8)), 40)


def test_a_mistake_of_a_program_is_raised_after_what_has_ended_is_kept(tmp_path: Path) -> None:
    def answer(question: str) -> Step:
        return RuntimeError("a bug") if question == "5" else echo(question)

    with pytest.raises(RuntimeError, match="a bug"):
        run(Answers(answer), items(*range(9)), tmp_path / "a.jsonl", concurrent=1)
    check_continued(tmp_path / "a.jsonl", set(range(5)), 9)


def test_an_error_of_the_items_is_raised_after_those_before_it(tmp_path: Path) -> None:
    def given() -> Iterator[Item]:
        yield from items(*range(5))
        raise OSError("the input is gone")

    with pytest.raises(OSError, match="the input is gone"):
        run(Answers(), given(), tmp_path / "a.jsonl")
    check_continued(tmp_path / "a.jsonl", set(range(5)), 9)


def test_an_error_of_the_progress_is_raised(tmp_path: Path) -> None:
    def report(counts: Counts) -> None:
        if counts.done == 6:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(Answers(), items(*range(6)), tmp_path / "a.jsonl", on_progress=report)
    check_continued(tmp_path / "a.jsonl", set(range(6)), 9)


@contextmanager
def small_files(size: int) -> Iterator[None]:
    """Let no file grow beyond a size, as on a full disk."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_a_full_disk_ends_a_run_in_words_and_loses_nothing(tmp_path: Path) -> None:
    output = tmp_path / "a.jsonl"
    run(Answers(), items(*range(3)), output)
    large = Answers(lambda question: whole(question * 30_000))
    with (
        small_files(500_000),
        pytest.raises(BulkError, match=r"a\.jsonl\.ledger cannot be used") as e,
    ):
        run(large, items(*range(3, 99)), output)
    assert "make room" in str(e.value).lower()
    assert 0 < len(large.asked) < 96
    transport = Answers()
    run(transport, items(*range(99)), output)
    kept = {name for name, answer in answers(output).items() if answer != f"about {name}"}
    assert kept.isdisjoint(transport.asked)
    assert len(answers(output)) == 99


def test_a_file_that_cannot_be_written_ends_a_run_and_loses_nothing(tmp_path: Path) -> None:
    blocker = tmp_path / ".part-00000.jsonl.part"

    def answer(question: str) -> Step:
        blocker.mkdir(exist_ok=True)
        return echo(question)

    transport = Answers(answer)
    with pytest.raises(BulkError, match=r"part-00000\.jsonl.*All answers are in the ledger"):
        run(transport, items(*range(40)), tmp_path, format=JSON, rows_per_shard=10, concurrent=2)
    blocker.rmdir()
    again = Answers()
    summary = run(again, items(*range(40)), tmp_path, format=JSON, rows_per_shard=10)
    assert set(transport.asked).isdisjoint(again.asked)
    assert answers(*summary.files) == {str(n): f"about {n}" for n in range(40)}
