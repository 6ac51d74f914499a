"""The arguments of `moondream-stream serve` and `moondream-stream record`, and their programs."""

from __future__ import annotations

import argparse
import textwrap
from contextlib import nullcontext
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from moondream_transports.replay import Fragmentation
from sansio_moondream import Endpoint
from sansio_moondream.recording import MAX_BODY_BYTES, Match

from ._client_arguments import UsageError, url_of
from ._fault_rates import RatedFault
from ._faults import FAULTS
from ._parser import FileAction, count, typed
from ._serve_options import (
    DIALECTS,
    OVERRIDES,
    Options,
    parse_dialect,
    parse_fragmentation,
    parse_latency,
    parse_match,
    parse_retry_after,
    parse_seed,
    parse_speed,
)
from ._server_arguments import add_address, limits_of
from ._wording import INSTALL, describe_error

COMMANDS = ("serve", "record")
_MIB = 1024 * 1024
_SERVE_PORT = 2020  # the station's: its users need no other address
_RECORD_PORT = 2021
_OUTPUT = """\
The first line of standard output is the address{0}. Standard error gets
a line for each exchange.
"""
_EXIT_STATUS = """\
exit status: 0 a signal stopped the program, and all exchanges ended; 130 a signal stopped it,
and some exchanges were aborted; 2 wrong usage
"""
_SERVE_EPILOG = f"""\
{_OUTPUT.format(", without the name of the skill")}
These headers of a request replace the options for this request:
{textwrap.fill(", ".join(name.title() for name in OVERRIDES), 90)}

faults:
{chr(10).join(f"  {kind:<11} {about}" for kind, about in FAULTS.items())}

{_EXIT_STATUS}"""
_RECORD_EPILOG = f"""\
{_OUTPUT.format(" that replaces the server's")}
The browser decides by the server's headers what a web page may read. They are forwarded without
a change. A page of --allow-origin may send requests, but it cannot read what the server does
not allow.

{_EXIT_STATUS}"""


