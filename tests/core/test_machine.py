"""The public calls of `ResponseStream` in any order, against a model of its rules."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sansio_moondream import (
    FINISHED,
    NEED_DATA,
    TRANSITIONS,
    Completed,
    Limits,
    LocalProtocolError,
    MoondreamError,
    ResponseStream,
    State,
    Unknown,
)
from sansio_moondream.testing import EVENT_STREAM, run
from tests.core.fragments import fragments
from tests.core.test_properties import bodies
from tests.helpers import END, REQUESTS

HEADS = [
    (200, EVENT_STREAM),
    (200, (("content-type", "application/json"),)),
    (200, ()),
    (200, (("content-type", "text/html"),)),
    (204, ()),
    (307, (("location", "https://example.org/v1?key=x"),)),
    (429, (("retry-after", "7"),)),
]
ERRORS = [OSError("reset"), MoondreamError("from the transport")]


class AnyOrder(RuleBasedStateMachine):
    """Remember the input, and expect the events that one `run` over the same bytes gives."""

    @initialize(
        skill=st.sampled_from(sorted(REQUESTS)),
        limits=st.just(Limits()) | st.just(Limits(max_record_bytes=50, max_text_bytes=9)),
    )
    def begin(self, skill: str, limits: Limits) -> None:
        self.request, self.limits = REQUESTS[skill], limits
        self.stream: ResponseStream[Any] = ResponseStream(self.request, limits)
        self.head: Any = None
        self.fed = b""
        self.ending: Any = "open"
        self.taken: list[Any] = []
        self.raised: list[MoondreamError] = []
        self.seen = State.AWAITING_RESPONSE

    @rule(head=st.sampled_from(HEADS))
    def receive_response(self, head: Any) -> None:
        if self.head is not None or self.ending != "open":
            self.is_refused(lambda: self.stream.receive_response(*head))
        else:
            self.stream.receive_response(*head)
            self.head = head

    @rule()
    def receive_informational(self) -> None:
        if self.head is None and self.ending == "open":
            self.stream.receive_response(103)

    @rule(data=fragments | bodies | st.just(END))
    def receive_data(self, data: bytes) -> None:
        if self.head is None or self.ending != "open":
            self.is_refused(lambda: self.stream.receive_data(data))
        else:
            self.stream.receive_data(data)
            self.fed += data

    @precondition(lambda self: len(self.fed) > 40)
    @rule()
    def receive_eof(self) -> None:
        self.stream.receive_eof()
        self.ending = None if self.ending == "open" else self.ending

    @precondition(lambda self: len(self.fed) > 40 or self.head is None)
    @rule(error=st.sampled_from(ERRORS))
    def receive_error(self, error: Exception) -> None:
        self.stream.receive_error(error)
        self.ending = error if self.ending == "open" else self.ending

    @rule(most=st.integers(0, 3))
    def take_some(self, most: int) -> None:
        try:
            for count, event in enumerate(self.stream.events(), 1):
                self.taken.append(event)
                if count > most:
                    break
        except MoondreamError as error:
            self.raised.append(error)

    @rule()
    def take_next(self) -> None:
        try:
            event = self.stream.next_event()
        except MoondreamError as error:
            self.raised.append(error)
            return
        if event is FINISHED:
            assert self.stream.state is State.COMPLETED
        elif event is not NEED_DATA:
            self.taken.append(event)

    @rule()
    def ask_for_the_result(self) -> None:
        try:
            result = self.stream.result()
        except LocalProtocolError:
            assert self.stream.state not in (State.COMPLETED, State.FAILED)
        except MoondreamError as error:
            self.raised.append(error)
        else:
            assert self.stream.state is State.COMPLETED
            assert result is self.stream.snapshot

    @invariant()
    def states_follow_the_table(self) -> None:
        if not hasattr(self, "seen"):
            return
        reachable, frontier = {self.seen}, [self.seen]
        while frontier:
            for state in TRANSITIONS[frontier.pop()].values():
                if state not in reachable:
                    reachable.add(state)
                    frontier.append(state)
        assert self.stream.state in reachable
        self.seen = self.stream.state

    @invariant()
    def errors_stay(self) -> None:
        if getattr(self, "raised", None):
            assert all(error is self.raised[0] for error in self.raised)
            assert self.stream.state is State.FAILED

    def is_refused(self, call: Any) -> None:
        before = self.stream.state
        try:
            call()
        except LocalProtocolError:
            assert self.stream.state is before
        else:
            raise AssertionError("a call out of order was taken")

    def teardown(self) -> None:
        if getattr(self, "head", None) is None:
            return
        self.take_all()
        ending = None if self.ending == "open" else self.ending
        status_code, headers = self.head
        expected = run(
            self.request,
            [self.fed],
            ending=ending,
            status_code=status_code,
            headers=headers,
            limits=self.limits,
        )
        if self.ending == "open" and not self.raised and self.stream.state is not State.COMPLETED:
            assert self.taken == expected.events[: len(self.taken)]
            return
        assert self.taken == expected.events
        assert [str(error) for error in self.raised[:1]] == [
            str(error) for error in [expected.error] if error is not None
        ]
        assert self.stream.snapshot == expected.snapshot
        assert not any(isinstance(event, Completed) for event in self.taken[:-1])
        assert all(
            isinstance(event.data, dict) for event in self.taken if isinstance(event, Unknown)
        )

    def take_all(self) -> None:
        for _ in range(2):
            self.take_some(10**9)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(stateful_step_count=25)
