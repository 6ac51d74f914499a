"""Timeouts.total spans all attempts and waits of an exchange."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from moondream_transports import RetryPolicy, Timeouts
from sansio_moondream import (
    ConnectError,
    ConnectTimeout,
    FirstEventTimeout,
    ServerError,
    TotalTimeout,
)
from tests.helpers import QUERY
from tests.transports.fakes import ENDPOINT, FakeStream
from tests.transports.retries.exchanges import (
    EACH,
    NO_BACKOFF,
    Clock,
    ResponseSequence,
    Run,
    http_error,
    refused,
    whole,
)


class TestTotal:
    """The deadline of the whole exchange spans all attempts and waits."""

    def test_a_wait_that_does_not_fit_is_not_begun(self) -> None:
        run = Run(EACH[0], http_error(503, "10"), retries=RetryPolicy(), timeouts=Timeouts(total=5))
        assert (type(run.outcome), run.waits) == (ServerError, [])

    def test_each_attempt_is_given_what_is_left(self) -> None:
        clock = Clock()
        timeouts = Timeouts(connect=7, first_event=9, idle=3, total=20)
        responses = [http_error(503, "4"), http_error(503, "10"), whole()]
        waits: list[float] = []

        def sleep(seconds: float) -> None:
            waits.append(seconds)
            clock.now += seconds

        sequence = ResponseSequence(*responses, clock=clock)
        client = EACH[0].client(
            sequence, ENDPOINT, retries=RetryPolicy(), timeouts=timeouts, sleep=sleep
        )
        assert EACH[0].run(client.send, QUERY).text == "A moon"
        assert waits == [4, 10]
        assert [response.timeouts for response in responses] == [
            Timeouts(7, 9, 3, 20),
            Timeouts(7, 9, 3, 16),
            Timeouts(6, 6, 3, 6),
        ]

    def test_first_event_counts_anew(self) -> None:
        clock = Clock()
        slow = FakeStream(lambda: clock.passes(5, b""), status_code=503, connected_at=clock.now)
        last = whole()
        client = EACH[0].client(
            ResponseSequence(slow, last, clock=clock),
            ENDPOINT,
            retries=NO_BACKOFF,
            timeouts=Timeouts(first_event=6, total=None),
        )
        assert EACH[0].run(client.send, QUERY).text == "A moon"
        assert last.reads[0] == 6

    def test_a_wait_that_took_longer_ends_with_the_fault(self) -> None:
        clock = Clock()
        for first in (refused(), http_error(503)):
            run = Run(
                EACH[0],
                first,
                before_wait=lambda: clock.passes(99),
                clock=clock,
                retries=RetryPolicy(),
                timeouts=Timeouts(total=20),
            )
            assert type(run.outcome) is (ConnectError if first.refuses else ServerError)
            assert len(run.waits) == 1

    @given(
        total=st.floats(0.1, 100),
        policy=st.builds(
            RetryPolicy,
            max_attempts=st.integers(1, 6),
            initial_backoff=st.floats(0, 30),
            max_backoff=st.floats(0, 60),
            max_retry_after=st.floats(0, 200),
            jitter=st.floats(0, 1),
        ),
        steps=st.lists(
            st.tuples(
                st.sampled_from(["refused", "hangs", "busy", "stalls", "dribbles", "whole"]),
                st.floats(0, 40),
                st.sampled_from([None, "0", "3", "59", "500", "soon"]),
            ),
            min_size=6,
            max_size=6,
        ),
    )
    def test_is_never_overrun(
        self, total: float, policy: RetryPolicy, steps: list[tuple[str, float, str | None]]
    ) -> None:
        """Whatever the server does and however long it takes, over a transport that keeps to what
        it is given.
        """
        clock = Clock()
        opened_at = clock.now

        class Transport:
            attempts = 0

            def __init__(self) -> None:
                self.clock = clock

            def send(self, request: Any, timeouts: Timeouts) -> FakeStream:
                what, seconds, retry_after = steps[self.attempts]
                seconds += (
                    0.5 if what == "dribbles" else 0
                )  # else it could go on for ever in no time
                self.attempts += 1
                for span in (timeouts.connect, timeouts.first_event, timeouts.total):
                    assert span is not None
                    assert 0 < span <= opened_at + total - clock.now + 1e-6
                assert timeouts.connect is not None
                if what == "hangs" or seconds > timeouts.connect:
                    clock.passes(timeouts.connect)
                    raise ConnectTimeout("slow")
                clock.passes(seconds)
                if what == "refused":
                    raise ConnectError("refused")
                response = http_error(503, retry_after) if what in ("busy", "stalls") else whole()

                def read(timeout: float | None) -> bytes:
                    assert timeout is not None
                    if what == "stalls" or seconds > timeout:
                        clock.passes(timeout)
                        raise TimeoutError
                    clock.passes(seconds)
                    if what == "dribbles":
                        return b": wait\n\n"
                    return FakeStream.read(response, timeout)

                response.read = read  # type: ignore[method-assign]
                return response

        transport = Transport()
        waits: list[float] = []

        def sleep(seconds: float) -> None:
            assert clock.now + seconds < opened_at + total
            waits.append(seconds)
            clock.passes(seconds)

        client = EACH[0].client(
            transport, ENDPOINT, timeouts=Timeouts(total=total), retries=policy, sleep=sleep
        )
        with suppress(ConnectError, ConnectTimeout, ServerError, TotalTimeout, FirstEventTimeout):
            assert EACH[0].run(client.send, QUERY).text == "A moon"
        assert (
            clock.now <= opened_at + total + 0.02 + 1e-6
        )  # the end of the framing is waited for behind the answer
        assert transport.attempts <= policy.max_attempts
        assert len(waits) == transport.attempts - 1