def add_server_commands(commands: Any) -> None:
    """Add the parsers of both commands."""
    serve: argparse.ArgumentParser = commands.add_parser(
        "serve",
        help="answer like the service, from recordings",
        description="Answer like the service, from recordings. Every client can use it.",
        epilog=_SERVE_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    serve.add_argument(
        "recordings",
        nargs="?",
        action=FileAction,
        metavar="RECORDINGS",
        help="a recording, or a folder of recordings (default: those of this program)",
    )
    serve.add_argument(
        "--dialect",
        type=typed(parse_dialect),
        metavar="NAME",
        help=f"{', '.join(DIALECTS)} (default: as recorded); chats have their own",
    )
    serve.add_argument(
        "--match",
        type=typed(parse_match),
        default=Match.SKILL,
        metavar="LEVEL",
        help=f"how similar a recorded request has to be: {_names(Match)} (default: skill)",
    )
    serve.add_argument(
        "--speed",
        type=typed(parse_speed),
        default=1.0,
        metavar="N",
        help="answer N times as fast as recorded, or at once (max)",
    )
    serve.add_argument(
        "--fragmentation",
        type=typed(parse_fragmentation),
        default=Fragmentation.AS_RECORDED,
        metavar="BYTES",
        help="cut bodies into chunks of this size (default: as recorded)",
    )
    serve.add_argument(
        "--latency",
        type=typed(parse_latency),
        default=0.0,
        metavar="SECONDS",
        help="send no answer earlier than this after its request",
    )
    serve.add_argument(
        "--fault",
        type=typed(RatedFault.parse),
        action="append",
        default=[],
        metavar="KIND[@N][:P%]",
        help="give each answer this fault, or P percent of them, see below; may be repeated",
    )
    serve.add_argument(
        "--seed",
        type=typed(parse_seed),
        default=0,
        metavar="N",
        help="which requests get a fault that has a rate (default: %(default)s)",
    )
    serve.add_argument(
        "--retry-after",
        type=typed(parse_retry_after),
        default=1.0,
        metavar="SECONDS",
        help="what the faults 429 and 503 ask for, or none (default: %(default)g)",
    )
    serve.add_argument(
        "--log",
        action=FileAction,
        metavar="FILE",
        help="append a JSON object to this file for each request, without keys, pictures and texts",
    )
    serve.add_argument(
        "--api-key",
        metavar="KEY",
        help="answer 401 to requests without this key (do not use a real key)",
    )
    add_address(serve, _SERVE_PORT)
    record: argparse.ArgumentParser = commands.add_parser(
        "record",
        help="forward requests to a server, and record the answers",
        description=(
            "Forward the requests of any client to a server, and record the answers: "
            "no keys, no pictures."
        ),
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
        "--to",
        action=FileAction,
        required=True,
        metavar="FOLDER",
        help="the folder for the recordings, one file each",
    )
    record.add_argument(
        "--max-body",
        type=typed(count),
        default=MAX_BODY_BYTES // _MIB,
        metavar="MIB",
        help="how much of each body is recorded; what is longer is forwarded, and the recording "
        "says how much it lacks (default: %(default)s)",
    )
    add_address(record, _RECORD_PORT)


def run_server_command(arguments: argparse.Namespace) -> bool:
    """Serve until a signal comes.

    Returns True if all exchanges ended. Raises UsageError and ValueError, and OSError for
    standard output.
    """
    # The other commands need neither asyncio nor the servers. Their import is slow.
    import asyncio

    return asyncio.run(_serve(arguments) if arguments.skill == "serve" else _record(arguments))


async def _serve(arguments: argparse.Namespace) -> bool:
    from ._guard import Guard
    from ._request_log import RequestLog
    from ._run_server import run_server, write_log
    from ._serve import Service, load_recordings

    guard = Guard(arguments.host, arguments.allow_origin)
    with as_file(files("moondream_tools") / "recordings") as shipped:
        given = arguments.recordings
        recordings, skipped = load_recordings(Path(given) if given else shipped)
    for reason in skipped:
        write_log(reason)
    options = Options(
        arguments.dialect,
        arguments.match,
        arguments.speed,
        arguments.fragmentation,
        tuple(arguments.fault),
        arguments.seed,
        arguments.retry_after,
        arguments.latency,
    )
    service = Service(recordings, options, guard, arguments.api_key)
    count = f"{len(recordings)} recording{'s' if len(recordings) > 1 else ''}"
    about = f"{count} of {given or 'this program'}; Ctrl+C stops"
    try:
        request_log = RequestLog(arguments.log) if arguments.log else nullcontext()
    except OSError as error:
        raise UsageError(describe_error(error)) from error
    with request_log as log:
        return await run_server(
            service,
            guard,
            limits_of(arguments),
            arguments.host,
            arguments.port,
            "/v1",
            about,
            log.write if log is not None else None,
        )


async def _record(arguments: argparse.Namespace) -> bool:
    try:
        from moondream_transports import AnyioTransport
    except ImportError:
        raise UsageError(f"record needs anyio: {INSTALL}") from None

    from ._guard import Guard
    from ._record import Proxy
    from ._run_server import run_server

    upstream = url_of(arguments.upstream, {}, "--upstream") or ""
    scheme, _, rest = Endpoint(upstream).url.partition("://")
    host, slash, path = rest.partition("/")
    async with AnyioTransport(max_idle=0) as transport:
        origin, folder = f"{scheme}://{host}", Path(arguments.to)
        try:
            proxy = Proxy(origin, folder, transport, arguments.max_body * _MIB)
        except OSError as error:
            raise UsageError(describe_error(error)) from error
        guard = Guard(arguments.host, arguments.allow_origin)
        about = f"forwarding to {arguments.upstream}, recording to {arguments.to}; Ctrl+C stops"
        return await run_server(
            proxy,
            guard,
            limits_of(arguments),
            arguments.host,
            arguments.port,
            slash + path,
            about,
        )


def _names(kinds: Any) -> str:
    return ", ".join(kind.value for kind in kinds)
