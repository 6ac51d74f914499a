"""All of an exchange that needs no I/O: what sync and async clients would otherwise both have.

1. A client opens it, sends what it gives, hands in what comes, and asks for events; it waits only where it is told to, and as long.
2. Only time spent waiting counts for `Timeouts.first_event` and `idle`; `total` counts all time from the opening.
3. `first_event` ends with the first event. The body of an error has none: it is read by `idle`.
4. Of two deadlines the one that comes first counts, and gives its name to the error.
5. A body that is given two ends is refused here, as few HTTP libraries do.
6. Time is the transport's: where it has a `clock`, as those have that play recordings, deadlines and timeline count on that.
7. When the answer is complete, the last bytes of the HTTP framing may still be on their way, and a connection can only be used again
   once they are read: `drain_patience` says how long that is worth waiting for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from time import monotonic
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
from ._hooks import Hooks, Timeline, log, log_failure
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
        "_body_ended",
        "_deadline",
        "_drain_end",
        "_drained",
        "_end",
        "_had_event",
        "_hooks",
        "_now",
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
        now: Callable[[], float] = monotonic,
    ) -> None:
        self.decoder = ResponseStream(request, limits)
        self._asked: tuple[Request[R], Endpoint, bool, Mapping[str, Any] | None] | None = (request, endpoint, stream, extra_body)
        self._timeouts = timeouts
        self._hooks = hooks
        self._now = now
        self.ready: Iterator[Event] = iter(())  # events that are decoded already: most come with others
        self._had_event = False
        self._end: float | None = None
        self._deadline: _Deadline = FirstEventTimeout  # the one that is waited for
        self._waited = 0.0  # for the first event, from the connection on
        self._asked_at = 0.0
        self._body_ended = False
        self._drain_end: float | None = None
        self._drained = 0

    def open(self) -> tuple[HTTPRequest, Timeouts]:
        """What to give to `Transport.send`. The request is not kept: it may hold 13 MB. Raises LocalProtocolError the second time."""
        asked, self._asked = self._asked, None
        if asked is None:
            raise LocalProtocolError("a stream can be opened once; ask the client for another")
        request, endpoint, stream, extra_body = asked
        http_request = request.to_http(endpoint, stream, extra_body)
        now, given = self._now(), self._timeouts
        if given.total is not None:
            self._end = now + given.total
            if given.first_event is None or given.total < given.first_event:
                self._deadline = TotalTimeout
        self.timeline = Timeline(request.skill, http_request.url, opened_at=now)
        self._tell("start")
        # None is longer than `total`, for transports that do not look at that.
        timeouts = Timeouts(sooner(given.connect, given.total), sooner(given.first_event, given.total), given.idle, given.total)
        return http_request, timeouts

    def receive_head(self, status_code: int, headers: HeaderTypes, connected_at: float | None) -> None:
        """`Transport.send` gave a response."""
        self.timeline.head_at, self.timeline.status_code, self.timeline.connected_at = self._now(), status_code, connected_at
        if connected_at is not None:
            self._waited = self.timeline.head_at - connected_at
        parsed = Headers(headers)
        self.decoder.receive_response(status_code, parsed)
        if _has_two_ends(parsed):
            self.decoder.receive_error(
                RemoteProtocolError("the head of the response gives its body two different ends (RFC 9112, section 6.3)")
            )
        self._tell("head")

    def next_event(self) -> Event | Signal:
        """As `ResponseStream.next_event`, once `ready` has nothing more."""
        self.ready = self.decoder.events()
        for event in self.ready:
            if not self._had_event:
                self._had_event = True
                self.timeline.first_event_at = self._now()
                self._tell("first_event")
            if self.decoder.state is State.COMPLETED:
                self._note_completion()
            return event
        return FINISHED if self.decoder.state is State.COMPLETED else NEED_DATA

    def patience(self) -> float | None:
        """How long to wait for the next bytes; None is for ever. Raises the builtin TimeoutError if there is no time left."""
        self._asked_at = self._now()
        if self._had_event or self.decoder.state is State.READING_ERROR:
            self._deadline, left = IdleTimeout, self._timeouts.idle
        else:
            first_event = self._timeouts.first_event
            self._deadline, left = FirstEventTimeout, None if first_event is None else first_event - self._waited
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
        """`Transport.send`, `patience` or `ByteStream.read` raised this: it is raised again behind the events before it."""
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
        """How long to wait for what is left of the body, when `came` more bytes of it were read; None is not at all."""
        if self._drain_end is None:
            self._drain_end = self._now() + _DRAIN_SECONDS
        self._drained += came
        left = self._drain_end - self._now()
        return left if left > 0 and self._drained < _DRAIN_BYTES and not self._body_ended else None

    def close(self, error: BaseException | None = None) -> None:
        """The exchange is over: its connection was closed, or given back. With what was raised, if that is why."""
        if self.decoder.state is State.COMPLETED:
            self._note_completion()
        self.timeline.ended_at, self.timeline.error, self.timeline.request_id = self._now(), error, self.decoder.request_id
        self._tell("end")

    def _note_completion(self) -> None:
        if self.timeline.completed_at is None:
            self.timeline.completed_at = self._now()

    def _tell(self, what: Literal["start", "head", "first_event", "end"]) -> None:
        log(what, self.timeline)
        if self._hooks is not None:
            try:
                getattr(self._hooks, f"on_{what}")(self.timeline)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is no fault of the exchange
                log_failure(f"on_{what}", error)


def _has_two_ends(headers: Headers) -> bool:
    """How responses are smuggled. Some HTTP libraries pick one of the ends, and use the connection again."""
    lengths = {length.strip() for length in headers.get("content-length", "").split(",")} - {""}
    return len(lengths) > 1 or bool(lengths and "transfer-encoding" in headers)


def _forget_frames(error: BaseException) -> None:
    """In the frames of an HTTP library lie the headers that it sends, key included, and error reporters print locals."""
    links: list[BaseException | None] = [error]
    for link in links:
        if link is not None:
            link.__traceback__ = None
            links += [cause for cause in (link.__cause__, link.__context__) if cause not in links]
