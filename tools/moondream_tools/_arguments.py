"""The arguments of the command line."""

from __future__ import annotations

import argparse
from typing import Any

from ._bulk_arguments import add_bulk_command
from ._client_arguments import (
    add_endpoint,
    add_max_side,
    add_retries,
    add_settings,
    add_timeouts,
)
from ._inspect_arguments import add_inspect_command
from ._parser import FileAction, FilesAction, Parser, VersionAction, typed
from ._serve_options import parse_speed
from ._server_commands import add_server_commands
from ._status import PROGRAM

SHELLS = ("bash", "zsh", "fish", "tcsh", "powershell")
_EPILOG = """\
environment: MOONDREAM_API_KEY has the key, MOONDREAM_ENDPOINT the address of the server unless
--endpoint names one, MOONDREAM_MODEL the model unless --model does. NO_COLOR turns colours off.

IMAGE is a file, or - for standard input. The answer goes to standard output, everything else to
standard error. Control characters of the answer are shown as escapes; --json has the exact text.

exit status: 0 complete answer, 2 wrong usage, or a file that cannot be read or written, 3 refused
by the server, 4 incomplete answer (what arrived is shown), 5 no answer (unreachable, or silent), 6
some items of bulk failed, 130 interrupted, 141 the reader of the output left
"""
_DRAWINGS = {
    "overlay": "draw the answer on a copy of the picture",
    "mask": "draw the outline as a mask, white on black",
    "svg": "write the outline as an SVG document",
    "cutout": "cut the object out of the picture, on nothing",
}
DRAWINGS = tuple(_DRAWINGS)


def make_parser() -> Parser:
    """Return the parser. `moondream-stream completion` and the reference of the options read it."""
    parser = Parser(
        PROGRAM,
        description="Ask Moondream about pictures, and see the answer as it arrives. Unofficial.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action=VersionAction, nargs=0, help="show program's version number and exit"
    )
    commands = parser.add_subparsers(dest="skill", metavar="COMMAND", required=True)
    _add_skills(commands)
    _add_chat(commands)
    _add_demo(commands)
    _add_show(commands)
    add_inspect_command(commands)
    add_bulk_command(commands)
    add_server_commands(commands)
    _add_schema(commands)
    _add_completion(commands)
    return parser


def _add_skills(commands: Any) -> None:
    query = _add_skill(commands, "query", "ask a question, about pictures or about none")
    query.add_argument("last", nargs="?", metavar="QUESTION", help="the question")
    query.add_argument("--question", metavar="QUESTION", help="the question, as an option")
    query.add_argument(
        "--reasoning",
        action="store_true",
        default=None,
        help="ask for the reasoning too (the cloud needs --no-stream)",
    )
    caption = _add_skill(commands, "caption", "describe pictures")
    caption.set_defaults(last=None)
    caption.add_argument(
        "--length", choices=["short", "normal", "long"], help="the length of the description"
    )
    for skill, about, drawings in (
        ("segment", "outline an object that you describe", DRAWINGS),
        ("detect", "find the boxes of all objects of a kind", DRAWINGS[:1]),
        ("point", "find the centres of all objects of a kind", DRAWINGS[:1]),
    ):
        parser = _add_skill(commands, skill, about)
        parser.add_argument("last", metavar="OBJECT", help="a description of the object")
        group = parser.add_argument_group("drawings")
        for name in drawings:
            group.add_argument(f"--{name}", action=FileAction, metavar="FILE", help=_DRAWINGS[name])
        group.description = (
            "The end of a name decides about the format. With several pictures a name holds "
            "{name}, which stands for the picture's own."
        )
        if skill == "segment":
            parser.add_argument(
                "--whole-path",
                action="store_true",
                help="print the whole path on a terminal too, as to a file or a pipe",
            )


def _add_skill(commands: Any, name: str, about: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=about, description=f"{about.capitalize()}."
    )
    parser.add_argument(
        "images",
        action=FileAction,
        nargs="*",
        metavar="IMAGE",
        help="pictures: files, or - for standard input. Each is asked about in its turn",
    )
    add_max_side(parser)
    _add_server(parser)
    add_settings(_add_answer(parser))
    return parser


