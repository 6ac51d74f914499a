"""RetryPolicy alone: which errors are retried, and after how long."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moondream_transports import RetryPolicy
from sansio_moondream import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    FirstEventTimeout,
    Headers,
    IdleTimeout,
    IncompleteStream,
    LimitExceeded,
    LocalProtocolError,
    MoondreamError,
    NotFoundError,
    PayloadTooLargeError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
    RemoteProtocolError,
    ServerError,
    TLSError,
    TotalTimeout,
    TransportError,
    TurnTimeout,
)
from tests.transports.retries.exchanges import NOW, busy

PASSING: list[MoondreamError] = [
    ConnectError("refused"),
    ConnectTimeout("slow"),
    RateLimitError("busy", status_code=429),
    *(
        ServerError("down", status_code=status_code)
        for status_code in (500, 501, 502, 503, 520, 523, 525, 529, 599)
    ),
    TurnTimeout("queued"),
    RateLimitError("busy", status_code=200),  # said in a 200
    ServerError("down", status_code=200),
    ServerError("down", status_code=200, code="503"),
]
LASTING: list[MoondreamError] = [
    MoondreamError("?"),
    LocalProtocolError("out of order"),
    RemoteProtocolError("garbage"),
    LimitExceeded("too much"),
    TransportError("?"),
    TLSError("expired"),
    FirstEventTimeout("silent"),
    IncompleteStream("cut short"),
    ConnectionLost("reset"),
    IdleTimeout("silent"),
    TotalTimeout("late"),
    APIError("?", status_code=200),
    APIError("slow", status_code=408),
    *(ServerError("slow", status_code=status_code) for status_code in (504, 524)),
    *(ServerError("slow", status_code=200, code=code) for code in ("408", "504", "524")),
    *(APIError("elsewhere", status_code=status_code) for status_code in (301, 302, 307, 308)),
    *(APIError("?", status_code=status_code) for status_code in (405, 409, 410, 418, 425)),
    BadRequestError("?", status_code=400),
    BadRequestError("?", status_code=422),
    AuthenticationError("?", status_code=401),
    PaymentRequiredError("?", status_code=402),
    PermissionDeniedError("?", status_code=403),
    NotFoundError("?", status_code=404),
    PayloadTooLargeError("?", status_code=413),
]


def describe(error: MoondreamError) -> str:
    return f"{type(error).__name__} {getattr(error, 'status_code', '')}"


def test_every_class_of_error_is_in_the_tables() -> None:
    def tree(kind: type[MoondreamError]) -> set[type[MoondreamError]]:
        return {kind}.union(*map(tree, kind.__subclasses__()))

    ours = {kind for kind in tree(MoondreamError) if kind.__module__.startswith("sansio_moondream")}
    assert {type(error) for error in [*PASSING, *LASTING]} == ours


class TestPolicy:
    @pytest.mark.parametrize("error", PASSING, ids=describe)
    def test_a_fault_that_passes(self, error: MoondreamError) -> None:
        for attempts in (1, 2, 3, 9):
            policy = RetryPolicy(max_attempts=attempts)
            waits = [policy.wait(error, attempt, NOW) for attempt in range(1, attempts + 2)]
            assert waits == [*[0.5, 1, 2, 4, 8, 8, 8, 8][: attempts - 1], None, None]

    @pytest.mark.parametrize("error", LASTING, ids=describe)
    def test_a_fault_that_lasts(self, error: MoondreamError) -> None:
        for attempts in (1, 2, 3, 9):
            policy = RetryPolicy(max_attempts=attempts)
            waits = {policy.wait(error, attempt, NOW, 0.5) for attempt in range(1, attempts + 2)}
            assert waits == {None}, attempts

    def test_half_of_the_backoff_is_random(self) -> None:
        policy = RetryPolicy(max_attempts=9, initial_backoff=1, max_backoff=4)
        for random, waits in {0: [0.5, 1, 2, 2], 0.5: [0.75, 1.5, 3, 3], 1: [1, 2, 4, 4]}.items():
            assert [policy.wait(PASSING[0], number, NOW, random) for number in range(1, 5)] == waits

    @pytest.mark.parametrize(("jitter", "wait"), [(0, 4), (0.25, 3.5), (1, 2)])
    def test_jitter_is_the_random_share(self, jitter: float, wait: float) -> None:
        policy = RetryPolicy(initial_backoff=4, jitter=jitter)
        assert [policy.wait(PASSING[0], 1, NOW, random) for random in (0, 0.5, 1)] == [
            4 * (1 - jitter),
            wait,
            4,
        ]

    @given(
        st.floats(0, 1),
        st.integers(1, 10**6),
        st.floats(0, 1e9),
        st.floats(0, 1e9),
        st.floats(0, 1),
    )
    def test_a_wait_is_within_the_jitter_of_the_backoff(
        self, jitter: float, attempt: int, first: float, longest: float, random: float
    ) -> None:
        backoff = min(first * 2.0 ** min(attempt - 1, 1000), longest)
        policy = RetryPolicy(
            max_attempts=10**7, initial_backoff=first, max_backoff=longest, jitter=jitter
        )
        wait = policy.wait(PASSING[0], attempt, NOW, random)
        assert wait is not None
        assert backoff * (1 - jitter) <= wait <= backoff

    @pytest.mark.parametrize(
        ("value", "wait"),
        {
            "7": 7,
            "1.5": 1.5,
            "60": 60,
            "0": 0.5,  # no shorter than the backoff
            "0.2": 0.5,
            "61": None,  # more than max_retry_after
            "86400": None,
            "9" * 9: None,
            "9" * 40: None,
            "-1": 0.5,
            "soon": 0.5,
            "": 0.5,
            "\xb2": 0.5,
            "7, 7": 0.5,
            "Wed, 21 Oct 2026 07:28:30 GMT": 30,
            "Wednesday, 21-Oct-26 07:28:30 GMT": 30,  # RFC 850
            "Wed Oct 21 07:28:30 2026": 30,  # asctime, which has no zone
            "Wed, 21 Oct 2026 09:28:30 +0200": 30,  # no HTTP date, but clear
            "Wed, 21 Oct 2026 07:29:00 GMT": 60,
            "Wed, 21 Oct 2026 07:28:60 GMT": 0.5,  # a leap second, which few can read
            "Wed, 21 Oct 2026 07:29:01 GMT": None,
            "Wed, 21 Oct 2099 07:28:00 GMT": None,
            "Fri, 31 Dec 9999 23:59:59 GMT": None,
            "Wed, 21 Oct 2026 07:28:00 GMT": 0.5,  # now
            "Wed, 21 Oct 2026 07:27:59 GMT": 0.5,  # past
            "Thu, 01 Jan 1970 00:00:00 GMT": 0.5,
            "Wed, 21 Nonsense 2026 07:28:30 GMT": 0.5,
            "Wed, 99 Oct 2026 99:99:99 GMT": 0.5,
            "Wed, 21 Oct 99999999999999999999 07:28:30 GMT": 0.5,
        }.items(),
    )
    @pytest.mark.parametrize("status_code", [429, 503])
    def test_retry_after(self, value: str, wait: float | None, status_code: int) -> None:
        error = busy(value, status_code)
        assert RetryPolicy().wait(error, 1, NOW) == wait

    @pytest.mark.parametrize("status_code", [400, 401, 408, 413, 504, 524])
    def test_retry_after_makes_no_other_answer_pass(self, status_code: int) -> None:
        assert RetryPolicy().wait(busy("1", status_code), 1, NOW) is None

    @pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/Los_Angeles"])
    def test_a_date_is_the_same_wherever_the_machine_is(
        self, zone: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import time

        monkeypatch.setenv("TZ", zone)
        if hasattr(time, "tzset"):  # not on Windows
            time.tzset()
        try:
            assert RetryPolicy().wait(busy("Wed Oct 21 07:28:30 2026"), 1, NOW) == 30
        finally:
            monkeypatch.undo()
            if hasattr(time, "tzset"):
                time.tzset()

    @given(st.integers(0, 2**32), st.floats(0, 3600), st.floats(0, 3600))
    def test_any_date(self, moment: int, cap: float, ahead: float) -> None:
        date = format_datetime(datetime.fromtimestamp(moment, UTC), usegmt=True)
        error = RateLimitError("busy", status_code=429, headers=Headers([("Retry-After", date)]))
        wait = RetryPolicy(max_retry_after=cap, initial_backoff=1).wait(error, 1, moment - ahead)
        if abs(cap - ahead) > 1e-3:
            assert wait == (None if ahead > cap else pytest.approx(max(1, ahead), abs=1e-5))

    @given(
        st.one_of(
            st.text(max_size=60),
            st.from_regex(r"[A-Z][a-z]{2},? \d{1,2}[ -](Oct|Feb|\d+)[ -]\d+ \d+:\d+(:\d+)?.{0,9}"),
        )
    )
    def test_what_a_server_sends_is_never_a_crash(self, value: str) -> None:
        error = RateLimitError("busy", status_code=429, headers=Headers([("Retry-After", value)]))
        wait = RetryPolicy().wait(error, 1, NOW)
        assert wait is None or 0.5 <= wait <= 60

    def test_it_is_a_value(self) -> None:
        assert RetryPolicy() == RetryPolicy(3, 0.5, 8, 60, 0.5)
        assert hash(RetryPolicy(jitter=0)) == hash(RetryPolicy(jitter=0))
        assert pickle.loads(pickle.dumps(RetryPolicy(max_attempts=9))) == RetryPolicy(
            max_attempts=9
        )
        with pytest.raises(AttributeError):
            RetryPolicy().max_attempts = 9  # type: ignore[misc]

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"max_attempts": 0}, "max_attempts should be 1 or more"),
            ({"initial_backoff": -1}, "initial_backoff should be a finite number of seconds"),
            ({"max_backoff": float("inf")}, "max_backoff should be"),
            ({"max_retry_after": float("nan")}, "max_retry_after should be"),
            ({"jitter": -0.1}, "jitter should be a number from 0 to 1"),
            ({"jitter": 1.1}, "jitter should be"),
            ({"jitter": float("nan")}, "jitter should be"),
        ],
    )
    def test_values(self, wrong: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            RetryPolicy(**wrong)
