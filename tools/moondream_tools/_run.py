"""Run a command: parse its arguments, and word what is wrong with them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from ._arguments import make_parser
from ._client_arguments import UsageError
from ._exit import print_error
from ._server_commands import COMMANDS, run_server_command
from ._status import PROGRAM, Exit
from ._terminal import Terminal
from ._wording import INSTALL, describe_error

_SKILLS = ("query", "caption", "segment", "detect", "point")


def run(argv: Sequence[str] | None) -> int:
    """Run the command line. Returns its exit status.

    Raises OSError for standard output alone, and KeyboardInterrupt.
    """
    out = Terminal(sys.stdout)
    try:
        arguments = _parse(argv)
        status = _run(arguments, out)
    except SystemExit as done:  # argparse has printed a message
        return Exit.OK if not done.code else Exit.USAGE
    except UsageError as error:
        print_error(str(error))
        return Exit.USAGE
    except KeyboardInterrupt:
        out.end_line()  # the answer may have stopped in the middle of a line
        raise
    if out.lacks_rich:
        print_error(f"this terminal shows more with rich: {INSTALL}")
    return status


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the arguments. `more` of a skill has those that came after an option."""
    parser = make_parser()
    arguments, more = parser.parse_known_args(argv)
    is_skill = arguments.skill in (*_SKILLS, "chat")
    if unknown := [word for word in more if not is_skill or (word.startswith("-") and word != "-")]:
        words = (PROGRAM, arguments.skill, getattr(arguments, "bulk_skill", None))
        parser.prog = " ".join(filter(None, words))  # whose help has the arguments
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    arguments.more = more
    return arguments


def _run(arguments: argparse.Namespace, out: Terminal) -> int:
    """Run a command. Raises UsageError, and OSError for standard output.

    What a command does not need is not imported: that takes longer than some commands.
    """
    command = arguments.skill
    if command == "bulk":
        from ._bulk import run_bulk_command

        return run_bulk_command(arguments, os.environ)
    if command == "schema":
        from ._schema import run_schema

        return run_schema(arguments.kind)
    if command == "completion":
        from ._completion import run_completion

        return run_completion(arguments.shell)
    if command == "show":
        from ._show import run_show

        return run_show(arguments, out)
    if command == "inspect":
        from ._inspect._command import run_inspect

        return run_inspect(arguments, os.environ)
    if command == "demo":
        from ._demo import run_demo

        run_demo(out, arguments.speed, arguments.overlay)
        return Exit.OK
    if command in COMMANDS:
        try:
            return Exit.OK if run_server_command(arguments) else Exit.INTERRUPTED
        except ValueError as error:
            raise UsageError(describe_error(error)) from error
    if command == "chat":
        from ._chat import run_chat

        return run_chat(arguments, os.environ, out)
    from ._ask import run_ask

    return run_ask(arguments, os.environ, out)
