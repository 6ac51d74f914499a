# Generated from ../_async/subscription.py by `make generate`; do not edit.
"""One reader of a broadcast: the source of a relay, and what admits it."""

from __future__ import annotations

from moondream_transports.relay._sync.group import Member, RelayGroup
from sansio_moondream import APIError, Dialect, ErrorResponse, MoondreamError, encode_error
from sansio_moondream.relay import ReplayReader, StreamEncoder, parse_last_event_id

from .channel import Channel


class Subscription:
    """Read a channel. The methods are those of a `Source`, and of a group with one member.

    Args:
        channel: with the records.
        encoder: that made them.
        dialect: of an error that is a whole response.
        last_event_id: of the record that the reader has had.
        group: that the reader belongs to, with others.
    """

    def __init__(
        self,
        channel: Channel,
        encoder: StreamEncoder,
        dialect: Dialect,
        last_event_id: int | str | None,
        group: RelayGroup | None,
    ) -> None:
        self._channel = channel
        self._encoder = encoder
        self._dialect = dialect
        self._last_event_id = last_event_id
        self._group = group
        self._reader: ReplayReader | None = None
        self._member: Member | None = None
        self.headers = encoder.headers
        self.heartbeat = encoder.heartbeat

    def next_part(self) -> bytes | None:
        """As `Source.next_part` says. The first call joins."""
        reader = self._reader
        if reader is None:
            self._reader = reader = self._join()
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
        if self._reader is not None:
            self._channel.leave(self._reader)

    def admit(self, member: Member) -> APIError | None:
        """As `RelayGroup.admit` says. If the reader is dropped, the member is stopped."""
        self._member = member
        return None if self._group is None else self._group.admit(member)

    def release(self, member: Member) -> None:
        """As `RelayGroup.release` says."""
        if self._group is not None:
            self._group.release(member)

    def _join(self) -> ReplayReader:
        last_id = self._last_event_id
        if not isinstance(last_id, int):
            last_id = parse_last_event_id(last_id)
        reader = self._channel.join(last_id, self._stop)
        buffer = self._channel.buffer
        if buffer.is_ended and last_id == buffer.last_id:
            self._channel.leave(reader)
            raise _NothingBehind
        return reader

    def _stop(self, error: MoondreamError) -> None:
        if self._member is not None:
            self._member.stop(error)


class _NothingBehind(MoondreamError):
    """The reader has had all. The status 204 stops an EventSource, which would come again."""
