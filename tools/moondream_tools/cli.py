"""The command line: `moondream-stream`.

The answer goes to standard output, errors go to standard error. Nothing from outside the program is
a traceback: not an interrupt while its modules are imported, not a full disk, not a reader that
leaves, not a stream that is closed.
"""

from __future__ import annotations

import io
import signal
import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress

from ._status import PROGRAM, Exit

__all__ = ["Exit", "main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line. Returns its exit status.

    No error from outside the program is raised.

    Args:
        argv: the arguments. None takes those of the process.
    """
    try:
        return _main(argv)
    except KeyboardInterrupt:
        with suppress(OSError, ValueError, AttributeError):
            print(f"{PROGRAM}: interrupted", file=sys.stderr)
        return Exit.INTERRUPTED


def program() -> None:
    """Run the command line as a program, and end it."""
    status = main()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends: an interrupt would be a traceback now
    sys.exit(status)


def _main(argv: Sequence[str] | None) -> int:
    # Imported here, as it takes a while, in which an interrupt may come.
    with _delayed_interrupt():
        from ._exit import discard_output, open_closed_streams, print_error
        from ._run import run

    open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A character that the encoding lacks becomes an escape, not an error.
            stream.reconfigure(errors="backslashreplace")
    try:
        status = run(argv)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output has closed it
        discard_output("stdout")  # else the flush at exit would fail
        status = Exit.BROKEN_PIPE
    except OSError as error:  # a full disk, for example
        discard_output("stdout")
        print_error(f"the output cannot be written: {(error.strerror or str(error)).lower()}")
        status = Exit.USAGE
    try:
        sys.stderr.flush()
    except OSError:  # nobody can be told
        discard_output("stderr")
    return status


@contextmanager
def _delayed_interrupt() -> Generator[None]:
    """Raise KeyboardInterrupt at the end of the block, if an interrupt comes in it.

    Modules in C that are interrupted while they define classes may crash the process: msgspec does.
    """
    is_ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not is_ours or threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set a handler
        return
    came: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if came:
        raise KeyboardInterrupt


if __name__ == "__main__":
    program()
