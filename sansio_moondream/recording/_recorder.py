"""A recording made of an exchange while it happens.

1. Tell it what happens, and when; after the end it gives the recording. It has no clock: `now` is
   in seconds, of any clock that only goes forward.
2. What it was given is held until the end, as a secret may be split over any two chunks.
3. A gzip or zlib-deflate body is inflated, as no secret could be found in it else; the head then
   says nothing of a coding or a length. Each chunk is recorded as what it inflates to, and a body
   that is broken, or inflates without end, ends there with the error that the decoder has for it.
4. A body in any other coding is not recorded: the head says as it was which one that is, and the
   ending says so in words.
5. Seconds are rounded, and what rounding takes from one is given to the next, so that they add up.
"""

from __future__ import annotations

from collections.abc import Collection

from msgspec.structs import replace

from sansio_moondream._errors import (
    IncompleteStream,
    LocalProtocolError,
    MoondreamError,
    RemoteProtocolError,
    TransportError,
    shorten,
)
from sansio_moondream._headers import Headers, HeaderTypes
from sansio_moondream._limits import Limits
from sansio_moondream._requests.http import HTTPRequest
from sansio_moondream._wire.inflate import Inflater

from ._lines import Recording
from ._redaction import (
    RESPONSE_HEADERS,
    mask_chunks,
    mask_message,
    picture_heads,
    request_secrets,
    safe_headers,
)
from ._values import ENDING_ERRORS, EOF, LEFT, Chunk, Ending, RecordingHeader, decode_json


class Recorder:
    """Makes the `Recording` of one exchange: call `receive_response` when the head is there,
    `receive_data` for each chunk of the body, and one of `receive_eof`, `receive_error` and `leave`
    at the end, which give the recording.

    `secrets` of 4 characters or more are masked wherever they come; the keys among the request's
    own headers and in its query are some without saying, and its pictures are masked where they are
    sent back. Raises ValueError for a request whose body is not JSON."""

    def __init__(self, request: HTTPRequest, secrets: Collection[str] = (), *, now: float) -> None:
        self._secrets = request_secrets(request).union(secrets)
        self._header = RecordingHeader.of(request, secrets=secrets)
        self._pictures = picture_heads(decode_json(request.body))
        self._began = now
        self._elapsed = 0.0
        self._chunks: list[tuple[float, bytes]] = []
        self._inflater: Inflater | None = None
        self._opaque: RemoteProtocolError | None = None
        self._fault: Ending | None = None  # that ended the recording before the exchange ends
        self._over = False

    def receive_response(self, status_code: int, headers: HeaderTypes, now: float) -> None:
        """The head came. Raises LocalProtocolError if one came before."""
        self._check(head=False)
        fields = Headers(headers)
        coding = fields.get("content-encoding", "").strip().lower().removeprefix("x-")
        allowed = RESPONSE_HEADERS
        seconds = self._seconds(now)
        if coding in ("gzip", "deflate"):
            self._inflater = Inflater(coding, Limits())
            allowed -= {"content-encoding", "content-length"}
        elif coding not in ("", "identity"):
            self._opaque = RemoteProtocolError(
                f"the body is not recorded: no secret can be found in the coding {shorten(coding, 40)!r}"
            )
        response = safe_headers(fields, allowed, self._secrets)
        self._header = replace(
            self._header, status_code=status_code, response_headers=response, seconds=seconds
        )

    def receive_data(self, chunk: bytes, now: float) -> None:
        """A chunk of the body came; an empty one is not kept. Raises LocalProtocolError if no head
        came before, or the end did.
        """
        self._check(head=True)
        if self._fault is not None or not chunk:
            return
        fault: MoondreamError | None = self._opaque
        if self._inflater is not None:
            chunk, fault = self._inflater.feed(chunk)
        if chunk and self._opaque is None:
            self._chunks.append((self._seconds(now), bytes(chunk)))
        if fault is not None:
            self._fault = self._ending(self._seconds(now), fault)

    def receive_eof(self, now: float) -> Recording:
        """The body ended as HTTP says it should.

        Raises LocalProtocolError if no head came before, or the end did.
        """
        self._check(head=True)
        return self._finish(Ending(self._seconds(now), EOF))

    def receive_error(self, error: BaseException, now: float) -> Recording:
        """An error ended the exchange, before its head or after it. One that is no `Exception` is
        the caller's leaving.

        What has no name in a recording is TransportError before the head, and IncompleteStream
        after it. Raises LocalProtocolError if the end came before."""
        self._check()
        if not isinstance(error, Exception):
            return self.leave(now)
        return self._finish(self._ending(self._seconds(now), error))

    def leave(self, now: float) -> Recording:
        """The caller left before the end. Raises LocalProtocolError if the end came before."""
        self._check()
        return self._finish(Ending(self._seconds(now), LEFT))

    def _check(self, head: bool | None = None) -> None:
        if self._over:
            raise LocalProtocolError("the exchange was over: a Recorder makes one recording")
        if head is not None and head != (self._header.status_code is not None):
            raise LocalProtocolError(
                "no head of the response came before"
                if head
                else "the head of the response came before"
            )

    def _seconds(self, now: float) -> float:
        seconds = max(0.0, round(now - self._began - self._elapsed, 6))
        self._elapsed += seconds
        return seconds

    def _ending(self, seconds: float, error: Exception) -> Ending:
        for kind in type(error).__mro__:
            if ENDING_ERRORS.get(kind.__name__) is kind:
                return Ending(seconds, kind.__name__, mask_message(str(error), self._secrets))
        named = TransportError if self._header.status_code is None else IncompleteStream
        return Ending(
            seconds, named.__name__, mask_message(f"{type(error).__name__}: {error}", self._secrets)
        )

    def _finish(self, ending: Ending) -> Recording:
        self._over = True
        if self._inflater is not None and (rest := self._inflater.end()):
            self._chunks.append((0.0, rest))
        masked = mask_chunks([data for _, data in self._chunks], self._secrets, self._pictures)
        chunks = tuple(
            Chunk(seconds, data) for (seconds, _), data in zip(self._chunks, masked, strict=True)
        )
        self._chunks.clear()
        return Recording(self._header, chunks, self._fault or ending)
