"""`moondream-stream serve` and `moondream-stream record`: their arguments, and what they ask for."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from sansio_moondream import Endpoint
from sansio_moondream.recording import Match

from ._faults import FAULTS, HTTPFault
from ._serve_options import DIALECTS, OVERRIDES, Options, parse_cut, parse_dialect, parse_speed

COMMANDS = ("serve", "record")
_LOOPBACK = "127.0.0.1"
_SERVE_PORT = 2020  # the station's own, so that its users need not change an address
_RECORD_PORT = 2021
_SERVE_EPILOG = f"""\
The first line of standard output is the address, up to and without the skill's name. A line for each exchange goes to standard error.

Chats (POST /v1/chat/completions) are not served: recordings of them are played by ReplayTransport only.

For one request, each of these headers says otherwise than its option: {", ".join(name.title() for name in OVERRIDES)}.

faults:
{chr(10).join(f"  {kind:<11} {about}" for kind, about in FAULTS.items())}

exit status: 0 stopped by a signal, when all exchanges had ended; 130 stopped, and some were cut; 2 wrong usage
"""
_RECORD_EPILOG = """\
The first line of standard output is the address to use in place of the server's. A line for each exchange goes to standard error.

What a page may read of an answer is for its browser to say, by the headers of the server, which are passed on as they are: a page that
--allow-origin lets in may ask, but cannot read what the server does not allow it to.

exit status: 0 stopped by a signal, when all exchanges had ended; 130 stopped, and some were cut; 2 wrong usage
"""


def add_server_commands(commands: Any) -> None:
    """The parsers of both."""
    serve: argparse.ArgumentParser = commands.add_parser(
        "serve",
        help="answer like the service, from recordings",
        description="Builder like the service, from recordings: any client can be pointed at it.",
        epilog=_SERVE_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    serve.add_argument(
        "folder",
        nargs="?",
        metavar="FOLDER",
        help="where the recordings are (default: those that ship with this program)",
    )
    serve.add_argument(
        "--dialect",
        type=typed(parse_dialect),
        metavar="NAME",
        help=f"{', '.join(DIALECTS)} (default: as recorded)",
    )
    serve.add_argument(
        "--match",
        type=typed(Match),
        default=Match.SKILL,
        metavar="LEVEL",
        help=f"how alike a request and a recorded one have to be: {_names(Match)} (default: skill)",
    )
    serve.add_argument(
        "--pace",
        "--speed",
        dest="speed",
        type=typed(parse_speed),
        default=1.0,
        metavar="N",
        help="answer N times as fast as it was recorded, or as fast as it goes (max)",
    )
    serve.add_argument(
        "--cut", type=typed(parse_cut), metavar="BYTES", help="send bodies in chunks of that size"
    )
    serve.add_argument(
        "--fault",
        type=typed(HTTPFault.parse),
        metavar="KIND[@N]",
        help="spoil each answer, see below",
    )
    serve.add_argument(
        "--api-key",
        metavar="KEY",
        help="answer 401 to requests without this key (do not use a real one)",
    )
    _add_address(serve, _SERVE_PORT)
    record: argparse.ArgumentParser = commands.add_parser(
        "record",
        help="pass requests on to a server, and record what it answers",
        description="Pass requests of any client on to a server, and record what it answers: no keys, no pictures.",
        epilog=_RECORD_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    record.add_argument(
        "--upstream",
        required=True,
        metavar="URL",
        help="the server's address, such as https://api.moondream.ai/v1",
    )
    record.add_argument(
        "--to", required=True, metavar="FOLDER", help="where the recordings go, a file each"
    )
    _add_address(record, _RECORD_PORT)


def run_server_command(arguments: argparse.Namespace) -> bool:
    """Serve until a signal comes;

    True if all exchanges could end. Raises ValueError, OSError, and ImportError for a missing
    extra.
    """
    import asyncio  # and the servers: whoever asks a question need not wait for them to be imported

    return asyncio.run(_serve(arguments) if arguments.skill == "serve" else _record(arguments))


async def _serve(arguments: argparse.Namespace) -> bool:
    from ._guard import Guard
    from ._run_server import run_server
    from ._serve import Service, load_recordings

    guard = Guard(arguments.host, arguments.allow_origin)
    with as_file(files("moondream_tools") / "recordings") as shipped:
        folder = Path(arguments.folder) if arguments.folder else shipped
        recordings = load_recordings(folder)
    options = Options(
        arguments.dialect, arguments.match, arguments.speed, arguments.cut, arguments.fault
    )
    service = Service(recordings, options, guard, arguments.api_key)
    about = f"{len(recordings)} recordings of {folder if arguments.folder else 'this program'}; Ctrl+C stops"
    return await run_server(service, guard, arguments.host, arguments.port, "/v1", about)


async def _record(arguments: argparse.Namespace) -> bool:
    from moondream_transports import AnyioTransport

    from ._guard import Guard
    from ._record import Proxy
    from ._run_server import run_server

    scheme, _, rest = Endpoint(arguments.upstream).url.partition("://")
    host, slash, path = rest.partition("/")
    async with AnyioTransport(max_idle=0) as transport:
        proxy = Proxy(f"{scheme}://{host}", Path(arguments.to), transport)
        guard = Guard(arguments.host, arguments.allow_origin)
        about = f"passing on to {arguments.upstream}, recording to {arguments.to}; Ctrl+C stops"
        return await run_server(proxy, guard, arguments.host, arguments.port, slash + path, about)


def _add_address(parser: argparse.ArgumentParser, port: int) -> None:
    address = parser.add_argument_group("address")
    address.add_argument(
        "--host",
        type=typed(_host),
        default=_LOOPBACK,
        help="the address to listen on (default: %(default)s: for this machine only)",
    )
    address.add_argument(
        "--port",
        type=typed(_port),
        default=port,
        help="the port to listen on, 0 for any that is free (default: %(default)s)",
    )
    address.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="let web pages of that origin ask, * for all (default: those of this machine); may repeat",
    )


def _host(text: str) -> str:
    if not text:  # asyncio takes it for all interfaces
        raise ValueError(
            "the host should be a name or an address; 0.0.0.0 is every address of this machine"
        )
    return text


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535):
        raise ValueError(f"the port should be a number from 0 to 65535, not {text[:20]!r}")
    return int(text)


def _names(kinds: Any) -> str:
    return ", ".join(kind.value for kind in kinds)


def typed(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """For argparse, which shows the words of no other error."""

    def parsed(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return parsed
