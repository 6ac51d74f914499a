"""The body of an answer, as it was received and inflated."""

from __future__ import annotations

from sansio_moondream import Headers, Limits, MoondreamError
from sansio_moondream._wire.inflate import Inflater, content_coding


class Body:
    """Gather the chunks of a body.

    Attributes:
        received: as it was sent.
        decoded: the same, inflated. It is the same object if the body is not compressed.
    """

    def __init__(self) -> None:
        self.received = bytearray()
        self.decoded = self.received
        self._inflater: Inflater | None = None

    @property
    def is_compressed(self) -> bool:
        """Whether the head names a coding that is inflated."""
        return self.decoded is not self.received

    def receive_response(self, headers: Headers) -> None:
        """Receive the head of the response."""
        coding = content_coding(headers)
        if coding in ("gzip", "deflate"):
            self._inflater = Inflater(coding, Limits())
            self.decoded = bytearray()

    def receive_data(self, data: bytes) -> tuple[bytes, MoondreamError | None]:
        """Receive a chunk. Return what it inflates to, and what is wrong with it or None.

        Nothing is inflated behind a fault.
        """
        self.received += data
        if not self.is_compressed:
            return data, None
        if self._inflater is None:
            return b"", None
        inflated, fault = self._inflater.feed(data)
        if fault is not None:
            self._inflater = None
        self.decoded += inflated
        return inflated, fault
