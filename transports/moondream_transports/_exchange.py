"""One exchange without I/O: deadlines, retries and hooks around the decoder.

1. The client does all waiting. It opens the exchange, sends what `open` returns, passes on what
   arrives, and asks for events.
2. A body whose head gives it two different ends is refused here: few HTTP libraries do.
3. `now` is the clock of the transport, so deadlines and timeline count on it.
4. Before the first event an error may be followed by another attempt: `retry_delay` asks the
   `RetryPolicy`, `begin` begins it. Each attempt has its own decoder, and counts `connect` and
   `first_event` again. `total` spans all attempts and waits. A wait that `total` would interrupt is
   not begun. The request is kept for retries, and released at the first event.
5. With a limiter each attempt has a turn of its own, which `next_turn` makes. The client ends it
   when the connection was closed or returned, and so does `close`. The request is encoded after
   the turn has come, for the endpoint that the turn is for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from time import monotonic, time
from typing import Any, Generic, TypeVar

from sansio_moondream import (
    FINISHED,
    NEED_DATA,
    Endpoint,
    Event,
    Headers,
    HTTPRequest,
    Limits,
    LocalProtocolError,
    MoondreamError,
    RemoteProtocolError,
    Request,
    ResponseStream,
    Result,
    Signal,
    State,
)

from ._deadlines import Deadlines
from ._heads import has_two_ends
from ._hooks import Hooks, Timeline, call_hook, log, log_retry, notify
from ._limits import EndpointPool, Limiter, Turn, report_error, report_head
from ._retries import RetryPolicy, without_retry_after
from ._transport import HeaderTypes, Timeouts

R = TypeVar("R", bound=Result)


class Exchange(Generic[R]):
    """One request and its response."""

    __slots__ = (
        "_attempt",
        "_body_ended",
        "_deadlines",
        "_had_event",
        "_hooks",
        "_is_open",
        "_limiter",
        "_limits",
        "_now",
        "_retries",
        "_to_send",
        "decoder",
        "ready",
        "timeline",
        "turn",
    )  # a thousand idle streams have one each

    def __init__(
        self,
        request: Request[R],
        endpoint: Endpoint,
        stream: bool,
        extra_body: Mapping[str, Any] | None,
        *,
        timeouts: Timeouts,
        limits: Limits | None,
        hooks: Hooks | None,
        retries: RetryPolicy | None,
        limiter: Limiter | EndpointPool | None = None,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self.decoder = ResponseStream(request, limits)
        self.ready: Iterator[Event] = iter(())  # the events that are decoded and not taken
        self._to_send: tuple[Request[R], Endpoint, bool, Mapping[str, Any] | None] | None
        self._to_send = (request, endpoint, stream, extra_body)
        self._deadlines = Deadlines(timeouts, now)
        self._limits = limits
        self._hooks = hooks
        self._retries = retries
        self._limiter = limiter
        self.turn: Turn | None = None  # of the latest attempt, if there is a limiter
        self._now = now
        self._is_open = self._had_event = self._body_ended = False
        self._attempt = 0

    @property
    def request(self) -> Request[R] | None:
        """The request, or None once it is released."""
        return None if self._to_send is None else self._to_send[0]

    @property
    def attempts(self) -> int:
        """How many attempts were begun."""
        return self._attempt

    def set_request(self, request: Request[R]) -> None:
        """Replace the request by the same one with its pictures. Call it before `open`."""
        if self._to_send is not None:
            self._to_send = (request, *self._to_send[1:])

    def open(self) -> None:
        """Begin the exchange. Raises LocalProtocolError the second time."""
        if self._is_open or self._to_send is None:
            raise LocalProtocolError("a stream can be opened once; ask the client for another")
        self._is_open = True
        request, endpoint, stream, _ = self._to_send
        self._deadlines.start()
        self.timeline = Timeline(
            request.skill,
            request.url_at(endpoint),
            opened_at=self._now(),
            model=request.model or endpoint.model,
            streamed=stream and request.streams,
        )
        notify(self._hooks, "start", self.timeline)

    def next_turn(self) -> tuple[Turn, float | None] | None:
        """Return the turn that the next attempt waits for, and for how long. None: it may begin."""
        if self._limiter is None:
            return None
        self.turn = self._limiter.turn()
        return self.turn, self._deadlines.total_left()

    def begin(self) -> tuple[HTTPRequest, Timeouts]:
        """Begin an attempt. Returns the arguments of `Transport.send`.

        Encodes the request, and releases it if there will be no other attempt. Each attempt has a
        decoder of its own, which adds the method and the URL of the request to errors, and masks
        its key in them.

        Raises the builtin TimeoutError if no time is left.
        """
        has_waited = self._attempt > 0 or self.turn is not None
        timeouts = self._deadlines.begin(has_waited=has_waited)
        assert self._to_send is not None
        request, endpoint, stream, extra_body = self._to_send
        timeline = self.timeline
        if (turn := self.turn) is not None:
            endpoint = turn.endpoint or endpoint
            timeline.queued += turn.queued
            timeline.model = request.model or endpoint.model
        if self._retries is None:
            self._to_send = None  # it may hold 13 MB
        self._attempt += 1
        http_request = request.to_http(endpoint, stream, extra_body)
        self.decoder = ResponseStream(request, self._limits, sent=http_request)
        self.ready = iter(())
        self._body_ended = False
        timeline.url, timeline.attempts = http_request.url, self._attempt
        timeline.connected_at = timeline.head_at = timeline.status_code = None
        if turn is not None:
            log("turn", timeline)
        return http_request, timeouts

    def receive_head(
        self, status_code: int, headers: HeaderTypes, connected_at: float | None
    ) -> None:
        """Take the head that `Transport.send` returned."""
        timeline = self.timeline
        timeline.head_at, timeline.status_code = self._now(), status_code
        timeline.connected_at = connected_at
        if connected_at is not None:
            self._deadlines.count_head(timeline.head_at - connected_at)
        parsed = Headers(headers)
        if self.turn is not None:
            report_head(self.turn, status_code, parsed, time())
        self.decoder.receive_response(status_code, parsed)
        if has_two_ends(parsed):
            self.decoder.receive_error(
                RemoteProtocolError(
                    "the head of the response gives its body two different ends"
                    " (RFC 9112, section 6.3)"
                )
            )
        notify(self._hooks, "head", timeline)

    def read_timeout(self) -> float | None:
        """Return the seconds that the next read may take. None is no limit.

        Raises the builtin TimeoutError if no time is left.
        """
        awaits_event = not self._had_event and self.decoder.state is not State.READING_ERROR
        return self._deadlines.read_timeout(first_event=awaits_event)

    def receive(self, data: bytes) -> None:
        """Take the bytes that `ByteStream.read` returned."""
        if not self._had_event:
            self._deadlines.count_read()
        if data:
            self.decoder.receive_data(data)
        else:
            self._body_ended = True
            self.decoder.receive_eof()

    def receive_error(self, error: Exception) -> None:
        """Take the error of a turn, `begin`, `Transport.send`, `read_timeout` or `ByteStream.read`.

        `next_event` raises it after the events that arrived before it.
        """
        if self.turn is not None and not self.turn.has_come:
            error = self._deadlines.turn_error()
        error = self._deadlines.error_for(error)
        _forget_frames(error)
        self.decoder.receive_error(error)

    def next_event(self) -> Event | Signal:
        """Return what `ResponseStream.next_event` does. Call it when `ready` is exhausted."""
        self.ready = self.decoder.events()
        for event in self.ready:
            if not self._had_event:
                self._had_event = True
                self._to_send = None
                self.timeline.first_event_at = self._now()
                notify(self._hooks, "first_event", self.timeline)
            if self.decoder.state is State.COMPLETED:
                self._note_completion()
            return event
        return FINISHED if self.decoder.state is State.COMPLETED else NEED_DATA

    def drain_timeout(self, received: int = 0) -> float | None:
        """Return the seconds to wait for the rest of the body, or None to stop.

        `received` is how many bytes of it the last read gave.
        """
        return None if self._body_ended else self._deadlines.drain_timeout(received)

    def close(self, error: BaseException | None = None) -> None:
        """End the exchange: its connection was closed or returned. Further calls do nothing.

        `error` is what was raised, if anything was.
        """
        timeline = self.timeline
        if timeline.ended_at is not None:
            return
        self._to_send = None
        if self.turn is not None:
            if not self.turn.has_come:
                timeline.queued += self.turn.queued
            report_error(self.turn, error)
            self.turn.end()
        is_failed = self.decoder.state is State.FAILED and not self._had_event
        if self.decoder.state is State.COMPLETED:
            self._note_completion()
        elif is_failed and self._attempt > 1 and isinstance(error, MoondreamError):
            error.add_note(f"{self._attempt} attempts were made (RetryPolicy)")
        timeline.ended_at, timeline.error = self._now(), error
        timeline.request_id = self.decoder.request_id
        notify(self._hooks, "end", timeline)

    def retry_delay(self, error: BaseException) -> float | None:
        """Return the seconds to wait before `retry`, or None if `error` is final."""
        if self._retries is None or self._to_send is None or not isinstance(error, MoondreamError):
            return None
        from random import random  # a slow import

        if self.turn is not None:
            report_error(self.turn, error)
        # Another endpoint of a pool need not wait as long. The turn waits, if it is the same one.
        judged = without_retry_after(error) if isinstance(self._limiter, EndpointPool) else error
        seconds = self._retries.wait(judged, self._attempt, time(), random())
        if seconds is None or not self._deadlines.allow(seconds):
            return None
        log_retry(self.timeline, error, seconds)
        call_hook(self._hooks, "on_retry", self.timeline, error, seconds)
        return seconds

    def _note_completion(self) -> None:
        if self.timeline.completed_at is None:
            self.timeline.completed_at = self._now()
            result = self.decoder.snapshot
            self.timeline.metadata = None if result is None else result.metadata


def _forget_frames(error: BaseException) -> None:
    """Remove the tracebacks of an error and of its causes.

    Frames of an HTTP library hold the headers that it sends, with the key, and error reporters
    print the variables of frames.
    """
    links: list[BaseException | None] = [error]
    for link in links:
        if link is not None:
            link.__traceback__ = None
            links += [cause for cause in (link.__cause__, link.__context__) if cause not in links]
