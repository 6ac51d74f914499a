"""The command line: `moondream-stream`.

The answer goes to standard output, errors go to standard error.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Sequence
from enum import IntEnum

from moondream_transports import NoRecording
from sansio_moondream import (
    APIError,
    Completed,
    IncompleteStream,
    MoondreamError,
    RemoteProtocolError,
    TransportError,
    json_schema,
)

from ._arguments import PROGRAM, UsageError, make_client, make_parser, make_request
from ._demo import run_demo
from ._render import JSONOutput, Output, TextOutput
from ._server_commands import COMMANDS, run_server_command
from ._terminal import Terminal, safe


class Exit(IntEnum):
    """Exit statuses. Those above 128 are a shell's for the same signals."""

    OK = 0
    USAGE = 2
    REFUSED = 3
    INCOMPLETE = 4
    UNREACHABLE = 5
    INTERRUPTED = 130
    BROKEN_PIPE = 141


_ERRORS: dict[type[MoondreamError], tuple[Exit, str]] = {
    APIError: (Exit.REFUSED, "refused"),
    TransportError: (Exit.UNREACHABLE, "no answer"),
    IncompleteStream: (Exit.INCOMPLETE, "incomplete answer"),
    RemoteProtocolError: (Exit.INCOMPLETE, "incomplete answer"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line. Returns its exit status.

    No error from outside the program is raised.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A character that the encoding lacks becomes an escape, not an error.
            stream.reconfigure(errors="backslashreplace")
    out = Terminal(sys.stdout)
    try:
        status = _run(argv, out)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        return Exit.BROKEN_PIPE
    except KeyboardInterrupt:
        out.end_line()  # the answer may have stopped in the middle of a line
        _print_error("interrupted")
        return Exit.INTERRUPTED
    return status


def _run(argv: Sequence[str] | None, out: Terminal) -> int:
    try:
        arguments = make_parser().parse_args(argv)
    except SystemExit as done:  # argparse has printed a message
        return Exit.OK if not done.code else Exit.USAGE
    if arguments.skill == "demo":
        try:
            run_demo(out, arguments.speed, arguments.overlay)
        except UsageError as error:
            _print_error(str(error))
            return Exit.USAGE
        return Exit.OK
    if arguments.skill == "schema":
        try:
            print(json.dumps(json_schema(arguments.kind), indent=2))
        except ValueError as error:
            _print_error(str(error))
            return Exit.USAGE
        return Exit.OK
    if arguments.skill in COMMANDS:
        try:
            return Exit.OK if run_server_command(arguments) else Exit.INTERRUPTED
        except (ValueError, OSError, ImportError) as error:
            _print_error(str(error))
            return Exit.USAGE
    try:
        client = make_client(arguments, os.environ)
        request = make_request(arguments)
    except (UsageError, ValueError, OSError) as error:
        _print_error(str(error))
        return Exit.USAGE
    output: Output = (
        JSONOutput(sys.stdout) if arguments.json else TextOutput(out, Terminal(sys.stderr))
    )
    try:
        if arguments.no_stream:
            output.event(Completed(client.send(request)))
            return Exit.OK
        with client.stream(request) as stream:
            for event in stream:
                output.event(event)
    except NoRecording as error:
        _print_error(str(error))
        return Exit.USAGE
    except tuple(_ERRORS) as error:
        output.fault(error)
        return _report(error)
    except KeyboardInterrupt:
        output.fault(None)
        raise
    return Exit.OK


def _report(error: MoondreamError) -> int:
    status, summary = next(outcome for kind, outcome in _ERRORS.items() if isinstance(error, kind))
    _print_error(f"{summary}: {error}")
    return status


def _print_error(text: str) -> None:
    print(f"{PROGRAM}: {safe(text)}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
