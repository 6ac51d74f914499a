"""Where requests go, and with which key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import force_setattr

from ._version import __version__

_LOOPBACK = re.compile(r"localhost|.*\.localhost|127\.[0-9]+\.[0-9]+\.[0-9]+|::1", re.IGNORECASE)
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_FIELD_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


class Endpoint(Struct, frozen=True):
    """Where to: the service in the cloud by default, or a local server such as `http://localhost:2020/v1` (which needs no key).

    Attributes:
        url: up to and without the skill's name.
        api_key: sent as `X-Moondream-Auth`. Refused over plain http to anything but this machine, where anybody on the way could
            read it, unless `allow_insecure_key` says that this is meant.
        headers: sent with every request; one of the same name as a header of this library takes its place.
        user_agent_suffix: added to the `User-Agent`, for the name of your own program.

    Raises ValueError for an address or a header that cannot be sent. The repr shows neither key nor header values.
    """

    url: str = "https://api.moondream.ai/v1"
    api_key: str | None = None
    headers: Mapping[str, str] | tuple[tuple[str, str], ...] = ()
    user_agent_suffix: str | None = None
    allow_insecure_key: bool = False

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None or parts.query or parts.fragment:
            shown = f"{parts.scheme}://{parts.hostname}{parts.path}" if parts.hostname else "one without a host"
            raise ValueError(f"url should be http(s)://host[:port]/path, without user, query and fragment, not {shown}")
        key = (self.api_key or "").strip() or None  # keys read from files and variables come with line ends
        headers = _pairs(self.headers)
        for name, value in (*headers, ("X-Moondream-Auth", key or ""), ("User-Agent", self.user_agent_suffix or "")):
            if not _FIELD_NAME.fullmatch(name) or not _FIELD_VALUE.fullmatch(value):
                raise ValueError(f"the header {name!r} has a character that HTTP does not allow in its name or value (a line end?)")
        if key and parts.scheme == "http" and not _LOOPBACK.fullmatch(parts.hostname) and not self.allow_insecure_key:
            raise ValueError(
                f"a key would go to {parts.hostname} over plain http, for anybody on the way to read: "
                "use https, or say allow_insecure_key=True if this is meant"
            )
        force_setattr(self, "url", self.url.rstrip("/"))
        force_setattr(self, "api_key", key)
        force_setattr(self, "headers", headers)

    def request_headers(self, accept: str) -> tuple[tuple[str, str], ...]:
        """The headers of a request with a JSON body; `Content-Length` and `Host` are the HTTP client's to add."""
        agent = f"sansio-moondream/{__version__}"
        headers = [
            ("Accept", accept),
            ("Accept-Encoding", "identity"),
            ("Content-Type", "application/json"),
            ("User-Agent", f"{agent} {self.user_agent_suffix}" if self.user_agent_suffix else agent),
        ]
        if self.api_key:
            headers.append(("X-Moondream-Auth", self.api_key))
        extra = _pairs(self.headers)
        replaced = {name.lower() for name, _ in extra}
        return (*(pair for pair in headers if pair[0].lower() not in replaced), *extra)

    def __repr__(self) -> str:
        key = ", with a key" if self.api_key else ""
        names = ", ".join(name for name, _ in _pairs(self.headers))
        return f"<Endpoint {self.url}{key}{', headers: ' + names if names else ''}>"


def _pairs(headers: Mapping[str, str] | tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple(headers.items() if isinstance(headers, Mapping) else headers)
