"""What the ending of a recording says of the error that ended the exchange."""

from __future__ import annotations

from sansio_moondream._errors import IncompleteStream, MoondreamError, TransportError

from ._values import ENDING_ERRORS


def name_error(error: Exception, *, has_head: bool) -> tuple[str, str]:
    """Return the name and the message of an error in recordings. The message is not masked.

    Args:
        error: of any library.
        has_head: whether the exchange has the head of its response.
    """
    # Its method and URL are left out: they are those of the recording.
    message = error.message if isinstance(error, MoondreamError) else str(error)
    for kind in type(error).__mro__:
        if ENDING_ERRORS.get(kind.__name__) is kind:
            return kind.__name__, message
    named = IncompleteStream if has_head else TransportError
    return named.__name__, f"{type(error).__name__}: {message}"
