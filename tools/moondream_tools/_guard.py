"""Who may talk to a server on this machine.

A web page anywhere can make its visitor's browser send requests to 127.0.0.1, and by DNS rebinding
can even read the answers. What tells is in the head of the request, where no page can change it:

1. `Host` is what the browser thinks it talks to. A server on loopback takes only names of loopback;
   one that was bound to another address takes any, as it cannot know its names.
2. `Origin` is the page that asks. Pages from this machine may, and those that `--allow-origin`
   names. Requests without an `Origin` come from programs.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from ipaddress import ip_address
from urllib.parse import urlsplit

from sansio_moondream import Headers


class Guard:
    """What a server that is bound to `host` lets in; `origins` as `--allow-origin` has them, `*`
    for all.
    """

    def __init__(self, host: str, origins: Collection[str] = ()) -> None:
        self._any_host = not is_loopback(host)
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)

    def refusal(self, headers: Headers) -> str | None:
        """Why a request with this head is refused, in words; None if it is not."""
        host = headers.get("host", "")
        if not self._any_host and not is_loopback(_host_of(host)):
            return f"the Host {host[:100]!r} is not this machine: send requests to localhost or 127.0.0.1"
        origin = headers.get("origin")
        if origin is not None and not self.allows(origin):
            return f"a page of {origin[:100]!r} may not ask this server; if you trust it: --allow-origin {origin[:100]}"
        return None

    def allows(self, origin: str) -> bool:
        """Whether pages of that origin may ask."""
        return (
            "*" in self._origins
            or origin.lower() in self._origins
            or is_loopback(_hostname(origin))
        )


def is_loopback(host: str) -> bool:
    """Whether a host name or address surely is this machine."""
    name = host.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, section 6.3
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _host_of(field: str) -> str:
    """The host of a Host header, which is host[:port] and nothing else (RFC 9110, section 7.2)."""
    matched = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([\w.-]+))(?::\d*)?", field, re.ASCII)
    return (matched[1] or matched[2]) if matched else ""


def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
