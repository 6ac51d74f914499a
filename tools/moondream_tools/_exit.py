"""How the command line ends: its errors in words, and streams that cannot be used."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from sansio_moondream import (
    APIError,
    AuthenticationError,
    ConnectError,
    IncompleteStream,
    LocalProtocolError,
    MoondreamError,
    NotFoundError,
    PaymentRequiredError,
    PermissionDeniedError,
    RemoteProtocolError,
    TLSError,
    TransportError,
)

from ._status import PROGRAM, Exit
from ._terminal import safe
from ._wording import advice, describe_error

_ERRORS: dict[type[MoondreamError], tuple[Exit, str]] = {
    APIError: (Exit.REFUSED, "refused"),
    TransportError: (Exit.UNREACHABLE, "no answer"),
    IncompleteStream: (Exit.INCOMPLETE, "incomplete answer"),
    RemoteProtocolError: (Exit.INCOMPLETE, "incomplete answer"),
    LocalProtocolError: (Exit.USAGE, "not sent"),
}
ERRORS = tuple(_ERRORS)
"""The errors that a server, or the way to it, can cause."""

SHARED = (
    AuthenticationError,
    PaymentRequiredError,
    PermissionDeniedError,
    NotFoundError,
    ConnectError,
    TLSError,
    LocalProtocolError,
)
"""What is wrong in these is the same for the next request: the key, the balance, the address."""


def report(error: MoondreamError) -> Exit:
    """Print an error of the way to an answer. Returns its exit status."""
    status, summary = next(outcome for kind, outcome in _ERRORS.items() if isinstance(error, kind))
    print_error(f"{summary}: {describe_error(error)}")
    if (line := advice(error)) is not None:
        print_note(line)
    return status


def print_error(text: str) -> None:
    """Print a line on standard error. Nothing is raised if it cannot be written."""
    print_note(f"{PROGRAM}: {text}")


def print_note(text: str) -> None:
    """Print a line without the program's name on standard error, in the same way."""
    with suppress(OSError):
        print(safe(text), file=sys.stderr)


def open_closed_streams() -> None:
    """Open the standard streams that the program was started without, to nothing.

    Python has None for them. Their numbers have to be taken: the next file that is opened, such as
    a socket, would get one, and with it whatever is printed.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            number = os.open(os.devnull, os.O_RDWR)
            # Nobody closes it, so it must not warn that it was not closed.
            stream = os.fdopen(number, "r" if name == "stdin" else "w", closefd=False)
            setattr(sys, name, stream)


def discard_output(stream: str = "stdout") -> None:
    """Discard what was not written to a standard stream, and what will be."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, getattr(sys, stream).fileno())
    os.close(nowhere)
