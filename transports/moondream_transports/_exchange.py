"""All of an exchange that needs no I/O: what sync and async clients would otherwise both have.

1. A client opens it, sends what it gives, hands in what comes, and asks for events; it waits only
   where it is told to, and as long.
2. Only time spent waiting counts for `Timeouts.first_event` and `idle`; `total` counts all time
   from the opening.
3. `first_event` ends with the first event. The body of an error has none: it is read by `idle`.
4. Of two deadlines the one that comes first counts, and gives its name to the error.
5. A body that is given two ends is refused here, as few HTTP libraries do.
6. Time is the transport's: where it has a `clock`, as those have that play recordings, deadlines
   and timeline count on that.
7. When the answer is complete, the last bytes of the HTTP framing may still be on their way, and a
   connection can only be used again once they are read: `drain_patience` says how long that is
   worth waiting for.
8. Before the first event, a fault may be followed by another attempt, where a `RetryPolicy` says
   so: `retry_in` asks it, `again` begins. Each attempt has a decoder of its own, and `connect` and
   `first_event` count anew; `total` spans them all, waits included, and a wait that does not fit
   into it is not begun. The request is kept for that, until the first event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from time import monotonic, time
from typing import Any, Generic, Literal, TypeVar

from sansio_moondream import (
    FINISHED,
    NEED_DATA,
    ConnectTimeout,
    Endpoint,
    Event,
    FirstEventTimeout,
    Headers,
    HTTPRequest,
    IdleTimeout,
    Limits,
    LocalProtocolError,
    MoondreamError,
    RemoteProtocolError,
    Request,
    ResponseStream,
    Result,
    Signal,
    State,
    TotalTimeout,
)

from ._deadlines import sooner
from ._hooks import Hooks, Timeline, log, log_failure, log_retry
from ._retries import RetryPolicy
from ._transport import HeaderTypes, Timeouts

R = TypeVar("R", bound=Result)

_DRAIN_SECONDS = 0.02
_DRAIN_BYTES = 4096

_Deadline = type[FirstEventTimeout] | type[IdleTimeout] | type[TotalTimeout]
_WORDS: dict[_Deadline, str] = {
    FirstEventTimeout: "no event came within {0.first_event:g} seconds of the connection (Timeouts.first_event)",
    IdleTimeout: "no byte came for {0.idle:g} seconds (Timeouts.idle)",
    TotalTimeout: "the answer was not complete within {0.total:g} seconds (Timeouts.total)",
}


class Exchange(Generic[R]):
    """One request and the answer to it, with deadlines and hooks around the decoder."""

    __slots__ = (
        "_asked",
        "_asked_at",
        "_attempt",
        "_body_ended",
        "_deadline",
        "_drain_end",
        "_drained",
        "_end",
        "_had_event",
        "_hooks",
        "_limits",
        "_now",
        "_retries",
        "_timeouts",
        "_waited",
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
        self._asked: tuple[Request[R], Endpoint, bool, Mapping[str, Any] | None] | None = (
            request,
            endpoint,
            stream,
            extra_body,
        )
        self._timeouts = timeouts
        self._limits = limits
        self._hooks = hooks
        self._retries = retries
        self._attempt = 0
        self._now = now
        self.ready: Iterator[Event] = iter(
            ()
        )  # events that are decoded already: most come with others
        self._had_event = False
        self._end: float | None = None
        self._deadline: _Deadline = FirstEventTimeout  # the one that is waited for
        self._waited = 0.0  # for the first event, from the connection on
        self._asked_at = 0.0
        self._body_ended = False
        self._drain_end: float | None = None
        self._drained = 0

    def open(self) -> tuple[HTTPRequest, Timeouts]:
        """What to give to `Transport.send`. The request is kept only for `again`: it may hold 13
        MB.

        Raises LocalProtocolError the second time.
        """
        if self._attempt or self._asked is None:
            raise LocalProtocolError("a stream can be opened once; ask the client for another")
        request, stream = self._asked[0], self._asked[2]
        http_request = self._http_request()
        now, total = self._now(), self._timeouts.total
        self._end = None if total is None else now + total
        streamed = stream and request.streams
        self.timeline = Timeline(
            request.skill, http_request.url, opened_at=now, model=request.model, streamed=streamed
        )
        self._tell("start")
        return http_request, self._timeouts_within(total)

    def retry_in(self, error: BaseException) -> float | None:
        """How many seconds to wait before `again`, when the attempt failed with that;

        None: the error stands.
        """
        if self._retries is None or self._asked is None or not isinstance(error, MoondreamError):
            return None
        from random import random  # imports much, so only where it is used

        seconds = self._retries.wait(error, self._attempt, time(), random())
        if seconds is None or (self._end is not None and self._now() + seconds >= self._end):
            return None
        log_retry(self.timeline, error, seconds)
        self._call_hook("on_retry", error, seconds)
        return seconds

    def again(self) -> tuple[HTTPRequest, Timeouts]:
        """The wait is over: what to give to `Transport.send`.

        Raises the fault of the last attempt if the wait took too long.
        """
        left = None if self._end is None else self._end - self._now()
        if left is not None and left <= 0:
            self._let_go()
            self.next_event()  # raises it
        if self._asked is None:
            raise LocalProtocolError(
                "the stream was closed while it waited to send its request again"
            )
        self.decoder = ResponseStream(self._asked[0], self._limits)
        self.ready = iter(())
        self._waited, self._body_ended = 0.0, False
        http_request = self._http_request()
        self.timeline.attempts = self._attempt
        self.timeline.connected_at = self.timeline.head_at = self.timeline.status_code = None
        return http_request, self._timeouts_within(left)

    def receive_head(
        self, status_code: int, headers: HeaderTypes, connected_at: float | None
    ) -> None:
        """`Transport.send` gave a response."""
        self.timeline.head_at, self.timeline.status_code, self.timeline.connected_at = (
            self._now(),
            status_code,
            connected_at,
        )
        if connected_at is not None:
            self._waited = self.timeline.head_at - connected_at
        parsed = Headers(headers)
        self.decoder.receive_response(status_code, parsed)
        if _has_two_ends(parsed):
            self.decoder.receive_error(
                RemoteProtocolError(
                    "the head of the response gives its body two different ends (RFC 9112, section 6.3)"
                )
            )
        self.ready = self.decoder.events()
        self._tell("head")

    def next_event(self) -> Event | Signal:
        """As `ResponseStream.next_event`, once `ready` has nothing more."""
        self.ready = self.decoder.events()
        for event in self.ready:
            if not self._had_event:
                self._had_event = True
                self.timeline.first_event_at = self._now()
                self._let_go()
                self._tell("first_event")
            if self.decoder.state is State.COMPLETED:
                self._note_completion()
            return event
        return FINISHED if self.decoder.state is State.COMPLETED else NEED_DATA

    def patience(self) -> float | None:
        """How long to wait for the next bytes;

        None is for ever. Raises the builtin TimeoutError if there is no time left.
        """
        self._asked_at = self._now()
        if self._had_event or self.decoder.state is State.READING_ERROR:
            self._deadline, left = IdleTimeout, self._timeouts.idle
        else:
            first_event = self._timeouts.first_event
            self._deadline, left = (
                FirstEventTimeout,
                None if first_event is None else first_event - self._waited,
            )
        if self._end is not None and (left is None or self._end - self._asked_at < left):
            self._deadline, left = TotalTimeout, self._end - self._asked_at
        if left is not None and left <= 0:
            raise TimeoutError("no time is left")
        return left

    def receive(self, data: bytes) -> None:
        """`ByteStream.read` gave this."""
        if not self._had_event:
            self._waited += self._now() - self._asked_at
        if data:
            self.decoder.receive_data(data)
        else:
            self._body_ended = True
            self.decoder.receive_eof()

    def receive_error(self, error: Exception) -> None:
        """`Transport.send`, `patience` or `ByteStream.read` raised this: it is raised again behind
        the events before it.
        """
        is_over = self._end is not None and self._now() >= self._end
        unnamed = isinstance(error, TimeoutError) and not isinstance(error, MoondreamError)
        if unnamed or (is_over and isinstance(error, ConnectTimeout)):
            kind = TotalTimeout if is_over else self._deadline
            named = kind(_WORDS[kind].format(self._timeouts))
            named.__cause__ = error
            error = named
        _forget_frames(error)
        self.decoder.receive_error(error)

    def drain_patience(self, came: int = 0) -> float | None:
        """How long to wait for what is left of the body, when `came` more bytes of it were read;

        None is not at all.
        """
        if self._drain_end is None:
            self._drain_end = self._now() + _DRAIN_SECONDS
        self._drained += came
        left = self._drain_end - self._now()
        return left if left > 0 and self._drained < _DRAIN_BYTES and not self._body_ended else None

    def close(self, error: BaseException | None = None) -> None:
        """The exchange is over: its connection was closed, or given back. With what was raised, if
        that is why. May repeat.
        """
        if self.timeline.ended_at is not None:
            return
        self._let_go()
        if self.decoder.state is State.COMPLETED:
            self._note_completion()
        elif (
            self._attempt > 1
            and not self._had_event
            and self.decoder.state is State.FAILED
            and isinstance(error, MoondreamError)
        ):
            error.add_note(f"{self._attempt} attempts were made (RetryPolicy)")
        self.timeline.ended_at, self.timeline.error, self.timeline.request_id = (
            self._now(),
            error,
            self.decoder.request_id,
        )
        self._tell("end")

    def _note_completion(self) -> None:
        if self.timeline.completed_at is None:
            self.timeline.completed_at = self._now()
            self.timeline.metadata = (
                None if (whole := self.decoder.snapshot) is None else whole.metadata
            )

    def _http_request(self) -> HTTPRequest:
        """The request of one more attempt."""
        assert self._asked is not None
        request, endpoint, stream, extra_body = self._asked
        if self._retries is None:
            self._let_go()
        self._attempt += 1
        return request.to_http(endpoint, stream, extra_body)

    def _timeouts_within(self, total: float | None) -> Timeouts:
        """None is longer than `total`, for transports that do not look at that."""
        given = self._timeouts
        shorter = total is not None and (given.first_event is None or total < given.first_event)
        self._deadline = TotalTimeout if shorter else FirstEventTimeout
        return Timeouts(
            sooner(given.connect, total), sooner(given.first_event, total), given.idle, total
        )

    def _let_go(self) -> None:
        """The request will not be sent again."""
        self._asked = None

    def _tell(self, what: Literal["start", "head", "first_event", "end"]) -> None:
        log(what, self.timeline)
        self._call_hook(f"on_{what}")

    def _call_hook(self, name: str, *more: object) -> None:
        if self._hooks is not None:
            try:
                getattr(self._hooks, name)(self.timeline, *more)
            # whatever it is, it is no fault of the exchange
            except Exception as error:  # noqa: BLE001
                log_failure(name, error)


def _has_two_ends(headers: Headers) -> bool:
    """How responses are smuggled.

    Some HTTP libraries pick one of the ends, and use the connection again.
    """
    lengths = {length.strip() for length in headers.get("content-length", "").split(",")} - {""}
    return len(lengths) > 1 or bool(lengths and "transfer-encoding" in headers)


def _forget_frames(error: BaseException) -> None:
    """In the frames of an HTTP library lie the headers that it sends, key included, and error
    reporters print locals.
    """
    links: list[BaseException | None] = [error]
    for link in links:
        if link is not None:
            link.__traceback__ = None
            links += [cause for cause in (link.__cause__, link.__context__) if cause not in links]
