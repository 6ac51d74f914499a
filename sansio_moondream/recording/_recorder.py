"""Build the recording of a running exchange.

1. The caller reports each step with its time. The recorder has no clock: `now` is in seconds, of
   any monotonic clock.
2. The body is buffered until the end, as a secret may be split over any two chunks.
3. A gzip or zlib-deflate body is inflated, as secrets cannot be found in it otherwise. The recorded
   head then has neither a coding nor a length, and each chunk has the bytes that it inflates to. If
   the body is invalid, or inflates without end, the recording ends there with the decoder's error.
4. A body in another coding is not recorded, nor one that begins as compressed data does though the
   head names no coding. The recorded head is as it was, and the ending says why there is no body.
5. Seconds are rounded, and the rounding error is added to the next value, so that the sum is right.
"""

from __future__ import annotations

from collections.abc import Iterable

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
from sansio_moondream._secrets.values import Secrets
from sansio_moondream._wire.inflate import Inflater, content_coding

from ._lines import Recording
from ._masks import mask_chunks, mask_message
from ._redaction import RESPONSE_HEADERS, safe_headers, safe_request
from ._values import ENDING_ERRORS, EOF, LEFT, Chunk, Ending, RecordingHeader

_MAGIC_BYTES = 4  # no chunk is empty, so that many chunks have all of them
_COMPRESSED = (b"\x1f\x8b", b"x\x01", b"x\x9c", b"x\xda", b"\x28\xb5\x2f\xfd")  # gzip, zlib, zstd


class Recorder:
    """Builds the `Recording` of one exchange.

    Call `receive_response` for the head, `receive_data` for each chunk of the body, and at the end
    `receive_eof`, `receive_error` or `leave`, which return the recording.

    Args:
        request: as it was sent. The keys in its headers, its query and its body are masked, and so
            are its pictures where the server sends them back.
        secrets: to mask, too, if they have 4 characters or more.
        now: the time of the request.

    Raises:
        ValueError: the body of the request is not JSON.
    """

    def __init__(self, request: HTTPRequest, secrets: Iterable[str] = (), *, now: float) -> None:
        secrets = Secrets.among(secrets)  # from here on no local variable shows them
        safe = safe_request(request, secrets)
        self._header = RecordingHeader(request.method, safe.path, safe.headers, safe.body)
        self._secrets, self._pictures = safe.secrets, safe.pictures
        self._began = now
        self._elapsed = 0.0
        self._chunks: list[tuple[float, bytes]] = []
        self._inflater: Inflater | None = None
        self._opaque: RemoteProtocolError | None = None
        self._early_ending: Ending | None = None  # the recording ended before the exchange
        self._finished = False

    def receive_response(self, status_code: int, headers: HeaderTypes, now: float) -> None:
        """Record the head.

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
        self._header = replace(
            self._header, status_code=status_code, response_headers=response, seconds=seconds
        )

    def receive_data(self, chunk: bytes, now: float) -> None:
        """Record a chunk of the body. An empty chunk is ignored.

        Raises:
            LocalProtocolError: no head came before, or the exchange has ended.
        """
        self._check(head=True)
        if self._early_ending is not None or not chunk:
            return
        error: MoondreamError | None = self._opaque
        if self._inflater is not None:
            chunk, error = self._inflater.feed(chunk)
        if chunk and self._opaque is None:
            self._chunks.append((self._seconds(now), bytes(chunk)))
        if error is not None:
            self._early_ending = self._ending(self._seconds(now), error)

    def receive_eof(self, now: float) -> Recording:
        """Finish the recording: the body ended properly.

        Raises:
            LocalProtocolError: no head came before, or the exchange has ended.
        """
        self._check(head=True)
        return self._finish(Ending(self._seconds(now), EOF))

    def receive_error(self, error: BaseException, now: float) -> Recording:
        """Finish the recording: an error ended the exchange, before its head or after it.

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
        for kind in type(error).__mro__:
            if ENDING_ERRORS.get(kind.__name__) is kind:
                return Ending(seconds, kind.__name__, mask_message(str(error), self._secrets))
        named = TransportError if self._header.status_code is None else IncompleteStream
        message = f"{type(error).__name__}: {error}"
        return Ending(seconds, named.__name__, mask_message(message, self._secrets))

    def _finish(self, ending: Ending) -> Recording:
        self._finished = True
        if self._inflater is not None and (rest := self._inflater.end()):
            self._chunks.append((0.0, rest))
        seconds, chunks = (
            [seconds for seconds, _ in self._chunks],
            [data for _, data in self._chunks],
        )
        self._chunks.clear()
        if b"".join(chunks[:_MAGIC_BYTES]).startswith(_COMPRESSED):
            ending = self._ending(seconds[0], _not_recorded("compressed data"))
            return Recording(self._header, (), ending)
        masked = mask_chunks(chunks, self._secrets, self._pictures)
        recorded = tuple(map(Chunk, seconds, masked))
        return Recording(self._header, recorded, self._early_ending or ending)


def _not_recorded(what: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"the body is not recorded: secrets cannot be found in {what}")
