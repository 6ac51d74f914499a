"""The command line: `moondream-stream`.

The answer goes to standard output, errors go to standard error.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Sequence

from moondream_transports import NoRecording
from sansio_moondream import Completed, json_schema

from ._arguments import make_client, make_parser, make_request
from ._client_arguments import UsageError
from ._demo import run_demo
from ._exit import ERRORS, Exit, discard_output, open_closed_streams, print_error, report
from ._render import JSONOutput, Output, TextOutput
from ._server_commands import COMMANDS, run_server_command
from ._terminal import Terminal

__all__ = ["Exit", "main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line. Returns its exit status.

    No error from outside the program is raised.

    Args:
        argv: the arguments. None takes those of the process.
    """
    open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A character that the encoding lacks becomes an escape, not an error.
            stream.reconfigure(errors="backslashreplace")
    out = Terminal(sys.stdout)
    try:
        status = _run(argv, out)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output has closed it
        discard_output()  # else the flush at exit would fail
        return Exit.BROKEN_PIPE
    except OSError as error:  # a full disk, for example
        discard_output()
        print_error(f"the output cannot be written: {error}")
        return Exit.USAGE
    except KeyboardInterrupt:
        out.end_line()  # the answer may have stopped in the middle of a line
        print_error("interrupted")
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
            print_error(str(error))
            return Exit.USAGE
        return Exit.OK
    if arguments.skill == "schema":
        try:
            print(json.dumps(json_schema(arguments.kind), indent=2))
        except ValueError as error:
            print_error(str(error))
            return Exit.USAGE
        return Exit.OK
    if arguments.skill == "bulk":
        from ._bulk import run_bulk_command  # the others need neither SQLite nor threads

        return run_bulk_command(arguments, os.environ)
    if arguments.skill in COMMANDS:
        try:
            return Exit.OK if run_server_command(arguments) else Exit.INTERRUPTED
        except (ValueError, OSError, ImportError) as error:
            print_error(str(error))
            return Exit.USAGE
    try:
        client = make_client(arguments, os.environ)
        request = make_request(arguments)
    except (UsageError, ValueError, OSError) as error:
        print_error(str(error))
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
        print_error(str(error))
        return Exit.USAGE
    except ERRORS as error:
        output.fault(error)
        return report(error)
    except KeyboardInterrupt:
        output.fault(None)
        raise
    return Exit.OK


if __name__ == "__main__":
    sys.exit(main())
