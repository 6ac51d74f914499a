"""Who may send requests to the server of the page: the page itself.

1. The rule about `Host` is that of `moondream_tools._guard`.
2. `Origin`, where it is there, is the address of this server. Another port of this machine is
   another program's.
3. `Sec-Fetch-Site` is `same-origin`, or `none` for the user, who typed the address. A link of
   another site of this machine may open the page: it needs the token, and cannot read the answer.

Programs send neither header. They need the token, as all do: see `_app.py`.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from moondream_tools._guard import Guard
from sansio_moondream import Headers

_REFUSAL = "only the page of this server may send this request"


class OwnPageGuard(Guard):
    """Accept the requests of the server's own page, and of programs.

    Args:
        host: the address that the server is bound to.
    """

    def __init__(self, host: str) -> None:
        super().__init__(host)

    def refusal(self, headers: Headers) -> str | None:
        if refusal := self.host_refusal(headers):
            return refusal
        if (origin := headers.get("origin")) is not None:
            return None if _is_address(origin, headers.get("host", "")) else _REFUSAL
        site = headers.get("sec-fetch-site", "none")
        is_link = site == "same-site" and headers.get("sec-fetch-mode") == "navigate"
        return None if site in ("same-origin", "none") or is_link else _REFUSAL


def _is_address(origin: str, host: str) -> bool:
    """Return whether an origin is the server that a Host header names."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme == "http" and parts.netloc.lower() == host.lower()
