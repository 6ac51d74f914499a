"""What can be watched of an exchange: hooks for metrics, and the log.

The log is `moondream_transports`, one line a hook: a retry at level INFO, all else at DEBUG.
Neither it nor a timeline has a key, a question or a picture."""

from __future__ import annotations

import sys

from msgspec import Struct

from sansio_moondream import Metadata, MoondreamError


class Timeline(Struct, eq=False, weakref=True):
    """How one exchange went, filled in as it goes. Moments are in seconds of `time.monotonic()`;
    None has not come.

    One exchange has one timeline, the same in each call of a hook: a `WeakKeyDictionary` may have
    it as the key to what is yours.

    Attributes:
        skill, url: what was asked, and where. A URL never has a key.
        opened_at: the request was about to leave.
        connected_at: the connection stood; None where the HTTP library does not tell. Like the next
            two, of the latest attempt.
        head_at, status_code: the head of the response was there.
        first_event_at: the first event was given out.
        completed_at: the answer was complete; None if it never was.
        ended_at: the connection was closed, or given back.
        request_id: the server's, as far as it is known at the end.
        error: what ended the exchange before its end: a `MoondreamError`, or what was raised in the
            reader's own block. None also where the reader left early.
        attempts: how many were begun; more than 1 only where `Client(..., retries=...)` is given.
        model: as the request names it; None is the server's choice.
        streamed: whether the answer was asked for as it is made; otherwise it comes whole.
        metadata: what came beside the answer, tokens among it, once that is complete.
    """

    skill: str
    url: str
    opened_at: float
    connected_at: float | None = None
    head_at: float | None = None
    status_code: int | None = None
    first_event_at: float | None = None
    completed_at: float | None = None
    ended_at: float | None = None
    request_id: str | None = None
    error: BaseException | None = None
    attempts: int = 1
    model: str | None = None
    streamed: bool = True
    metadata: Metadata | None = None

    def __str__(self) -> str:
        """For the log: what is known by now."""
        latest = max(
            moment
            for moment in (self.opened_at, self.head_at, self.first_event_at, self.ended_at)
            if moment is not None
        )
        parts = [f"{self.skill} at {self.url}", f"{latest - self.opened_at:.3f} s"]
        if self.status_code is not None:
            parts.append(f"status {self.status_code}")
        if self.request_id is not None:
            parts.append(f"request id {self.request_id}")
        if self.ended_at is not None:
            parts.append(
                "complete"
                if self.completed_at is not None
                else type(self.error).__name__
                if self.error
                else "left early"
            )
        return ", ".join(parts)


class Hooks:
    """Override what you want to know. A client calls each from the exchange's own thread or task,
    at most once an exchange; but `on_retry` once for each attempt that failed and is followed by
    another, and `on_head` once for each that got so far.

    They should be quick: the exchange waits for them. What a hook raises is logged, and the
    exchange goes on."""

    def on_start(self, timeline: Timeline) -> None:
        """The request is about to leave."""

    def on_head(self, timeline: Timeline) -> None:
        """The head of the response is there."""

    def on_first_event(self, timeline: Timeline) -> None:
        """The first event is about to be given out."""

    def on_retry(self, timeline: Timeline, error: MoondreamError, seconds: float) -> None:
        """Attempt number `timeline.attempts` failed with `error`; in so many seconds the request is
        sent again.
        """

    def on_end(self, timeline: Timeline) -> None:
        """The exchange is over: complete, failed, or left early by its reader."""


def log(what: str, timeline: Timeline) -> None:
    """Nobody listens to a log whose module was never imported, and importing it takes longer than
    all of this package.
    """
    if (logging := sys.modules.get("logging")) is not None:
        logging.getLogger("moondream_transports").debug("%s: %s", what, timeline)


def log_retry(timeline: Timeline, error: MoondreamError, seconds: float) -> None:
    """As `log`, where people look who do not follow each exchange: it may cost them money."""
    if (logging := sys.modules.get("logging")) is not None:
        fault = type(error).__name__ + (
            f", status {timeline.status_code}" if timeline.status_code is not None else ""
        )
        words = "retry: %s at %s, attempt %d failed (%s), the next in %.3f s"
        logging.getLogger("moondream_transports").info(
            words, timeline.skill, timeline.url, timeline.attempts, fault, seconds
        )


def log_failure(hook: str, error: Exception) -> None:
    """The hook that was called has raised that."""
    import logging

    logging.getLogger("moondream_transports").error(
        "a hook raised in %s; the exchange goes on", hook, exc_info=error
    )
