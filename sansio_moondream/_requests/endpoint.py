"""Where requests go, and with which key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from msgspec import Struct
from msgspec.structs import force_setattr

from sansio_moondream._version import __version__

# Only what every URL parser reads alike: a backslash or a line end may end the host for one and not
# for the other.
_URL = re.compile(r"[!-~]+")
_NOT_IN_URL = frozenset("?#\\")
_HOST = re.compile(r"[0-9a-z._-]+|[0-9a-f:.]+(%[0-9a-z._%-]+)?")
SECRET_HEADERS = frozenset({"x-moondream-auth", "authorization", "proxy-authorization", "cookie"})
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_FIELD_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


class Endpoint(Struct, frozen=True):
    """Where to: the service in the cloud by default, or a local server such as
    `http://localhost:2020/v1` (which needs no key).

    Attributes:
        url: up to and without the skill's name.
        api_key: sent as `X-Moondream-Auth`, in a chat as `Authorization`. Refused over plain http
            to anything but this machine, where anybody on the way could read it, unless
            `allow_insecure_key` says that this is meant.
        headers: sent with every request; one of the same name as a header of this library takes its
            place. A key given here (as `Authorization`, say) is refused over plain http like
            `api_key`.
        user_agent_suffix: added to the `User-Agent`, for the name of your own program.

    Raises ValueError for an address or a header that cannot be sent, and TypeError for what is not
    text. Neither these errors nor the repr show the key or header values."""

    url: str = "https://api.moondream.ai/v1"
    api_key: str | None = None
    headers: Mapping[str, str] | tuple[tuple[str, str], ...] = ()
    user_agent_suffix: str | None = None
    allow_insecure_key: bool = False

    def __post_init__(self) -> None:
        parts = _split(_text("url", self.url))
        key = (
            _text("api_key", self.api_key or "").strip() or None
        )  # keys read from files and variables come with line ends
        suffix = _text("user_agent_suffix", self.user_agent_suffix or "").strip(" \t") or None
        headers: list[tuple[str, str]] = []
        for name, value in _pairs(self.headers):
            if not _FIELD_NAME.fullmatch(_text("a header's name", name)):
                raise ValueError(
                    "a header's name has a character that HTTP does not allow there (a colon, a space, a line end?)"
                )
            headers.append((name, _text(f"the value of the header {name}", value).strip(" \t")))
        named = [(f"the value of the header {name}", value) for name, value in headers]
        for what, sent in [("api_key", key), ("user_agent_suffix", suffix), *named]:
            if not _FIELD_VALUE.fullmatch(sent or ""):
                raise ValueError(
                    f"{what} has a character that HTTP does not allow in a header (a line end?)"
                )
        secret = key or any(name.lower() in SECRET_HEADERS for name, _ in headers)
        if (
            secret
            and parts.scheme == "http"
            and not is_loopback(parts.hostname or "")
            and not self.allow_insecure_key
        ):
            raise ValueError(
                f"a key would go to {parts.hostname} over plain http, for anybody on the way to read: "
                "use https, or say allow_insecure_key=True if this is meant"
            )
        force_setattr(self, "url", self.url.rstrip("/"))
        force_setattr(self, "api_key", key)
        force_setattr(self, "headers", tuple(headers))
        force_setattr(self, "user_agent_suffix", suffix)

    def request_headers(self, accept: str, bearer: bool = False) -> tuple[tuple[str, str], ...]:
        """The headers of a request with a JSON body; `Content-Length` and `Host` are the HTTP
        client's to add.

        With `bearer` the key goes as `Authorization`, which is what the chat takes.
        """
        agent = f"sansio-moondream/{__version__}"
        headers = [
            ("Accept", accept),
            ("Accept-Encoding", "identity"),
            ("Content-Type", "application/json"),
            (
                "User-Agent",
                f"{agent} {self.user_agent_suffix}" if self.user_agent_suffix else agent,
            ),
        ]
        if self.api_key:
            headers.append(
                ("Authorization", f"Bearer {self.api_key}")
                if bearer
                else ("X-Moondream-Auth", self.api_key)
            )
        extra = _pairs(self.headers)
        replaced = {name.lower() for name, _ in extra}
        return (*(pair for pair in headers if pair[0].lower() not in replaced), *extra)

    def __repr__(self) -> str:
        key = ", with a key" if self.api_key else ""
        names = ", ".join(name for name, _ in _pairs(self.headers))
        return f"<Endpoint {self.url}{key}{', headers: ' + names if names else ''}>"


def _pairs(headers: Mapping[str, str] | tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple(headers.items() if isinstance(headers, Mapping) else headers)


def _text(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    raise TypeError(f"{name} should be text, not {type(value).__name__}")


def _split(url: str) -> SplitResult:
    shown = "one that cannot be read as a URL"
    try:
        parts = urlsplit(url)
        if parts.hostname:
            shown = repr(
                f"{parts.scheme}://{parts.hostname}{parts.path}"
            )  # a user's part or a query may hold a secret
        right = (
            parts.scheme in ("http", "https")
            and _HOST.fullmatch(parts.hostname or "")
            and parts.username is None
        )
        if right and parts.port != 0 and _URL.fullmatch(url) and _NOT_IN_URL.isdisjoint(url):
            return parts
    except ValueError:
        pass  # its message may show all of the URL
    raise ValueError(
        f"url should be http(s)://host[:port]/path in ASCII, without user, query, fragment and spaces, not {shown}"
    )


def is_loopback(host: str) -> bool:
    name = host.removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, section 6.3
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
