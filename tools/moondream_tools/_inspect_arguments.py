"""The arguments of `moondream-stream inspect`."""

from __future__ import annotations

import argparse
from typing import Any

from ._client_arguments import add_endpoint, add_model, add_timeouts
from ._parser import FileAction, FilesAction
from ._server_arguments import add_host_and_port

_EPILOG = """\
The first line of standard output is the address of the page. It has a token, without which nothing
is answered. Ctrl+C stops the server, and drops the answers that are still arriving.

exit status: 0 a signal stopped the program, or the file is written; 2 wrong usage, or a recording
for the file that cannot be read; 130 a signal stopped it, and some exchanges were aborted
"""


def add_inspect_command(commands: Any) -> None:
    """Add the parser."""
    inspect: argparse.ArgumentParser = commands.add_parser(
        "inspect",
        help="show recordings, or a server's answers, in a page of a browser",
        description="Show recordings, or a server's answers, in a page of a browser: bytes, "
        "records, messages and events on one time axis, the picture and the text. The server of "
        "the page is on this machine, and asks nobody without an --endpoint.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    inspect.add_argument(
        "recordings",
        nargs="*",
        action=FileAction,
        metavar="RECORDING",
        help="recordings, or folders of them (default: those of this program, unless there is an "
        "--endpoint)",
    )
    inspect.add_argument(
        "--image",
        dest="images",
        action=FilesAction,
        default=[],
        metavar="PICTURE",
        help="the picture of the recordings, which hold none; with several, each is shown with the "
        "recordings of it; may be repeated",
    )
    inspect.add_argument(
        "--export",
        action=FileAction,
        metavar="FILE",
        help="write the page with all recordings to this HTML file, or - for standard output, and "
        "start no server",
    )
    inspect.add_argument(
        "--open",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="open the page in a browser, or not (default: on a terminal of a desktop, but not "
        "over SSH)",
    )
    server = inspect.add_argument_group("server to ask")
    add_endpoint(
        server,
        help="let the page ask this server, such as http://localhost:2020/v1. The key of "
        "MOONDREAM_API_KEY stays in this program",
    )
    add_model(server)
    add_timeouts(server)
    add_host_and_port(inspect, 0)
