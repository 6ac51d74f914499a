"""How the command line ends: exit statuses, and errors in words."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from enum import IntEnum

from sansio_moondream import (
    APIError,
    IncompleteStream,
    MoondreamError,
    RemoteProtocolError,
    TransportError,
)

from ._client_arguments import PROGRAM
from ._terminal import safe


class Exit(IntEnum):
    """Exit statuses. Those above 128 are a shell's for the same signals."""

    OK = 0
    USAGE = 2
    REFUSED = 3
    INCOMPLETE = 4
    UNREACHABLE = 5
    SOME_FAILED = 6
    INTERRUPTED = 130
    BROKEN_PIPE = 141


_ERRORS: dict[type[MoondreamError], tuple[Exit, str]] = {
    APIError: (Exit.REFUSED, "refused"),
    TransportError: (Exit.UNREACHABLE, "no answer"),
    IncompleteStream: (Exit.INCOMPLETE, "incomplete answer"),
    RemoteProtocolError: (Exit.INCOMPLETE, "incomplete answer"),
}
ERRORS = tuple(_ERRORS)
"""The errors that a server, or the way to it, can cause."""


def report(error: MoondreamError) -> Exit:
    """Print an error of the way to an answer. Returns its exit status."""
    status, summary = next(outcome for kind, outcome in _ERRORS.items() if isinstance(error, kind))
    print_error(f"{summary}: {error}")
    return status


def print_error(text: str) -> None:
    """Print a line on standard error. Nothing is raised if it cannot be written."""
    with suppress(OSError):
        print(f"{PROGRAM}: {safe(text)}", file=sys.stderr)


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


def discard_output() -> None:
    """Discard what was not written to standard output, and what will be."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
