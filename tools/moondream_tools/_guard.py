"""Who may send requests to a server on this machine.

Any web page can make its visitor's browser send requests to 127.0.0.1. With DNS rebinding it can
also read the answers. Three headers of a request show this, and a page cannot change them:

1. `Host` is the server that the browser addresses. A server on loopback accepts only names of
   loopback. A server on another address accepts any name, because it cannot know its names.
2. `Origin` is the page that sends the request. We accept pages of this machine, and those that
   `--allow-origin` names.
3. `Sec-Fetch-Site` is there where `Origin` is not: pages send a GET or a HEAD without one, for a
   picture or a script for example, and so do links. We refuse `cross-site` with any method, as
   the page is not named; only `--allow-origin *` accepts it. `same-site` is another port or name
   of this machine, if the server is on loopback; elsewhere it is another server, and is refused
   too. `same-origin` is a page of the server itself, and `none` the user, who typed the address.

A request with neither comes from a program, or from a browser before 2023. A preflight request
(OPTIONS) always has an `Origin`. `Sec-Fetch-Mode` decides nothing: a request that `no-cors` sends
is one that a link sends, too.
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
        self._any_origin = "*" in origins
        self._any_host = not is_loopback(host)
        self._other_sites = {"cross-site", "same-site"} if self._any_host else {"cross-site"}
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)

    def refusal(self, headers: Headers) -> str | None:
        """Return why a request with these headers is refused, or None."""
        if refusal := self.host_refusal(headers):
            return refusal
        origin = headers.get("origin")
        if origin is None:
            if not self._any_origin and headers.get("sec-fetch-site") in self._other_sites:
                return (
                    "a page of another site sends this request without an Origin; "
                    "if you trust all pages: --allow-origin '*'"
                )
        elif not self.allows(origin):
            return (
                f"a page of {origin[:100]!r} may not use this server; "
                f"if you trust the page: --allow-origin {origin[:100]}"
            )
        return None

    def host_refusal(self, headers: Headers) -> str | None:
        """Return why a request to the server that these headers name is refused, or None."""
        host = headers.get("host", "")
        if self._any_host or is_loopback(_host_of(host)):
            return None
        return (
            f"the Host {host[:100]!r} is not this machine: send requests to localhost or 127.0.0.1"
        )

    def allows(self, origin: str) -> bool:
        """Return whether pages of an origin may send requests."""
        return self._any_origin or origin.lower() in self._origins or is_loopback(_hostname(origin))


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
