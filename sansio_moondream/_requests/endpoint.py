"""The address of the service, with its API key and headers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from msgspec import Struct
from msgspec.structs import force_setattr

from sansio_moondream._version import __version__

# Only what all URL parsers read alike: some end the host at a backslash or a line end.
_URL = re.compile(r"[!-~]+")
_NOT_IN_URL = frozenset("?#\\")
_HOST = re.compile(r"[0-9a-z._-]+|[0-9a-f:.]+(%[0-9a-z._%-]+)?")
SECRET_HEADERS = frozenset({"x-moondream-auth", "authorization", "proxy-authorization", "cookie"})
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_FIELD_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


class Endpoint(Struct, frozen=True):
    """The service in the cloud, or a local server such as `http://localhost:2020/v1` without a key.

    Attributes:
        url: without the path of the skill.
        api_key: sent as `X-Moondream-Auth`, in a chat as `Authorization`. We refuse to send it over
            plain http to another machine, as others could read it, unless `allow_insecure_key` is
            True.
        headers: added to every request; they replace this library's headers of the same name. A
            header with a key (`Authorization`, for example) is refused over plain http like
            `api_key`.
        user_agent_suffix: added to the `User-Agent`, for the name of your program.

    The errors and the repr never show the key or a header's value.

    Raises:
        ValueError: an address or a header that cannot be sent.
        TypeError: a value that is not text.
    """

    url: str = "https://api.moondream.ai/v1"
    api_key: str | None = None
    headers: Mapping[str, str] | tuple[tuple[str, str], ...] = ()
    user_agent_suffix: str | None = None
    allow_insecure_key: bool = False

    def __post_init__(self) -> None:
        parts = _split(_text("url", self.url))
        # A key from a file or a variable often has a line end.
        key = _text("api_key", self.api_key or "").strip() or None
        suffix = _text("user_agent_suffix", self.user_agent_suffix or "").strip(" \t") or None
        headers: list[tuple[str, str]] = []
        for name, value in _pairs(self.headers):
            if not _FIELD_NAME.fullmatch(_text("a header's name", name)):
                raise ValueError(
                    "a header's name has a character that HTTP does not allow there "
                    "(a colon, a space, a line end?)"
                )
            headers.append((name, _text(f"the value of the header {name}", value).strip(" \t")))
        named = [(f"the value of the header {name}", value) for name, value in headers]
        for what, sent in [("api_key", key), ("user_agent_suffix", suffix), *named]:
            if not _FIELD_VALUE.fullmatch(sent or ""):
                raise ValueError(
                    f"{what} has a character that HTTP does not allow in a header (a line end?)"
                )
        has_key = key or any(name.lower() in SECRET_HEADERS for name, _ in headers)
        is_private = parts.scheme == "https" or is_loopback(parts.hostname or "")
        if has_key and not is_private and not self.allow_insecure_key:
            raise ValueError(
                f"a key would go to {parts.hostname} over plain http, where others can read it: "
                "use https, or allow_insecure_key=True"
            )
        force_setattr(self, "url", self.url.rstrip("/"))
        force_setattr(self, "api_key", key)
        force_setattr(self, "headers", tuple(headers))
        force_setattr(self, "user_agent_suffix", suffix)

    def request_headers(self, accept: str, bearer: bool = False) -> tuple[tuple[str, str], ...]:
        """Build the headers of a request with a JSON body.

        The HTTP client adds `Content-Length` and `Host`.

        Args:
            accept: media types for `Accept`.
            bearer: True sends the key as `Authorization`, as a chat needs it.
        """
        agent = f"sansio-moondream/{__version__}"
        if self.user_agent_suffix:
            agent = f"{agent} {self.user_agent_suffix}"
        headers = [
            ("Accept", accept),
            ("Accept-Encoding", "identity"),
            ("Content-Type", "application/json"),
            ("User-Agent", agent),
        ]
        if self.api_key and bearer:
            headers.append(("Authorization", f"Bearer {self.api_key}"))
        elif self.api_key:
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


def _text(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    raise TypeError(f"{name} should be text, not {type(value).__name__}")


def _split(url: str) -> SplitResult:
    shown = "one that cannot be read as a URL"
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if host:  # without user and query, which may be secret
            shown = repr(f"{parts.scheme}://{host}{parts.path}")
        is_http = parts.scheme in ("http", "https") and _HOST.fullmatch(host) is not None
        is_ascii = _URL.fullmatch(url) is not None and _NOT_IN_URL.isdisjoint(url)
        if is_http and is_ascii and parts.username is None and parts.port != 0:
            return parts
    except ValueError:
        pass  # its message may show the whole URL
    raise ValueError(
        "url should be http(s)://host[:port]/path in ASCII, without user, query, fragment and "
        f"spaces, not {shown}"
    )


def is_loopback(host: str) -> bool:
    name = host.removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, section 6.3
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
