# Generated from ../_async/subscription.py by `make generate`; do not edit.
"""One reader of a broadcast, as the source of a relay.

The buffer releases at once what waits for a reader that is too slow. The reader itself gets the
error in its turn, behind what it was sent before. So a client that stopped for a while learns why
its stream ends. Until it reads again, or leaves, its relay waits for it.
"""

from __future__ import annotations

from sansio_moondream import Dialect, ErrorResponse, MoondreamError, encode_error
from sansio_moondream.relay import ReplayReader, StreamEncoder, parse_last_event_id

from .channel import Channel


class Subscription:
    """Read a channel. The methods are those of a `Source`.

    Args:
        channel: with the records.
        encoder: that made them.
        dialect: of an error that is a whole response.
        last_event_id: of the record that the reader has had.
    """

    def __init__(
        self,
        channel: Channel,
        encoder: StreamEncoder,
        dialect: Dialect,
        last_event_id: int | str | None,
    ) -> None:
        self._channel = channel
        self._encoder = encoder
        self._dialect = dialect
        self._last_event_id = last_event_id
        self._reader: ReplayReader | None = None
        self._is_closed = False  # perhaps by another thread, before the reader has joined
        self.headers = encoder.headers
        self.heartbeat = encoder.heartbeat

    def next_part(self) -> bytes | None:
        """As `Source.next_part` says. The first call joins."""
        reader = self._reader
        if reader is None:
            self._reader = reader = self._join()
            if self._is_closed:
                self._channel.leave(reader)
        return self._channel.read(reader)

    def encode_error(self, error: MoondreamError) -> bytes:
        """As `Source.encode_error` says. The error is of this reader: others read on."""
        return self._encoder.encode_interruption(error)

    def encode_refusal(self, error: MoondreamError) -> ErrorResponse:
        """As `Source.encode_refusal` says."""
        if isinstance(error, _NothingBehind):
            return ErrorResponse(204, (), b"")
        return encode_error(error, self._dialect)

    def close(self) -> None:
        """As `Source.close` says."""
        self._is_closed = True
        if self._reader is not None:
            self._channel.leave(self._reader)

    def _join(self) -> ReplayReader:
        last_id = self._last_event_id
        if not isinstance(last_id, int):
            last_id = parse_last_event_id(last_id)
        reader = self._channel.join(last_id)
        buffer = self._channel.buffer
        if buffer.is_ended and last_id == buffer.last_id:
            self._channel.leave(reader)
            raise _NothingBehind
        return reader


class _NothingBehind(MoondreamError):
    """The reader has had all. The status 204 stops an EventSource, which would come again."""
