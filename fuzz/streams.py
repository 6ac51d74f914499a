"""`ResponseStream` against the reference, the slow path, and itself in other fragmentations.

For each case:

1. It is decoded whole, byte by byte, a record a chunk, and in a fragmentation that is drawn. The
   outcome is always the same: events, class, message and fields of the error, snapshot.
2. With and without the fast path, the chunks that are drawn give the same at the same time.
3. The outcome is that of the reference, and each event is ready as soon as its last byte is in.
4. After the end, and after an error, nothing changes. Calls out of order raise
   `LocalProtocolError`, and no other error than the documented ones is raised.
"""

from __future__ import annotations

import copy
from bisect import bisect_right
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any, Final, NamedTuple

import msgspec

import sansio_moondream as sm
from fuzz.cases import Case, fine
from fuzz.reference.response import Expected
from sansio_moondream._wire.fast_path import slow_path_only  # the one seam: see its docstring
from sansio_moondream.testing import Outcome, record_ends, with_empty_chunks

ENDS: Final = (sm.State.COMPLETED, sm.State.FAILED)
PULLS: Final = ("events", "next event", "a few", "at the end")
"""Ways to take events: all after each chunk, one by one, some of them, or all at the end."""

_WITHOUT_V1 = sm.Endpoint("http://localhost:2020", api_key="planted-key")
"""It looks wrong, so some errors have a hint."""


class FailedError(AssertionError):
    """A case with another outcome than it should have."""


def check(right: object, what: str, *about: object) -> None:
    """Raise `FailedError` with all that helps to understand it, unless it is right."""
    if not right:
        raise FailedError("\n  ".join([what, *(repr(one)[:4000] for one in about)]))


class Moment(NamedTuple):
    """What is out after that many bytes: the number of events, the error or not, the snapshot."""

    fed: int
    events: int
    failed: bool
    snapshot: Any


class Run:
    """One run of a case in some chunks, to its end and beyond."""

    def __init__(self, case: Case, chunks: list[bytes], pull: str = "events") -> None:
        self.case = case
        self.stream: sm.ResponseStream[Any] = sm.ResponseStream(
            case.request, case.limits, sent=case.request.to_http(_WITHOUT_V1)
        )
        self.events: list[sm.Event] = []
        self.error: sm.MoondreamError | None = None
        self.moments: list[Moment] = []
        self._feed(chunks, pull)
        self._check_end()

    @property
    def outcome(self) -> tuple[Any, ...]:
        """What has to be the same for all chunks."""
        return Outcome(self.events, self.error, self.stream.snapshot).key

    def _feed(self, chunks: list[bytes], pull: str) -> None:
        stream = self.stream
        stream.receive_response(103)
        stream.receive_response(self.case.status_code, self.case.headers)
        fed, late = 0, 3
        for chunk in chunks:
            stream.receive_data(chunk)
            fed += len(chunk)
            if pull == "a few":
                self._take(fed % 3)
            elif pull != "at the end":
                self._take_singly() if pull == "next event" else self._take()
                failed = self.error is not None
                self.moments.append(Moment(fed, len(self.events), failed, stream.snapshot))
            if stream.state in ENDS:
                late -= 1
                if not late:
                    break  # nothing that comes now matters: a few chunks show it
        if self.case.ending is None:
            stream.receive_eof()
        else:
            stream.receive_error(copy.copy(self.case.ending))
        self._take()

    def _take(self, count: int | None = None) -> None:
        if count == 0:
            return
        try:
            for event in self.stream.events():
                check(self.error is None, "an event after the error", event, self.case)
                self.events.append(event)
                if len(self.events) == count:
                    return
        except sm.MoondreamError as error:
            self._fail(error)

    def _take_singly(self) -> None:
        try:
            while not isinstance(event := self.stream.next_event(), sm.Signal):
                self.events.append(event)
            completed = self.stream.state is sm.State.COMPLETED
            check((event is sm.FINISHED) == completed, "FINISHED at the wrong time", self.case)
        except sm.MoondreamError as error:
            self._fail(error)

    def _fail(self, error: sm.MoondreamError) -> None:
        about = (error, self.error, self.case)
        check(not isinstance(error, sm.LocalProtocolError), "a call in order is refused", *about)
        check(self.error in (None, error), "another error after the error", *about)
        self.error = error

    def _check_end(self) -> None:
        stream, case = self.stream, self.case
        if self.error is None:
            check(
                stream.state is sm.State.COMPLETED,
                "neither complete nor failed",
                stream.state,
                case,
            )
            completed = [event for event in self.events if isinstance(event, sm.Completed)]
            check(self.events[-1:] == completed, "Completed is not last", self.events, case)
            results = [completed[0].result, stream.result(), stream.snapshot]
            check(results[0] == results[1] == results[2], "results differ", *results, case)
            check(stream.next_event() is sm.FINISHED, "an event after the end", case)
        else:
            check(stream.state is sm.State.FAILED, "an error, but not failed", self.error, case)
            kept = self.error.partial
            check(kept == stream.snapshot, "partial and snapshot differ", kept, case)
            again: list[Callable[[], object]] = [stream.next_event, stream.result, self._take]
            for call in again:
                try:
                    call()
                except sm.MoondreamError as error:
                    self._fail(error)
        for late in (partial(stream.receive_data, b"late"), partial(stream.receive_response, 200)):
            try:
                late()
            except sm.LocalProtocolError:
                continue
            raise FailedError(f"a call out of order is accepted\n  {case}")
        stream.receive_eof()
        stream.receive_error(OSError("late"))


