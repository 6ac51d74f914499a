"""The arguments that `serve` and `record` share: the address, and what clients may cost."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from ._limits import ServerLimits

_LOOPBACK = "127.0.0.1"
_DEFAULTS = ServerLimits()


def add_address(parser: argparse.ArgumentParser, port: int) -> None:
    """Add the arguments. `port` is the default."""
    address = parser.add_argument_group("address")
    address.add_argument(
        "--host",
        type=typed(_host),
        default=_LOOPBACK,
        help="the address to listen on (default: %(default)s, for this machine only)",
    )
    address.add_argument(
        "--port",
        type=typed(_port),
        default=port,
        help="the port to listen on, 0 for any free port (default: %(default)s)",
    )
    address.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="accept web pages of this origin, * for all (default: this machine); may be repeated",
    )
    limits = parser.add_argument_group("limits")
    limits.add_argument(
        "--max-connections",
        type=typed(count),
        default=_DEFAULTS.max_connections,
        metavar="N",
        help="answer 503 to connections beyond this number (default: %(default)s)",
    )
    limits.add_argument(
        "--request-timeout",
        type=typed(_seconds),
        default=_DEFAULTS.request_timeout,
        metavar="SECONDS",
        help="the time for the head of a request; a body has as long, and more the longer it is "
        "(default: %(default)g)",
    )
    limits.add_argument(
        "--idle-timeout",
        type=typed(_seconds),
        default=_DEFAULTS.idle_timeout,
        metavar="SECONDS",
        help="how long a kept connection waits for its next request, and an answer for a client "
        "that does not read (default: %(default)g)",
    )


def _host(text: str) -> str:
    if not text:  # asyncio would listen on all interfaces
        raise ValueError(
            "the host should be a name or an address; 0.0.0.0 is every address of this machine"
        )
    return text


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535):
        raise ValueError(f"the port should be a number from 0 to 65535, not {text[:20]!r}")
    return int(text)


def count(text: str) -> int:
    """Read a number above 0. Raises ValueError."""
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) > 0):
        raise ValueError(f"the number should be above 0, not {text[:20]!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 1e6:
        raise ValueError(f"the seconds should be a number above 0, not {text[:20]!r}")
    return seconds


def limits_of(arguments: argparse.Namespace) -> ServerLimits:
    """Return the limits that were chosen."""
    return ServerLimits(
        arguments.max_connections, arguments.request_timeout, arguments.idle_timeout
    )


def typed(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a parser for argparse, which shows only messages of ArgumentTypeError."""

    def parsed(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return parsed
