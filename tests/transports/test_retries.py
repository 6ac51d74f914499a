"""Retries: the policy, which is pure; both clients, with waits that do not wait; and every fault of
a real server.

No test here sleeps between two attempts, but for those that break a real wait off.
"""

from __future__ import annotations

import gc
import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import format_datetime
from time import monotonic
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moondream_transports import Hooks, RetryPolicy, Timeline, Timeouts
from moondream_transports.conformance._fault_cases import FAULTS, exchange
from moondream_transports.conformance._fault_server import TIMEOUT, FaultServer, Peer
from moondream_transports.conformance._faults import (
    WHOLE_BODY,
    WORDS,
    HTTPFault,
    answers,
    sized,
)
from moondream_transports.conformance._secrets import KEY
from sansio_moondream import (
    APIError,
    AuthenticationError,
    BadRequestError,
    CaptionRequest,
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    Endpoint,
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
    QueryResult,
    RateLimitError,
    RemoteProtocolError,
    ServerError,
    TLSError,
    TotalTimeout,
    TransportError,
)
from tests.helpers import PIXEL, QUERY, delta, record

from .adapters import ADAPTERS, Adapter, assert_no_key, each_adapter, never
from .fakes import ENDPOINT, WHOLE, AsyncFakeStream, FakeStream, JSONFakeStream

EACH = [Adapter(name, name, never) for name in ("sync", "asyncio", "trio")]
each_kind = pytest.mark.parametrize("kind", EACH, ids=lambda kind: kind.name)
each_async_kind = pytest.mark.parametrize("kind", EACH[1:], ids=lambda kind: kind.name)
QUICK = RetryPolicy(initial_backoff=0, max_backoff=0)
NOW = datetime(2026, 10, 21, 7, 28, tzinfo=UTC).timestamp()


class Several:
    """A transport that answers each attempt with the next of these."""

    def __init__(self, *tolds: FakeStream, clock: Any = None) -> None:
        self.clock = clock
        self.tolds = list(tolds)
        self.begun: list[FakeStream] = []

    def next(self) -> FakeStream:
        self.begun.append(self.tolds[len(self.begun)])
        return self.begun[-1]

    def send(self, request: Any, timeouts: Timeouts) -> FakeStream:
        return self.next().send(request, timeouts)

    @property
    def open(self) -> int:
        return sum(told.refuses is None for told in self.begun) - sum(
            bool(told.closed) for told in self.begun
        )


class AsyncSeveral:
    def __init__(self, several: Several) -> None:
        self.several = several

    async def send(self, request: Any, timeouts: Timeouts) -> AsyncFakeStream:
        return await AsyncFakeStream(self.several.next()).send(request, timeouts)


class Notes(Hooks):
    """What the hooks were told, and the last timeline."""

    def __init__(self) -> None:
        self.called: list[str] = []
        self.retries: list[tuple[int, MoondreamError, float]] = []
        self.timeline: Timeline | None = None

    def on_start(self, timeline: Timeline) -> None:
        self.called.append("start")
        self.timeline = timeline

    def on_head(self, timeline: Timeline) -> None:
        self.called.append(f"head {timeline.status_code}")

    def on_first_event(self, timeline: Timeline) -> None:
        self.called.append("first event")

    def on_retry(self, timeline: Timeline, error: MoondreamError, seconds: float) -> None:
        self.called.append("retry")
        self.retries.append((timeline.attempts, error, seconds))

    def on_end(self, timeline: Timeline) -> None:
        assert timeline is self.timeline
        self.called.append("end")


class Run:
    """One exchange of a kind of client over these responses: its events, its outcome, and how long
    it waited between attempts.
    """

    def __init__(
        self,
        kind: Adapter,
        *tolds: FakeStream,
        before_wait: Callable[[], object] = lambda: None,
        clock: Any = None,
        **options: Any,
    ) -> None:
        self.several = Several(*tolds, clock=clock or Clock())  # no real time passes
        self.notes = Notes()
        self.waits: list[float] = []
        self.events: list[Any] = []
        self.outcome: Any = None

        def sleep(seconds: float) -> None:
            assert (
                self.several.open == 0
            )  # the connection of the attempt before is closed, or given back
            before_wait()
            self.waits.append(seconds)

        async def sleep_async(seconds: float) -> None:
            sleep(seconds)

        async def main() -> None:
            transport = AsyncSeveral(self.several) if kind.is_async else self.several
            sleeping = sleep_async if kind.is_async else sleep
            client = kind.client(
                transport, ENDPOINT, **{"sleep": sleeping, "hooks": self.notes} | options
            )
            try:
                async with client.stream(QUERY) as stream:
                    async for event in stream:
                        self.events.append(event)
                    self.outcome = await stream.result()
            except BaseException as error:
                self.outcome = error
                if not isinstance(error, Exception):
                    raise

        with suppress(KeyboardInterrupt):
            kind.run(main)
        assert self.several.open == 0
        assert self.notes.called[0] == "start"
        assert [self.notes.called.count("start"), self.notes.called.count("end")] == [1, 1]
        assert self.notes.called[-1] == "end"
        assert self.notes.timeline is not None
        self.attempts = self.notes.timeline.attempts
        assert self.attempts == len(self.several.begun)


