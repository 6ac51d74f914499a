"""One exchange without I/O: deadlines, retries and hooks around the decoder.

1. The client does all waiting. It opens the exchange, sends what `open` returns, passes on what
   arrives, and asks for events.
2. A body whose head gives it two different ends is refused here: few HTTP libraries do.
3. `now` is the clock of the transport, so deadlines and timeline count on it.
4. Before the first event an error may be followed by another attempt: `retry_delay` asks the
   `RetryPolicy`, `retry` begins it. Each attempt has its own decoder, and counts `connect` and
   `first_event` again. `total` spans all attempts and waits. A wait that `total` would interrupt is
   not begun. The request is kept for retries, and released at the first event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from time import monotonic, time
from typing import Any, Generic, Literal, TypeVar

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
from ._hooks import Hooks, Timeline, log, log_failure, log_retry
from ._retries import RetryPolicy
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
        "_limits",
        "_now",
        "_retries",
        "_to_send",
        "decoder",
        "ready",
        "timeline",
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
        self._now = now
        self._attempt = 0
        self._had_event = False
        self._body_ended = False

    @property
    def request(self) -> Request[R] | None:
        """The request, or None once it is released."""
        return None if self._to_send is None else self._to_send[0]

    def set_request(self, request: Request[R]) -> None:
        """Replace the request by the same one with its pictures. Call it before `open`."""
        if self._to_send is not None:
            self._to_send = (request, *self._to_send[1:])

    def open(self) -> tuple[HTTPRequest, Timeouts]:
        """Begin the first attempt. Returns the arguments of `Transport.send`.

        Raises LocalProtocolError the second time.
        """
        if self._attempt or self._to_send is None:
            raise LocalProtocolError("a stream can be opened once; ask the client for another")
        request, endpoint, stream, _ = self._to_send
        http_request = self._http_request()
        self.timeline = Timeline(
            request.skill,
            http_request.url,
            opened_at=self._now(),
            model=request.model or endpoint.model,
            streamed=stream and request.streams,
        )
        timeouts = self._deadlines.start()
        self._notify("start")
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
        self.decoder.receive_response(status_code, parsed)
        if _has_two_ends(parsed):
            self.decoder.receive_error(
                RemoteProtocolError(
                    "the head of the response gives its body two different ends"
                    " (RFC 9112, section 6.3)"
                )
            )
        self._notify("head")

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
        """Take the error of `Transport.send`, `read_timeout` or `ByteStream.read`.

        `next_event` raises it after the events that arrived before it.
        """
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
                self._notify("first_event")
            if self.decoder.state is State.COMPLETED:
                self._note_completion()
            return event
        return FINISHED if self.decoder.state is State.COMPLETED else NEED_DATA

    def drain_timeout(self, received: int = 0) -> float | None:
        """Return the seconds to wait for the rest of the body, or None to stop.

        `received` is how many bytes of it the last read gave.
        """
        timeout = self._deadlines.drain_timeout(received)
        return None if self._body_ended else timeout

    def close(self, error: BaseException | None = None) -> None:
        """End the exchange: its connection was closed or returned. Further calls do nothing.

        `error` is what was raised, if anything was.
        """
        timeline = self.timeline
        if timeline.ended_at is not None:
            return
        self._to_send = None
        is_failed = self.decoder.state is State.FAILED and not self._had_event
        if self.decoder.state is State.COMPLETED:
            self._note_completion()
        elif is_failed and self._attempt > 1 and isinstance(error, MoondreamError):
            error.add_note(f"{self._attempt} attempts were made (RetryPolicy)")
        timeline.ended_at, timeline.error = self._now(), error
        timeline.request_id = self.decoder.request_id
        self._notify("end")

    def retry_delay(self, error: BaseException) -> float | None:
        """Return the seconds to wait before `retry`, or None if `error` is final."""
        if self._retries is None or self._to_send is None or not isinstance(error, MoondreamError):
            return None
        from random import random  # a slow import

        seconds = self._retries.wait(error, self._attempt, time(), random())
        if seconds is None or not self._deadlines.allow(seconds):
            return None
        log_retry(self.timeline, error, seconds)
        self._call_hook("on_retry", error, seconds)
        return seconds

    def retry(self) -> tuple[HTTPRequest, Timeouts]:
        """Begin another attempt. Returns the arguments of `Transport.send`.

        Raises the error of the last attempt if the wait before this one took too long.
        """
        try:
            timeouts = self._deadlines.restart()
        except TimeoutError:
            self._to_send = None
            self.next_event()  # raises the error
            raise
        http_request = self._http_request()
        self.ready = iter(())
        self._body_ended = False
        self.timeline.attempts = self._attempt
        self.timeline.connected_at = self.timeline.head_at = self.timeline.status_code = None
        return http_request, timeouts

    def _note_completion(self) -> None:
        if self.timeline.completed_at is None:
            self.timeline.completed_at = self._now()
            result = self.decoder.snapshot
            self.timeline.metadata = None if result is None else result.metadata

    def _http_request(self) -> HTTPRequest:
        """Encode the request of one more attempt, and release it if there will be no other.

        Each attempt has a decoder of its own, which adds the method and the URL of the request to
        errors, and masks its key in them.
        """
        assert self._to_send is not None
        request, endpoint, stream, extra_body = self._to_send
        if self._retries is None:
            self._to_send = None  # it may hold 13 MB
        self._attempt += 1
        http_request = request.to_http(endpoint, stream, extra_body)
        self.decoder = ResponseStream(request, self._limits, sent=http_request)
        return http_request

    def _notify(self, what: Literal["start", "head", "first_event", "end"]) -> None:
        log(what, self.timeline)
        self._call_hook(f"on_{what}")

    def _call_hook(self, name: str, *more: object) -> None:
        if self._hooks is not None:
            try:
                getattr(self._hooks, name)(self.timeline, *more)
            except Exception as error:  # noqa: BLE001 - a failing hook must not fail the exchange
                log_failure(name, error)


def _has_two_ends(headers: Headers) -> bool:
    """Return whether a head is ambiguous about the length of its body.

    Responses are smuggled so. Some HTTP libraries choose one end, and use the connection again.
    """
    lengths = {length.strip() for length in headers.get("content-length", "").split(",")} - {""}
    return len(lengths) > 1 or bool(lengths and "transfer-encoding" in headers)


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
