"""Build the recording of a running exchange.

1. The caller reports each step with its time. The recorder has no clock: `now` is in seconds, of
   any monotonic clock.
2. A secret may be split over any two chunks, so chunks are masked together. The chunks of a long
   body can be taken before its end, if those that follow are known.
3. A body is recorded up to a limit. The ending then says how much was left out.
4. A gzip or zlib-deflate body is inflated, as secrets cannot be found in it otherwise. The recorded
   head then has neither a coding nor a length, and each chunk has the bytes that it inflates to. If
   the body is invalid, or inflates without end, the recording ends there with the decoder's error.
5. A body in another coding is not recorded, nor one that begins as compressed data does though the
   head names no coding. The recorded head is as it was, and the ending says why there is no body.
6. Seconds are rounded, and the rounding error is added to the next value, so that the sum is right.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate
from typing import Final

from msgspec.structs import replace

from sansio_moondream._errors import (
    LocalProtocolError,
    MoondreamError,
    RemoteProtocolError,
    shorten,
)
from sansio_moondream._headers import Headers, HeaderTypes
from sansio_moondream._limits import Limits
from sansio_moondream._requests.http import HTTPRequest
from sansio_moondream._secrets.values import Secrets
from sansio_moondream._wire.inflate import Inflater, content_coding

from ._errors import name_error
from ._lines import Recording
from ._masks import mask_chunks, mask_message, open_pictures
from ._redaction import RESPONSE_HEADERS, safe_headers, safe_request
from ._values import (
    EOF,
    LEFT,
    OMITTED,
    Chunk,
    Ending,
    RecordedTimeouts,
    RecordingHeader,
)

MAX_BODY_BYTES: Final = 16 * 1024 * 1024
"""How much of a body is recorded, by default."""
_TAKEN_FROM = 512 * 1024  # bytes that are held before some can be taken
_CONTEXT = 64 * 1024  # bytes on both sides in which we look for secrets
_MAX_CHUNK = 256 * 1024  # a chunk that inflates to more is recorded as several
_MAGIC_BYTES = 4  # no chunk is empty, so that many chunks have all of them
_COMPRESSED = (b"\x1f\x8b", b"x\x01", b"x\x9c", b"x\xda", b"\x28\xb5\x2f\xfd")  # gzip, zlib, zstd


class Recorder:
    """Builds the `Recording` of one exchange.

    Call `receive_response` for the head, `receive_data` for each chunk of the body, and at the end
    `receive_eof`, `receive_error` or `leave`, which return the recording. To write a long body
    while it arrives, call `take_chunks` when `held` is large. To show it meanwhile, `peek_chunks`.

    Each method takes `now`, the time in seconds of any clock that does not go back.

    Args:
        request: as it was sent. The keys in its headers, its query and its body are masked, and so
            are its pictures where the server sends them back.
        secrets: to mask, too, if they have 4 characters or more.
        now: the time of the request.
        max_body_bytes: of the body, once it is inflated. The rest is left out.
        timeouts: of the client, if they are known.

    Attributes:
        held: bytes of the body that are held.

    Raises:
        ValueError: the body of the request is not JSON, or it has more than 64 secrets, or one
            of more than 8,192 characters.
    """

    def __init__(
        self,
        request: HTTPRequest,
        secrets: Iterable[str] = (),
        *,
        now: float,
        max_body_bytes: int = MAX_BODY_BYTES,
        timeouts: RecordedTimeouts | None = None,
    ) -> None:
        secrets = Secrets.among(secrets)  # from here on no local variable shows them
        safe = safe_request(request, secrets)
        self._header = RecordingHeader(
            request.method, safe.path, safe.headers, safe.body, timeouts=timeouts
        )
        self._secrets, self._pictures = safe.secrets, safe.pictures
        self._began = now
        self._elapsed = 0.0
        self._chunks: list[tuple[float, bytes]] = []  # not masked
        self._context = b""  # what was taken before them, not masked
        self.held = 0
        self._left = max_body_bytes
        self._omitted = 0
        self._inflater: Inflater | None = None
        self._opaque: RemoteProtocolError | None = None
        self._early_ending: Ending | None = None  # the recording ended before the exchange
        self._finished = False

    @property
    def header(self) -> RecordingHeader:
        """The header of the recording. Before `receive_response` it has no response."""
        return self._header

    def receive_response(
        self,
        status_code: int,
        headers: HeaderTypes,
        now: float,
        *,
        connected_at: float | None = None,
    ) -> None:
        """Record the head: `status_code` and `headers` of the response.

        `connected_at` is the time at which the connection was there, if that is known.

        Raises:
            LocalProtocolError: a head came before.
        """
        self._check(head=False)
        fields = Headers(headers)
        coding = content_coding(fields)
        allowed = RESPONSE_HEADERS
        seconds = self._seconds(now)
        if coding in ("gzip", "deflate"):
            self._inflater = Inflater(coding, Limits())
            allowed -= {"content-encoding", "content-length"}
        elif coding:
            self._opaque = _not_recorded(f"the coding {shorten(coding, 40)!r}")
        response = safe_headers(fields, allowed, self._secrets)
        connected = None
        if connected_at is not None:  # it was there between the request and the head
            connected = max(0.0, min(connected_at, now) - self._began)
        self._header = replace(
            self._header,
            status_code=status_code,
            response_headers=response,
            seconds=seconds,
            connected=connected,
        )

    def receive_data(self, chunk: bytes, now: float) -> None:
        """Record a `chunk` of the body. An empty chunk is ignored.

        Raises:
            LocalProtocolError: no head came before, or the exchange has ended.
        """
        self._check(head=True)
        if self._early_ending is not None:
            return
        if self._left == 0:
            self._omitted += len(chunk)
            return
        if not chunk:
            return
        error: MoondreamError | None = self._opaque
        if self._inflater is not None:
            chunk, error = self._inflater.feed(chunk)
        if self._opaque is None:
            self._hold(self._seconds(now), bytes(chunk))
        if error is not None:
            self._early_ending = self._ending(self._seconds(now), error)

    def take_chunks(self) -> tuple[Chunk, ...]:
        """Return the first chunks, masked, and release them. The recording has the others.

        There are some if 512 KiB or more are held. Pictures of any length are masked, and other
        secrets whose bytes are at most 64 KiB apart.
        """
        if self.held >= _TAKEN_FROM:
            self._drop_compressed()
        if self.held < _TAKEN_FROM:
            return ()
        masked = self._masked()
        ends = accumulate(len(data) for _, data in self._chunks)
        count = sum(end <= self.held - _CONTEXT for end in ends)
        taken = self._chunks[:count]
        before = b"".join([self._context, *(data for _, data in taken)])[-_CONTEXT:]
        shown = b"".join(chunk.data for chunk in masked[:count])[-_CONTEXT:]
        self._context = open_pictures(before, shown) + before
        self.held -= sum(len(data) for _, data in taken)
        del self._chunks[:count]
        return masked[:count]

    def peek_chunks(self) -> tuple[Chunk, ...]:
        """Return the chunks that are held, masked by what is known so far. They stay held.

        So a recording can be shown while it is made. A later chunk may complete a secret: then more
        of the last bytes is masked, or less. Of a secret, at most its first 3 bytes are shown until
        then.
        """
        return () if self._is_compressed() else self._masked(is_open=True)

    def receive_eof(self, now: float) -> Recording:
        """Finish the recording: the body ended properly.

        Raises:
            LocalProtocolError: no head came before, or the exchange has ended.
        """
        self._check(head=True)
        return self._finish(Ending(self._seconds(now), EOF))

    def receive_error(self, error: BaseException, now: float) -> Recording:
        """Finish the recording: `error` ended the exchange, before its head or after it.

        An error without a name in recordings becomes TransportError before the head, and
        IncompleteStream after it. One that is not an `Exception`, such as a cancellation, is
        recorded as `leave`.

        Raises:
            LocalProtocolError: the exchange has ended.
        """
        self._check()
        if not isinstance(error, Exception):
            return self.leave(now)
        return self._finish(self._ending(self._seconds(now), error))

    def leave(self, now: float) -> Recording:
        """Finish the recording: the caller closed the exchange early.

        Raises:
            LocalProtocolError: the exchange has ended.
        """
        self._check()
        return self._finish(Ending(self._seconds(now), LEFT))

    def _check(self, head: bool | None = None) -> None:
        if self._finished:
            raise LocalProtocolError("the exchange has ended: a Recorder makes one recording")
        if head is not None and head != (self._header.status_code is not None):
            which = "no" if head else "the"
            raise LocalProtocolError(f"{which} head of the response came before")

    def _seconds(self, now: float) -> float:
        seconds = max(0.0, round(now - self._began - self._elapsed, 6))
        self._elapsed += seconds
        return seconds

    def _ending(self, seconds: float, error: Exception) -> Ending:
        name, message = name_error(error, has_head=self._header.status_code is not None)
        return Ending(seconds, name, mask_message(message, self._secrets))

    def _finish(self, ending: Ending) -> Recording:
        self._finished = True
        if self._inflater is not None:
            self._hold(0.0, self._inflater.end())
        self._drop_compressed()
        chunks = self._masked()
        self._chunks = []  # they are not masked
        ending = self._early_ending or ending
        if self._omitted:
            omitted = f"{self._omitted:,} bytes of the body were left out, as it is too long"
            ending = Ending(ending.seconds, OMITTED, omitted)
        return Recording(self._header, chunks, ending)

    def _hold(self, seconds: float, data: bytes) -> None:
        """Add what fits of a chunk."""
        for at in range(0, min(len(data), self._left), _MAX_CHUNK):
            part = data[at : min(at + _MAX_CHUNK, self._left)]
            self._chunks.append((seconds, part))
            self.held += len(part)
            seconds = 0.0
        self._omitted += max(0, len(data) - self._left)
        self._left -= min(len(data), self._left)

    def _drop_compressed(self) -> None:
        """End the recording before a body that begins as compressed data does."""
        if self._is_compressed():
            self._early_ending = self._ending(self._chunks[0][0], _not_recorded("compressed data"))
            self._chunks.clear()
            self.held = self._omitted = 0

    def _is_compressed(self) -> bool:
        first = b"".join(data for _, data in self._chunks[:_MAGIC_BYTES])
        return not self._context and first.startswith(_COMPRESSED)

    def _masked(self, *, is_open: bool = False) -> tuple[Chunk, ...]:
        """Return the chunks that are held, masked."""
        held = tuple(self._chunks)  # another thread may add some
        bodies = [self._context, *(data for _, data in held)]
        _, *masked = mask_chunks(bodies, self._secrets, self._pictures, is_open=is_open)
        return tuple(map(Chunk, (seconds for seconds, _ in held), masked))


def _not_recorded(what: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"the body is not recorded: secrets cannot be found in {what}")