def check_stream(case: Case, chunks: list[bytes], *pulls: str) -> None:
    """Check one case. Events are taken from `chunks` in each of the ways `pulls`."""
    wire = case.wire
    ends = [0, *record_ends(wire), len(wire)]
    records = [wire[start:end] for start, end in pairwise(ends)]
    chunks = with_empty_chunks(chunks)
    whole = Run(case, [wire])
    _check_encodable(whole)
    runs = [whole]

    def check_run(name: str, fragments: list[bytes], pull: str) -> Run:
        run = Run(case, fragments, pull)
        about = (run.outcome, whole.outcome, case, fragments)
        check(run.outcome == whole.outcome, f"{name} it has another outcome than whole", *about)
        runs.append(run)
        return run

    check_run("byte by byte", fine(wire), "next event")
    check_run("a record a chunk", records, "events")
    for pull in pulls:
        fast = check_run("in these chunks", chunks, pull)
        with slow_path_only():
            slow = Run(case, chunks, pull)
        about = (fast.outcome, slow.outcome, case, chunks)
        check(fast.outcome == slow.outcome, "the slow path has another outcome", *about)
        check(fast.moments == slow.moments, "the slow path is not in step", *about)
    _check_expected(case, whole, runs)


def _check_expected(case: Case, whole: Run, runs: list[Run]) -> None:
    expected = case.expected()
    error = type(whole.error) if whole.error else None
    about = (whole.events, whole.error, expected, case)
    check(whole.events == expected.events, "the reference has other events", *about)
    check(error == expected.error, "the reference has another error", *about)
    snapshot = whole.stream.snapshot
    check(snapshot == expected.snapshot, "the reference has another snapshot", snapshot, *about)
    if case.wire is expected.body:  # when zlib gives out bytes is its own affair
        for run in runs:
            for moment in run.moments:
                _check_moment(case, moment, expected)


def _check_moment(case: Case, moment: Moment, expected: Expected) -> None:
    due = bisect_right(expected.due, moment.fed)
    check(moment.events == due, f"not {due} events are ready", moment, expected, case)
    failed = expected.error is not None and expected.error_due <= moment.fed
    check(moment.failed == failed, f"failed is not {failed}", moment, expected, case)


def _check_encodable(run: Run) -> None:
    """Check that no surrogate is given out: nobody could print or store it."""
    fields = [str(value) for value in vars(run.error).values()] if run.error else []
    try:
        msgspec.json.encode(
            [run.events, run.stream.snapshot, str(run.error), fields], enc_hook=dict
        )
    except UnicodeEncodeError as caught:
        raise FailedError(f"a surrogate is given out\n  {run.outcome}\n  {run.case}") from caught
