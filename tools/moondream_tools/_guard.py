"""Who may send requests to a server on this machine.

Any web page can make its visitor's browser send requests to 127.0.0.1. With DNS rebinding it can
also read the answers. Two headers of a request show this, and a page cannot change them:

1. `Host` is the server that the browser addresses. A server on loopback accepts only names of
   loopback. A server on another address accepts any name, because it cannot know its names.
2. `Origin` is the page that sends the request. We accept pages of this machine, and those that
   `--allow-origin` names. Requests without an `Origin` come from programs.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from ipaddress import ip_address
from urllib.parse import urlsplit

from sansio_moondream import Headers


class Guard:
    """Decide which requests a server accepts.

    Args:
        host: the address that the server is bound to.
        origins: of the web pages that may send requests; `*` for all.
    """

    def __init__(self, host: str, origins: Collection[str] = ()) -> None:
        self._any_host = not is_loopback(host)
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)

    def refusal(self, headers: Headers) -> str | None:
        """Return why a request with these headers is refused, or None."""
        host = headers.get("host", "")
        if not self._any_host and not is_loopback(_host_of(host)):
            return (
                f"the Host {host[:100]!r} is not this machine: "
                "send requests to localhost or 127.0.0.1"
            )
        origin = headers.get("origin")
        if origin is not None and not self.allows(origin):
            return (
                f"a page of {origin[:100]!r} may not use this server; "
                f"if you trust the page: --allow-origin {origin[:100]}"
            )
        return None

    def allows(self, origin: str) -> bool:
        """Return whether pages of an origin may send requests."""
        return (
            "*" in self._origins
            or origin.lower() in self._origins
            or is_loopback(_hostname(origin))
        )


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is always this machine."""
    name = host.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, section 6.3
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _host_of(field: str) -> str:
    """Return the host of a Host header, which is host[:port] (RFC 9110, section 7.2)."""
    matched = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([\w.-]+))(?::\d*)?", field, re.ASCII)
    return (matched[1] or matched[2]) if matched else ""


def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
