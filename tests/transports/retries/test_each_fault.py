"""Each way in which an exchange can fail, with each policy, through both clients."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from moondream_transports import RetryPolicy
from sansio_moondream import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    FirstEventTimeout,
    IdleTimeout,
    IncompleteStream,
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
)
from tests.helpers import delta, record
from tests.transports.adapters import Adapter
from tests.transports.fakes import FakeStream
from tests.transports.retries.exchanges import Run, each_backend, http_error, whole

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
            status in (429, 500, 502, 503),
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


@each_backend
@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
class TestEachFault:
    def test_before_the_first_event(self, backend: Adapter, policy: RetryPolicy | None) -> None:
        for fault in BEFORE:
            self.check_before(backend, policy, fault)

    def check_before(self, backend: Adapter, policy: RetryPolicy | None, fault: str) -> None:
        make, error, passes = BEFORE[fault]
        attempts = 1 if policy is None or not passes else policy.max_attempts
        # It lasts: the last fault is raised.
        responses = [make() for _ in range(attempts)]
        run = Run(backend, *responses, retries=policy)
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
            run = Run(backend, *(make() for _ in range(failing)), whole(), retries=policy)
            assert isinstance(run.outcome, QueryResult), run.outcome
            assert (run.outcome.text, len(run.events), run.attempts) == ("A moon", 3, failing + 1)
            assert policy is not None
            assert (
                run.sequence.begun[-1].steps == []
            )  # to the end of the body, so that the connection can be used again
            assert run.waits == [
                policy.wait(ConnectError(), attempt, 0) for attempt in range(1, failing + 1)
            ]
            assert [(number, type(seen), wait) for number, seen, wait in run.notes.retries] == [
                (number, error, wait) for number, wait in enumerate(run.waits, 1)
            ]

    def test_after_the_first_event(self, backend: Adapter, policy: RetryPolicy | None) -> None:
        for fault in AFTER:
            for failing in (0,) if policy is None else (0, 1):
                self.check_after(backend, policy, fault, failing)

    def check_after(
        self, backend: Adapter, policy: RetryPolicy | None, fault: str, failing: int
    ) -> None:
        make, error = AFTER[fault]
        run = Run(backend, *(http_error(503) for _ in range(failing)), make(), retries=policy)
        assert (type(run.outcome), run.attempts, len(run.events)) == (error, failing + 1, 1)
        assert run.outcome.partial.text == "A"
        assert not hasattr(run.outcome, "__notes__")
