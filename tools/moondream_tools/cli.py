"""The command line: `moondream-stream`.

What arrived goes to standard output, what went wrong to standard error.
"""

from __future__ import annotations

import io
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
)

from ._arguments import PROGRAM, UsageError, make_client, make_parser, make_request
from ._demo import run_demo
from ._render import JSONOutput, Output, TextOutput
from ._server_commands import COMMANDS, run_server_command
from ._terminal import Terminal, safe


class Exit(IntEnum):
    """Exit statuses. Those above 128 are what a shell gives for the signals of the same meaning."""

    OK = 0
    USAGE = 2
    REFUSED = 3
    INCOMPLETE = 4
    UNREACHABLE = 5
    INTERRUPTED = 130
    BROKEN_PIPE = 141


_FAULTS: dict[type[MoondreamError], tuple[Exit, str]] = {
    APIError: (Exit.REFUSED, "refused"),
    TransportError: (Exit.UNREACHABLE, "no answer"),
    IncompleteStream: (Exit.INCOMPLETE, "incomplete answer"),
    RemoteProtocolError: (Exit.INCOMPLETE, "incomplete answer"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line, and give its exit status.

    Nothing is raised for what can go wrong outside the program.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(
                errors="backslashreplace"
            )  # spell out what its encoding lacks, instead of failing on it
    try:
        status = _run(argv)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        return Exit.BROKEN_PIPE
    except KeyboardInterrupt:
        if sys.stdout.isatty():
            print()  # the answer may have broken off in the middle of a line
        _say("interrupted")
        return Exit.INTERRUPTED
    return status


def _run(argv: Sequence[str] | None) -> int:
    try:
        arguments = make_parser().parse_args(argv)
    except SystemExit as done:  # argparse has said what is wrong, or helped
        return Exit.OK if not done.code else Exit.USAGE
    out = Terminal(sys.stdout)
    if arguments.skill == "demo":
        try:
            run_demo(out, arguments.speed, arguments.overlay)
        except UsageError as error:
            _say(str(error))
            return Exit.USAGE
        return Exit.OK
    if arguments.skill in COMMANDS:
        try:
            return Exit.OK if run_server_command(arguments) else Exit.INTERRUPTED
        except (ValueError, OSError, ImportError) as error:
            _say(str(error))
            return Exit.USAGE
    try:
        client = make_client(arguments, os.environ.get("MOONDREAM_API_KEY"))
        request = make_request(arguments)
    except (UsageError, ValueError, OSError) as error:
        _say(str(error))
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
        _say(str(error))
        return Exit.USAGE
    except tuple(_FAULTS) as error:
        output.fault(error.partial)
        return _report(error)
    return Exit.OK


def _report(error: MoondreamError) -> int:
    status, words = next(outcome for kind, outcome in _FAULTS.items() if isinstance(error, kind))
    known = "" if error.request_id is None else f" (request {error.request_id})"
    _say(f"{words}: {error}{known}")
    return status


def _say(text: str) -> None:
    print(f"{PROGRAM}: {safe(text)}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
