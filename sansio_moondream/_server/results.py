"""A whole answer to its result, in one call."""

from __future__ import annotations

from typing import Final

from sansio_moondream._headers import HeaderTypes
from sansio_moondream._limits import Limits
from sansio_moondream._requests.base import Request
from sansio_moondream._results import R
from sansio_moondream._stream import ResponseStream

_JSON: Final = (("content-type", "application/json"),)


def decode_result(
    request: Request[R],
    body: bytes | bytearray | memoryview,
    *,
    status_code: int = 200,
    headers: HeaderTypes = _JSON,
    limits: Limits | None = None,
) -> R:
    """Decode a whole answer, such as one that was stored. `encode_result` is the reverse.

    Args:
        request: that the body answers.
        body: undecoded.
        status_code: of the response. An error status raises its error.
        headers: of the response. They are in the result's metadata. With those of an event stream,
            the body is read as one.
        limits: of the body.

    Raises:
        APIError: The body reports an error.
        RemoteProtocolError: The body is no answer to this request.
        IncompleteStream: The body ends too early.
    """
    stream = ResponseStream(request, limits)
    stream.receive_response(status_code, headers)
    stream.receive_data(body)
    stream.receive_eof()
    return stream.result()