def http_error(
    status_code: int, retry_after: str | None = None, body: bytes = b'{"error": "no"}'
) -> FakeStream:
    """An error answer."""
    told = JSONFakeStream(body, b"", status_code=status_code)
    told.headers = (
        [*told.headers, ("Retry-After", retry_after)] if retry_after is not None else told.headers
    )
    return told


def whole() -> FakeStream:
    return FakeStream(*WHOLE)


def refused() -> FakeStream:
    return FakeStream(refuses=ConnectError("refused"))


def busy(retry_after: str | None = None, status_code: int = 503) -> APIError:
    """The error of such an answer, as the core makes it."""
    (attempt,) = Run(EACH[0], http_error(status_code, retry_after)).several.begun
    assert attempt.closed == 1
    error = Run(EACH[0], http_error(status_code, retry_after)).outcome
    assert isinstance(error, APIError)
    return error


# --- The policy alone

PASSING: list[MoondreamError] = [
    ConnectError("refused"),
    ConnectTimeout("slow"),
    RateLimitError("busy", status_code=429),
    APIError("slow", status_code=408),
    *(
        ServerError("down", status_code=status_code)
        for status_code in (500, 501, 502, 503, 504, 520, 529, 599)
    ),
    RateLimitError("busy", status_code=200),  # said in a 200
    ServerError("down", status_code=200),
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


def named(error: MoondreamError) -> str:
    return f"{type(error).__name__} {getattr(error, 'status_code', '')}"


def test_every_class_of_error_is_in_the_tables() -> None:
    def tree(kind: type[MoondreamError]) -> set[type[MoondreamError]]:
        return {kind}.union(*map(tree, kind.__subclasses__()))

    ours = {kind for kind in tree(MoondreamError) if kind.__module__.startswith("sansio_moondream")}
    assert {type(error) for error in [*PASSING, *LASTING]} == ours


class TestPolicy:
    @pytest.mark.parametrize("error", PASSING, ids=named)
    @pytest.mark.parametrize("attempts", [1, 2, 3, 9])
    def test_a_fault_that_passes(self, error: MoondreamError, attempts: int) -> None:
        policy = RetryPolicy(max_attempts=attempts)
        waits = [policy.wait(error, attempt, NOW) for attempt in range(1, attempts + 2)]
        assert waits == [*[0.5, 1, 2, 4, 8, 8, 8, 8][: attempts - 1], None, None]

    @pytest.mark.parametrize("error", LASTING, ids=named)
    @pytest.mark.parametrize("attempts", [1, 2, 3, 9])
    def test_a_fault_that_lasts(self, error: MoondreamError, attempts: int) -> None:
        policy = RetryPolicy(max_attempts=attempts)
        assert {policy.wait(error, attempt, NOW, 0.5) for attempt in range(1, attempts + 2)} == {
            None
        }

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
    @pytest.mark.parametrize("status_code", [408, 429, 503])
    def test_retry_after(self, value: str, wait: float | None, status_code: int) -> None:
        error = busy(value, status_code)
        assert RetryPolicy().wait(error, 1, NOW) == wait

    @pytest.mark.parametrize("status_code", [400, 401, 413])
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
        ("wrong", "words"),
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
    def test_values(self, wrong: dict[str, Any], words: str) -> None:
        with pytest.raises(ValueError, match=words):
            RetryPolicy(**wrong)


# --- The clients

STATUSES: dict[int, type[APIError]] = {
    302: APIError,
    400: BadRequestError,
    401: AuthenticationError,
    402: PaymentRequiredError,
    403: PermissionDeniedError,
    404: NotFoundError,
    408: APIError,
    413: PayloadTooLargeError,
    422: BadRequestError,
    429: RateLimitError,
    500: ServerError,
    502: ServerError,
    503: ServerError,
    504: ServerError,
}
# How an exchange can fail before its first event, and whether it passes. Each makes the response
# anew.
BEFORE: dict[str, tuple[Callable[[], FakeStream], type[MoondreamError], bool]] = {
    **{
        f"refused: {kind.__name__}": (
            (lambda kind=kind: FakeStream(refuses=kind("no"))),  # type: ignore[misc]
            kind,
            kind in (ConnectError, ConnectTimeout),
        )
        for kind in (
            ConnectError,
            ConnectTimeout,
            TLSError,
            FirstEventTimeout,
            ConnectionLost,
            RemoteProtocolError,
            TotalTimeout,
        )
    },
    "no head in time": (lambda: FakeStream(refuses=TimeoutError()), FirstEventTimeout, False),
    **{
        f"status {status}": (
            (lambda status=status: http_error(status)),  # type: ignore[misc]
            kind,
            status in (408, 429) or status >= 500,
        )
        for status, kind in STATUSES.items()
    },
    "error body that stalls": (
        lambda: FakeStream(b"sorry", TimeoutError(), status_code=500),
        ServerError,
        True,
    ),
    "error body that breaks": (
        lambda: FakeStream(b"sorry", ConnectionLost("reset"), status_code=500),
        ServerError,
        True,
    ),
    "rate limit in the stream": (
        lambda: FakeStream(record({"error": {"message": "no", "type": "rate_limit_error"}})),
        RateLimitError,
        True,
    ),
    "overloaded in the stream": (
        lambda: FakeStream(record({"error": {"message": "no", "type": "overloaded_error"}})),
        ServerError,
        True,
    ),
    "bad key in the stream": (
        lambda: FakeStream(record({"error": {"message": "no", "type": "authentication_error"}})),
        AuthenticationError,
        False,
    ),
    "error in the stream": (lambda: FakeStream(record({"error": "no"})), APIError, False),
    "error behind empty text": (
        lambda: FakeStream(delta(""), record({"error": {"type": "server_error"}})),
        ServerError,
        True,
    ),
    "lost after the head": (lambda: FakeStream(ConnectionLost("reset")), ConnectionLost, False),
    "silent after the head": (lambda: FakeStream(TimeoutError()), FirstEventTimeout, False),
    "empty stream": (lambda: FakeStream(b""), IncompleteStream, False),
    "garbage": (lambda: FakeStream(b"data: {\n\n"), RemoteProtocolError, False),
}
AFTER: dict[str, tuple[Callable[[], FakeStream], type[MoondreamError]]] = {
    "lost": (lambda: FakeStream(delta("A"), ConnectionLost("reset")), ConnectionLost),
    "refusal that comes late": (lambda: FakeStream(delta("A"), ConnectError("no")), ConnectError),
    "silent": (lambda: FakeStream(delta("A"), TimeoutError()), IdleTimeout),
    "cut short": (lambda: FakeStream(delta("A"), b""), IncompleteStream),
    "garbage": (lambda: FakeStream(delta("A"), b"data: {\n\n"), RemoteProtocolError),
    "rate limit": (
        lambda: FakeStream(delta("A"), record({"error": {"type": "rate_limit_error"}})),
        RateLimitError,
    ),
    "rate limit in the same chunk": (
        lambda: FakeStream(delta("A") + record({"error": {"type": "rate_limit_error"}})),
        RateLimitError,
    ),
    "overloaded": (
        lambda: FakeStream(delta("A"), record({"error": {"type": "overloaded_error"}})),
        ServerError,
    ),
}
POLICIES = {
    "off": None,
    "2": RetryPolicy(max_attempts=2, jitter=0),
    "4": RetryPolicy(max_attempts=4, jitter=0),
}


@each_kind
@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
class TestEachFault:
    @pytest.mark.parametrize("fault", BEFORE)
    def test_before_the_first_event(
        self, kind: Adapter, policy: RetryPolicy | None, fault: str
    ) -> None:
        make, error, passes = BEFORE[fault]
        attempts = 1 if policy is None or not passes else policy.max_attempts
        # It lasts: the last fault is raised.
        tolds = [make() for _ in range(attempts)]
        run = Run(kind, *tolds, retries=policy)
        assert (type(run.outcome), run.attempts, run.events) == (error, attempts, [])
        assert len(run.waits) == attempts - 1
        assert run.outcome.__context__ is None or not any(
            error is run.outcome.__context__ for _, error, _ in run.notes.retries
        )
        assert getattr(run.outcome, "__notes__", []) == (
            [f"{attempts} attempts were made (RetryPolicy)"] if attempts > 1 else []
        )
        # It passes after each number of attempts: the answer is whole.
        for failing in range(1, attempts):
            run = Run(kind, *(make() for _ in range(failing)), whole(), retries=policy)
            assert isinstance(run.outcome, QueryResult), run.outcome
            assert (run.outcome.text, len(run.events), run.attempts) == ("A moon", 3, failing + 1)
            assert policy is not None
            assert (
                run.several.begun[-1].steps == []
            )  # to the end of the body, so that the connection can be used again
            assert run.waits == [
                policy.wait(ConnectError(), attempt, 0) for attempt in range(1, failing + 1)
            ]
            assert [(number, type(seen), wait) for number, seen, wait in run.notes.retries] == [
                (number, error, wait) for number, wait in enumerate(run.waits, 1)
            ]

    @pytest.mark.parametrize("fault", AFTER)
    @pytest.mark.parametrize("failing", [0, 1])
    def test_after_the_first_event(
        self, kind: Adapter, policy: RetryPolicy | None, fault: str, failing: int
    ) -> None:
        failing = 0 if policy is None else failing
        make, error = AFTER[fault]
        run = Run(kind, *(http_error(503) for _ in range(failing)), make(), retries=policy)
        assert (type(run.outcome), run.attempts, len(run.events)) == (error, failing + 1, 1)
        assert run.outcome.partial.text == "A"
        assert not hasattr(run.outcome, "__notes__")


@each_kind
class TestClient:
    def test_the_request_is_the_same_each_time(self, kind: Adapter) -> None:
        run = Run(kind, refused(), http_error(500), whole(), retries=RetryPolicy())
        assert [told.requests for told in run.several.begun] == [[QUERY.to_http(ENDPOINT)]] * 3

    def test_retry_after(self, kind: Adapter, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("moondream_transports._exchange.time", lambda: NOW)
        date = format_datetime(datetime.fromtimestamp(NOW + 20, UTC), usegmt=True)
        run = Run(kind, http_error(429, "7"), http_error(503, date), whole(), retries=RetryPolicy())
        assert run.waits == [7, 20]
        run = Run(kind, http_error(429, "61"), retries=RetryPolicy())
        assert (type(run.outcome), run.outcome.retry_after, run.waits) == (RateLimitError, 61, [])

    def test_hooks_and_the_timeline(self, kind: Adapter) -> None:
        run = Run(kind, refused(), http_error(503), whole(), retries=RetryPolicy())
        assert run.notes.called == [
            "start",
            "retry",
            "head 503",
            "retry",
            "head 200",
            "first event",
            "end",
        ]
        timeline = run.notes.timeline
        assert timeline is not None
        assert (timeline.attempts, timeline.status_code, timeline.error) == (3, 200, None)
        assert timeline.completed_at is not None
        run = Run(kind, http_error(503), refused(), retries=RetryPolicy(max_attempts=2))
        timeline = run.notes.timeline
        assert timeline is not None
        assert (timeline.attempts, timeline.status_code, timeline.head_at, timeline.error) == (
            2,
            None,
            None,
            run.outcome,
        )

    def test_the_log(self, kind: Adapter, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG, "moondream_transports")
        run = Run(kind, http_error(503), refused(), http_error(429, "61"), retries=RetryPolicy())
        lines = [
            (entry.levelname, entry.message)
            for entry in caplog.records
            if entry.name == "moondream_transports"
        ]
        assert [line.partition(":")[0] for _, line in lines] == [
            "start",
            "head",
            "retry",
            "retry",
            "head",
            "end",
        ]
        level, retry = lines[2]
        assert level == "INFO"
        wait = f"{run.waits[0]:.3f} s"
        assert (
            retry
            == f"retry: query at {ENDPOINT.url}/query, attempt 1 failed (ServerError, status 503), the next in {wait}"
        )
        assert_no_key(run.outcome, caplog.text, repr(run.notes.timeline), str(run.notes.timeline))
        assert run.outcome.__notes__ == ["3 attempts were made (RetryPolicy)"]
        assert QUERY.question not in caplog.text

    def test_a_hook_that_raises_or_is_missing_does_no_harm(
        self, kind: Adapter, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Broken(Notes):
            def on_retry(self, timeline: Timeline, error: MoondreamError, seconds: float) -> None:
                raise ZeroDivisionError

        class Old:
            """Written before there were retries, without `Hooks` as its base."""

            def on_start(self, timeline: Timeline) -> None: ...
            def on_head(self, timeline: Timeline) -> None: ...
            def on_first_event(self, timeline: Timeline) -> None: ...
            def on_end(self, timeline: Timeline) -> None: ...

        for hooks in (Broken(), Old()):

            async def main(hooks: Any = hooks) -> None:
                several = Several(refused(), whole())
                client = kind.client(
                    AsyncSeveral(several) if kind.is_async else several,
                    ENDPOINT,
                    retries=QUICK,
                    hooks=hooks,
                )
                assert (await client.send(QUERY)).text == "A moon"

            kind.run(main)
        assert caplog.text.count("a hook raised in on_retry; the exchange goes on") == 2

    def test_send_and_shorthands(self, kind: Adapter) -> None:
        async def main() -> None:
            several = Several(refused(), http_error(502), whole(), refused(), whole())
            client = kind.client(
                AsyncSeveral(several) if kind.is_async else several, ENDPOINT, retries=QUICK
            )
            assert (await client.send(QUERY)).text == "A moon"
            assert (await client.query(question="?")).text == "A moon"
            assert len(several.begun) == 5

        kind.run(main)

    def test_a_subclass_has_rules_of_its_own(self, kind: Adapter) -> None:
        class Bold(RetryPolicy, frozen=True):
            def wait(
                self, error: MoondreamError, attempt: int, now: float, random: float = 1.0
            ) -> float | None:
                if isinstance(error, ConnectionLost) and attempt < self.max_attempts:
                    return 3.0
                return super().wait(error, attempt, now, random)

        run = Run(
            kind,
            FakeStream(ConnectionLost("stale")),
            FakeStream(refuses=ConnectionLost("stale")),
            whole(),
            retries=Bold(),
        )
        assert (run.outcome.text, run.waits) == ("A moon", [3, 3])
        run = Run(kind, FakeStream(delta("A"), ConnectionLost("reset")), retries=Bold())
        assert (type(run.outcome), run.waits) == (ConnectionLost, [])

    @pytest.mark.parametrize("where", ["before the head", "after the head"])
    def test_what_is_no_fault_of_the_exchange_passes(self, kind: Adapter, where: str) -> None:
        class Greedy(RetryPolicy, frozen=True):
            def wait(
                self, error: MoondreamError, attempt: int, now: float, random: float = 1.0
            ) -> float | None:
                return 0.0

        bug = ZeroDivisionError()
        run = Run(
            kind,
            FakeStream(refuses=bug) if where == "before the head" else FakeStream(bug),
            retries=Greedy(),
        )
        assert (run.outcome, run.waits) == (bug, [])

    def test_an_error_of_the_user_is_none_to_retry(self, kind: Adapter) -> None:
        async def main() -> None:
            several = Several(refused(), whole())
            client = kind.client(
                AsyncSeveral(several) if kind.is_async else several, ENDPOINT, retries=QUICK
            )
            inner = ServerError("of another exchange", status_code=503)
            with pytest.raises(ServerError) as caught:
                async with client.stream(QUERY):
                    raise inner
            assert caught.value is inner
            assert not hasattr(inner, "__notes__")
            assert len(several.begun) == 2

        kind.run(main)

    def test_a_bug_in_a_policy_leaves_nothing_open(self, kind: Adapter) -> None:
        class Broken(RetryPolicy, frozen=True):
            def wait(
                self, error: MoondreamError, attempt: int, now: float, random: float = 1.0
            ) -> float | None:
                raise ZeroDivisionError

        for told in (refused(), http_error(503)):
            run = Run(kind, told, retries=Broken())
            assert type(run.outcome) is ZeroDivisionError

    def test_interrupted_while_it_waits(self, kind: Adapter) -> None:
        def interrupt() -> None:
            raise KeyboardInterrupt

        for told in (refused(), http_error(503)):
            run = Run(kind, told, before_wait=interrupt, retries=RetryPolicy())
            assert type(run.outcome) is KeyboardInterrupt
            assert run.notes.timeline is not None
            assert run.notes.timeline.error is run.outcome
            assert not hasattr(run.outcome, "__notes__")

    def test_after_the_last_fault_it_is_over(self, kind: Adapter) -> None:
        async def main() -> None:
            several = Several(http_error(503), http_error(503), whole())
            client = kind.client(
                AsyncSeveral(several) if kind.is_async else several,
                ENDPOINT,
                retries=RetryPolicy(2, 0, 0),
            )
            async with client.stream(QUERY) as stream:
                for _ in range(3):
                    with pytest.raises(ServerError) as caught:
                        await anext(stream)
                    assert caught.value.__notes__ == ["2 attempts were made (RetryPolicy)"]
            assert len(several.begun) == 2

        kind.run(main)

    def test_the_picture_is_let_go_at_the_first_event(self, kind: Adapter) -> None:
        async def main() -> None:
            several = Several(refused(), whole())
            client = kind.client(
                AsyncSeveral(several) if kind.is_async else several, ENDPOINT, retries=QUICK
            )
            request = CaptionRequest(image=PIXEL)
            held = sys.getrefcount(request)
            async with client.stream(request) as stream:
                assert sys.getrefcount(request) > held
                await anext(stream)
                several.begun.clear()
                gc.collect()
                assert sys.getrefcount(request) == held

        kind.run(main)


class TestTotal:
    """The deadline of the whole exchange spans all attempts and waits."""

    def test_a_wait_that_does_not_fit_is_not_begun(self) -> None:
        run = Run(EACH[0], http_error(503, "10"), retries=RetryPolicy(), timeouts=Timeouts(total=5))
        assert (type(run.outcome), run.waits) == (ServerError, [])

    def test_each_attempt_is_given_what_is_left(self) -> None:
        clock = Clock()
        timeouts = Timeouts(connect=7, first_event=9, idle=3, total=20)
        tolds = [http_error(503, "4"), http_error(503, "10"), whole()]
        waits: list[float] = []

        def sleep(seconds: float) -> None:
            waits.append(seconds)
            clock.now += seconds

        several = Several(*tolds, clock=clock)
        client = EACH[0].client(
            several, ENDPOINT, retries=RetryPolicy(), timeouts=timeouts, sleep=sleep
        )
        assert EACH[0].run(client.send, QUERY).text == "A moon"
        assert waits == [4, 10]
        assert [told.timeouts for told in tolds] == [
            Timeouts(7, 9, 3, 20),
            Timeouts(7, 9, 3, 16),
            Timeouts(6, 6, 3, 6),
        ]

    def test_first_event_counts_anew(self) -> None:
        clock = Clock()
        slow = FakeStream(lambda: clock.passes(5, b""), status_code=503, connected_at=clock.now)
        last = whole()
        client = EACH[0].client(
            Several(slow, last, clock=clock),
            ENDPOINT,
            retries=QUICK,
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
                told = http_error(503, retry_after) if what in ("busy", "stalls") else whole()

                def read(timeout: float | None) -> bytes:
                    assert timeout is not None
                    if what == "stalls" or seconds > timeout:
                        clock.passes(timeout)
                        raise TimeoutError
                    clock.passes(seconds)
                    if what == "dribbles":
                        return b": wait\n\n"
                    return FakeStream.read(told, timeout)

                told.read = read  # type: ignore[method-assign]
                return told

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


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def passes(self, seconds: float, data: bytes = b"") -> bytes:
        self.now += seconds
        return data


# --- The wait, broken off

LONG = RetryPolicy(initial_backoff=30, max_backoff=30)


class Calls(Notes):
    """Does something when a retry is told of."""

    def __init__(self, then: Callable[[], object]) -> None:
        super().__init__()
        self.then = then

    def on_retry(self, timeline: Timeline, error: MoondreamError, seconds: float) -> None:
        super().on_retry(timeline, error, seconds)
        self.then()


@pytest.mark.parametrize("first", [refused, lambda: http_error(503)], ids=["opening", "reading"])
class TestLeaving:
    @each_async_kind
    def test_cancelled(self, kind: Adapter, first: Callable[[], FakeStream]) -> None:
        async def main(cancel: Callable[[], object]) -> None:
            notes.then = cancel
            client = kind.client(AsyncSeveral(several), ENDPOINT, retries=LONG, hooks=notes)
            await client.send(QUERY)

        notes = Calls(lambda: None)
        several = Several(first())
        began = monotonic()
        kind.run(kind.cancelled, main)
        assert monotonic() - began < 20
        assert several.open == 0
        assert (notes.called[-2:], notes.called.count("end")) == (["retry", "end"], 1)
        assert notes.timeline is not None
        assert not isinstance(notes.timeline.error, Exception)

    @each_async_kind
    def test_closed_by_another_task(self, kind: Adapter, first: Callable[[], FakeStream]) -> None:
        async def main() -> None:
            client = kind.client(AsyncSeveral(several), ENDPOINT, retries=LONG, hooks=notes)
            stream = client.stream(QUERY)

            async def read() -> None:
                with pytest.raises(LocalProtocolError, match="not open"):
                    async with stream:
                        await stream.result()

            async def close() -> None:
                while not notes.retries:
                    await kind.sleep(0.001)
                await stream.aclose()

            await kind.together(read, close)

        notes = Notes()
        several = Several(first())
        began = monotonic()
        kind.run(main)
        assert monotonic() - began < 20
        assert several.open == 0
        assert notes.called.count("end") == 1

    def test_closed_by_another_thread(self, first: Callable[[], FakeStream]) -> None:
        several = Several(first())
        told = threading.Event()
        client = EACH[0].client(several, ENDPOINT, retries=LONG, hooks=(notes := Calls(told.set)))
        stream = client.stream(QUERY).sync  # type: ignore[attr-defined]

        def close() -> None:
            assert told.wait(20)
            stream.close()

        closer = threading.Thread(target=close)
        closer.start()
        began = monotonic()
        with pytest.raises(LocalProtocolError, match="not open"), stream:
            stream.result()
        closer.join()
        assert monotonic() - began < 20
        assert several.open == 0
        assert notes.called.count("end") == 1

    @each_kind
    def test_closed_while_an_error_is_read(
        self, kind: Adapter, first: Callable[[], FakeStream]
    ) -> None:
        """What was read of it still says 503, but nobody wants another attempt."""

        def close() -> bytes:
            with pytest.raises(StopIteration):  # nothing in it waits
                stream.aclose().send(None)
            raise ConnectionLost("closed while it was read")

        async def main() -> None:
            with pytest.raises(ServerError):
                async with stream:
                    await stream.result()

        several = Several(first(), FakeStream(b"sorry", close, status_code=503), whole())
        transport = AsyncSeveral(several) if kind.is_async else several
        notes = Notes()
        stream = kind.client(transport, ENDPOINT, retries=QUICK, hooks=notes).stream(QUERY)
        kind.run(main)
        assert len(several.begun) == 2
        assert several.open == 0
        assert notes.called.count("end") == 1

    @each_kind
    @pytest.mark.parametrize("when", ["before the wait", "in the next attempt"])
    def test_closed_by_the_program_itself(
        self, kind: Adapter, first: Callable[[], FakeStream], when: str
    ) -> None:
        """So that a hook can stop what it sees being tried again."""
        second = whole()
        several = Several(first(), second)
        transport = AsyncSeveral(several) if kind.is_async else several
        notes = Calls(lambda: close() if when == "before the wait" else None)
        stream = kind.client(transport, ENDPOINT, retries=QUICK, hooks=notes).stream(QUERY)
        send = second.send

        def close() -> None:
            with pytest.raises(StopIteration):  # nothing in it waits
                stream.aclose().send(None)

        def send_and_close(request: Any, timeouts: Timeouts) -> FakeStream:
            close()
            return send(request, timeouts)

        async def main() -> None:
            with pytest.raises(LocalProtocolError, match="not open"):
                async with stream:
                    await stream.result()

        second.send = send_and_close  # type: ignore[method-assign]
        kind.run(main)
        assert len(several.begun) == (1 if when == "before the wait" else 2)
        assert several.open == 0
        assert notes.called.count("end") == 1


def test_closed_by_another_thread_that_is_not_done_with_it() -> None:
    """The reader is woken by the closing of the connection, and does not take what it has read for
    a reason to try again.
    """
    closing, over = threading.Event(), threading.Event()

    class Slow(FakeStream):
        def close(self) -> None:
            super().close()
            closing.set()
            assert over.wait(20)

    def read() -> bytes:
        closer.start()
        assert closing.wait(20)
        raise ConnectionLost("closed while it was read")

    several = Several(Slow(b"sorry", read, status_code=503), whole())
    notes = Notes()
    stream = EACH[0].client(several, ENDPOINT, retries=QUICK, hooks=notes).stream(QUERY).sync  # type: ignore[attr-defined]
    closer = threading.Thread(target=stream.close)
    with pytest.raises(ServerError), stream:
        stream.result()
    over.set()
    closer.join()
    assert notes.called == ["start", "head 503", "end"]


@pytest.mark.skipif(sys.platform == "win32", reason="a wait for a lock cannot be interrupted there")
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_a_real_wait() -> None:
    program = f"""
import os, signal, threading, time
from moondream_transports import Client, Hooks, RetryPolicy
from sansio_moondream import ConnectError, Endpoint, QueryRequest

class Refuses:
    def send(self, request, timeouts):
        raise ConnectError("refused")

class Interrupts(Hooks):
    def on_retry(self, timeline, error, seconds):
        threading.Timer(0.05, os.kill, (os.getpid(), {int(signal.SIGINT)})).start()
    def on_end(self, timeline):
        print("end", type(timeline.error).__name__)

began = time.monotonic()
try:
    endpoint = Endpoint("http://localhost:2020/v1")
    retries = RetryPolicy(initial_backoff=60, max_backoff=60)
    client = Client(Refuses(), endpoint, retries=retries, hooks=Interrupts())
    client.send(QueryRequest(question="?"))
except KeyboardInterrupt:
    print("interrupted", time.monotonic() - began < 20)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=os.environ
    )
    assert (done.stdout.split("\n"), done.returncode) == (
        ["end KeyboardInterrupt", "interrupted True", ""],
        0,
    ), done.stderr


# --- Over real transports


ERRORS = [fault for fault in FAULTS if fault.error]


def passes(fault: HTTPFault) -> bool:
    """By the table of faults, not by the policy: 408, 429 and 5xx, before the first event."""
    return fault.about.get("status_code") in (408, 500, 502, 503, 504) or (
        fault.error is RateLimitError and not fault.events
    )


def until_served(server: FaultServer) -> None:
    """Every connection so far is closed: what a pool still holds of them, it can see to be dead."""
    end = monotonic() + TIMEOUT
    while server.is_busy():
        assert monotonic() < end
        time.sleep(0.001)


@pytest.mark.parametrize(
    "adapter",
    [d for d in ADAPTERS if d.name in ("urllib", "anyio-trio")],
    ids=lambda adapter: adapter.name,
)
@pytest.mark.parametrize("fault", ERRORS, ids=lambda fault: fault.id)
def test_every_fault(
    fault: HTTPFault,
    adapter: Adapter,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr("moondream_transports._exchange.time", lambda: NOW - 30)
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        until_served(server)
        waits.append(seconds)

    async def sleep_async(seconds: float) -> None:
        sleep(seconds)

    async def main() -> None:
        request = fault.request
        async with adapter.transport() as transport:
            events, outcome = await exchange(
                adapter,
                transport,
                server,
                request,
                timeouts=fault.timeouts,
                limits=fault.limits,
                retries=RetryPolicy(max_attempts=2, jitter=0),
                sleep=sleep_async if adapter.is_async else sleep,
            )
        assert_no_key(outcome, caplog.text)
        assert type(outcome) is fault.error, outcome
        assert hasattr(outcome, "__notes__") == passes(fault)
        assert len(events) >= fault.events

    with FaultServer(fault.script) as server:
        adapter.run(main)
    assert server.connections == 1 + passes(fault)
    asked = fault.about.get("retry_after", 0.5)
    assert waits == ([pytest.approx(asked)] if passes(fault) else [])


@each_adapter
class TestServer:
    """The same on every transport, with the waits that there really are."""

    def test_busy_then_whole(self, adapter: Adapter) -> None:
        responses = [
            sized(
                b'{"error": "busy"}',
                status_code=503,
                kind="application/json",
                Retry_After="0",
                Connection="close",
            ),
            sized(
                record({"error": {"message": "no", "type": "overloaded_error"}}), Connection="close"
            ),
            sized(WHOLE_BODY, Connection="close"),
        ]
        requests: list[tuple[bytes, bytes]] = []

        def script(peer: Peer) -> None:
            requests.append(peer.read_request())
            peer.send(responses[len(requests) - 1])

        async def main(server: FaultServer) -> None:
            async with adapter.transport() as transport:
                client = adapter.client(
                    transport,
                    Endpoint(url=server.url, api_key=KEY),
                    retries=RetryPolicy(initial_backoff=0.01),
                )
                assert (await client.send(QUERY)).text == "".join(WORDS)

        with FaultServer(script) as server:
            adapter.run(main, server)
        assert len(requests) == 3
        assert [body for _, body in requests] == [requests[0][1]] * 3

    def test_on_the_same_connection(self, adapter: Adapter) -> None:
        """An error that was read to its end gives its connection back."""
        responses = iter([sized(b"busy", status_code=503, kind="text/plain"), sized(WHOLE_BODY)])

        def script(peer: Peer) -> None:
            peer.answer(next(responses))
            peer.answer(next(responses))
            peer.wait_until_closed()

        async def main(server: FaultServer) -> None:
            async with adapter.transport() as transport:
                client = adapter.client(
                    transport, Endpoint(url=server.url), retries=RetryPolicy(initial_backoff=0.01)
                )
                assert (await client.send(QUERY)).text == "".join(WORDS)

        with FaultServer(script) as server:
            adapter.run(main, server)
        assert server.connections == 1

    def test_refused_then_served(self, adapter: Adapter) -> None:
        served: list[threading.Thread] = []

        def serve() -> None:
            sock, _ = listener.accept()
            sock.settimeout(10)
            with sock:
                answers(sized(WHOLE_BODY))(Peer(FaultServer(answers()), sock, 1))

        def listen(seconds: float) -> None:
            assert seconds > 0
            listener.listen()
            served.append(threading.Thread(target=serve))
            served[0].start()

        async def listen_async(seconds: float) -> None:
            listen(seconds)

        async def main() -> None:
            host, port = listener.getsockname()
            async with adapter.transport() as transport:
                sleep = listen_async if adapter.is_async else listen
                endpoint = Endpoint(url=f"http://{host}:{port}/v1", api_key=KEY)
                client = adapter.client(
                    transport, endpoint, retries=RetryPolicy(max_attempts=2), sleep=sleep
                )
                assert (await client.send(QUERY)).text == "".join(WORDS)

        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))  # and nobody listens yet
            adapter.run(main)
            served[0].join()

    def test_cancelled_while_it_waits(self, adapter: Adapter) -> None:
        if not adapter.is_async:
            return  # TestLeaving has what ends the wait of a sync client

        async def main(server: FaultServer) -> None:
            async with adapter.transport() as transport:

                async def send(cancel: Callable[[], object]) -> None:
                    client = adapter.client(
                        transport,
                        Endpoint(url=server.url),
                        retries=RetryPolicy(),
                        hooks=Calls(cancel),
                    )
                    await client.send(QUERY)

                await adapter.cancelled(send)

        began = monotonic()
        with FaultServer(answers(sized(b"", status_code=429, Retry_After="30"))) as server:
            adapter.run(main, server)
        assert monotonic() - began < 20
        assert server.connections == 1
