"""The arguments that `serve` and `record` share: the address, and what clients may cost."""

from __future__ import annotations

import argparse
from typing import Any
from urllib.parse import urlsplit

from ._limits import ServerLimits
from ._parser import count, seconds, typed

_LOOPBACK = "127.0.0.1"
_DEFAULTS = ServerLimits()


def add_address(parser: argparse.ArgumentParser, port: int) -> None:
    """Add the arguments. `port` is the default."""
    address = add_host_and_port(parser, port)
    address.add_argument(
        "--allow-origin",
        type=typed(_origin),
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
        type=typed(seconds),
        default=_DEFAULTS.request_timeout,
        metavar="SECONDS",
        help="the time for the head of a request; a body has as long, and more the longer it is "
        "(default: %(default)g)",
    )
    limits.add_argument(
        "--idle-timeout",
        type=typed(seconds),
        default=_DEFAULTS.idle_timeout,
        metavar="SECONDS",
        help="how long a kept connection waits for its next request, and an answer for a client "
        "that does not read (default: %(default)g)",
    )


def add_host_and_port(parser: argparse.ArgumentParser, port: int) -> Any:
    """Add the group of these arguments. `port` is the default."""
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
    return address


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


def _origin(text: str) -> str:
    """Read the origin of web pages, as a browser sends it, or `*`. Raises ValueError."""
    origin = text.removesuffix("/")
    try:
        parts = urlsplit(origin)
        _ = parts.port
        is_origin = bool(parts.hostname) and origin == f"{parts.scheme}://{parts.netloc}"
    except ValueError:
        is_origin = False
    if text != "*" and (not is_origin or "@" in origin):
        raise ValueError(
            "it should be the origin of a page, such as https://example.com or "
            f"http://localhost:3000, or * for all, not {text[:60]!r}"
        )
    return origin


def limits_of(arguments: argparse.Namespace) -> ServerLimits:
    """Return the limits that were chosen."""
    return ServerLimits(
        arguments.max_connections, arguments.request_timeout, arguments.idle_timeout
    )