def _add_chat(commands: Any) -> None:
    chat: argparse.ArgumentParser = commands.add_parser(
        "chat",
        help="talk with the model, about pictures or about none",
        description="Talk with the model, about pictures or about none. Without a MESSAGE, a "
        "terminal asks for one after the other (/help says what else it takes), and the text of "
        "standard input is one message otherwise.",
    )
    chat.add_argument(
        "messages",
        nargs="*",
        metavar="MESSAGE",
        help="messages of one conversation: each is sent when the one before is answered; - is "
        "the text of standard input",
    )
    chat.add_argument(
        "--image",
        dest="images",
        action=FilesAction,
        default=[],
        metavar="IMAGE",
        help="a picture for the first message: a file, or - for standard input; may be repeated",
    )
    chat.add_argument("--system", metavar="TEXT", help="how the model should answer")
    chat.add_argument(
        "--reasoning", action="store_true", default=None, help="ask for the reasoning too"
    )
    add_max_side(chat)
    _add_server(chat)
    add_settings(_add_answer(chat), objects=False)


def _add_server(parser: argparse.ArgumentParser) -> None:
    server = parser.add_argument_group("server")
    add_endpoint(server)
    server.add_argument(
        "--replay",
        action=FileAction,
        metavar="RECORDING",
        help="play a recording, or those of a folder, instead of asking a server",
    )
    # Without a default, so that it is known whether it was given.
    _add_speed(server, default=argparse.SUPPRESS)
    add_retries(server, 0)
    add_timeouts(server)


def _add_answer(parser: argparse.ArgumentParser) -> Any:
    answer = parser.add_argument_group("answer")
    answer.add_argument(
        "--json",
        action="store_true",
        help="print each event, and an error, as a line of JSON. The last line of each answer is "
        "a `completed` or an error",
    )
    answer.add_argument(
        "--no-stream", action="store_true", help="ask for an answer that is not streamed"
    )
    return answer


def _add_demo(commands: Any) -> None:
    demo = commands.add_parser(
        "demo",
        help="play recorded answers, without a server",
        description="Play recorded answers, without a server.",
    )
    _add_speed(demo, default=1.0)
    demo.add_argument(
        "--overlay",
        action=FileAction,
        metavar="FILE",
        help="draw the answers on their picture, as a PNG (needs Pillow from [cli])",
    )


def _add_show(commands: Any) -> None:
    show = commands.add_parser(
        "show",
        help="print a recording for people",
        description="Print a recording for people: the request, each chunk of the answer with its "
        "time and what it brought, and how the exchange ended. Of a folder, a line for each "
        "recording.",
    )
    show.add_argument(
        "recording", action=FileAction, metavar="RECORDING", help="a recording, or a folder of them"
    )
    show.add_argument(
        "--raw", action="store_true", help="print the text of the chunks, not what it means"
    )


def _add_schema(commands: Any) -> None:
    schema = commands.add_parser(
        "schema",
        help="print the JSON Schema of what --json prints",
        description="Print the JSON Schema of the JSON form of all values, which --json prints.",
    )
    schema.add_argument(
        "kind",
        nargs="?",
        metavar="KIND",
        help="only of this kind of value, such as completed, or of a trace",
    )


def _add_completion(commands: Any) -> None:
    completion = commands.add_parser(
        "completion",
        help="print a program for a shell that completes commands, options and files",
        description="Print a program for a shell that completes the commands, options and files of "
        'this one. In ~/.bashrc, for example: eval "$(moondream-stream completion bash)"',
    )
    completion.add_argument("shell", choices=SHELLS, help="the shell")


def _add_speed(parser: Any, default: Any) -> None:
    about = "play recordings N times as fast as recorded, or at once: max (default: 1)"
    parser.add_argument(
        "--speed", type=typed(parse_speed), default=default, metavar="N", help=about
    )
