"""Hooks for metrics and traces, and the log.

The logger `moondream_transports` writes one line for each hook: retries at level INFO, all else at
DEBUG. Neither the log nor a timeline has a key, a question or an image.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from sansio_moondream import Metadata, MoondreamError

if TYPE_CHECKING:
    import logging


class Timeline(Struct, eq=False, weakref=True):
    """The moments of one exchange, in seconds of `time.monotonic()`. None has not happened yet.

    All hooks of one exchange get the same timeline. It can be a key of a `WeakKeyDictionary`.

    Attributes:
        skill, url: of the request. The URL never has a key. With an `EndpointPool` it is that of
            the first endpoint until the request has its turn, and then that of the latest attempt.
        opened_at: the stream was opened. The request was about to wait for its turn, if there is a
            limiter, and to be sent.
        connected_at: the connection was established. It is None if the HTTP library does not report
            it. This moment and the next two fields belong to the latest attempt.
        head_at, status_code: the head of the response arrived.
        first_event_at: the first event was returned.
        completed_at: the answer was complete.
        ended_at: the connection was closed or returned to its pool.
        request_id: the server's id of the request, set at the end.
        error: what ended the exchange: a `MoondreamError`, or an error of the reader's own block.
            It is None if the answer is complete, and if the reader left early.
        attempts: how many were begun. More than 1 only with `Client(..., retries=...)`.
        model: of the request, or the endpoint's default. None is the server's choice.
        streamed: whether the request asked for a streamed answer.
        metadata: of the complete answer, with the numbers of tokens.
        queued: seconds that the request waited for its turns, those of all attempts together. It is
            0 without a limiter.
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
    queued: float = 0.0

    def __str__(self) -> str:
        """Return what is known by now, for the log."""
        latest = max(
            moment
            for moment in (self.opened_at, self.head_at, self.first_event_at, self.ended_at)
            if moment is not None
        )
        parts = [f"{self.skill} at {self.url}", f"{latest - self.opened_at:.3f} s"]
        if self.queued:
            parts.append(f"queued {self.queued:.3f} s")
        if self.status_code is not None:
            parts.append(f"status {self.status_code}")
        if self.request_id is not None:
            parts.append(f"request id {self.request_id}")
        if self.ended_at is not None:
            ending = type(self.error).__name__ if self.error else "left early"
            parts.append(ending if self.completed_at is None else "complete")
        return ", ".join(parts)


class Hooks:
    """Watch the exchanges of a client: override the methods that you need.

    The client calls each method in the thread or task of the exchange, at most once an exchange.
    Only `on_head` and `on_retry` are called once for each attempt. The exchange waits for a hook,
    so it should return soon. An error of a hook is logged, and does not end the exchange.

    `timeline` has the moments of the exchange until then.
    """

    def on_start(self, timeline: Timeline) -> None:
        """Called before the request waits for its turn, if there is a limiter, and is sent."""

    def on_head(self, timeline: Timeline) -> None:
        """Called when the head of a response has arrived."""

    def on_first_event(self, timeline: Timeline) -> None:
        """Called before the first event is returned."""

    def on_retry(self, timeline: Timeline, error: MoondreamError, seconds: float) -> None:
        """Called when attempt number `timeline.attempts` has failed with `error`.

        The request is sent again after `seconds`.
        """

    def on_end(self, timeline: Timeline) -> None:
        """Called when the exchange has ended: complete, failed, or left early by its reader."""


Step = Literal["start", "head", "first_event", "end"]


def notify(hooks: Hooks | None, what: Step, timeline: Timeline) -> None:
    """Log one step of an exchange, and call its hook."""
    log(what, timeline)
    if hooks is not None:
        call_hook(hooks, f"on_{what}", timeline)


def call_hook(hooks: Hooks | None, name: str, *arguments: object) -> None:
    """Call a method of the hooks, if there are any."""
    if hooks is not None:
        try:
            getattr(hooks, name)(*arguments)
        except Exception as error:  # noqa: BLE001 - a failing hook must not fail the exchange
            log_failure(name, error)


def log(what: str, timeline: Timeline) -> None:
    """Log one step of an exchange."""
    if (logger := _logger()) is not None:
        logger.debug("%s: %s", what, timeline)


def log_retry(timeline: Timeline, error: MoondreamError, seconds: float) -> None:
    """Log a retry, at a higher level than other steps, because it may cost money."""
    if (logger := _logger()) is not None:
        reason = type(error).__name__
        if timeline.status_code is not None:
            reason += f", status {timeline.status_code}"
        logger.info(
            "retry: %s at %s, attempt %d failed (%s), the next in %.3f s",
            timeline.skill,
            timeline.url,
            timeline.attempts,
            reason,
            seconds,
        )


def _logger() -> logging.Logger | None:
    """Return the logger, or None if nobody reads it: the module `logging` was never imported.

    Its import is slow. Another thread may be importing it now: then it has no `getLogger` yet.
    """
    get_logger = getattr(sys.modules.get("logging"), "getLogger", None)
    return None if get_logger is None else _named_logger(get_logger)


@cache  # logging takes a lock for each
def _named_logger(get_logger: Callable[[str], logging.Logger]) -> logging.Logger:
    return get_logger("moondream_transports")


def log_failure(hook: str, error: Exception) -> None:
    """Log the error of a hook."""
    import logging

    logging.getLogger("moondream_transports").error(
        "a hook raised in %s; the exchange goes on", hook, exc_info=error
    )
