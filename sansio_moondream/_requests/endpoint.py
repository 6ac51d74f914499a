"""The address of the service, with its API key and headers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import Any, cast
from urllib.parse import SplitResult, urlsplit

from msgspec.structs import force_setattr

from sansio_moondream._repr import OwnRepr
from sansio_moondream._secrets.names import is_secret, public_part
from sansio_moondream._version import __version__

from .checks import check_model

# Only what all URL parsers read alike: some end the host at a backslash or a line end.
_URL = re.compile(r"[!-~]+")
_NOT_IN_URL = frozenset("?#\\")
_HOST = re.compile(r"[0-9a-z._-]+|[0-9a-f:.]+(%[0-9a-z._%-]+)?")
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_FIELD_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
# Not the "/query" of http://query/v1, which is a host.
_SKILL = re.compile(r"(?<=[^/])/(query|caption|segment|detect|point|chat(/completions)?)$")
_OTHER_VERSION = re.compile(r"(?<=[^/])/v\d+$")
HINT = " (the url of an endpoint usually ends in /v1, before the skill: "
"""Begins what `endpoint_hint` adds to the message of an error. Behind it are addresses."""


class Endpoint(OwnRepr, frozen=True):
    """The service in the cloud, or a local server such as `http://localhost:2020/v1` without a key.

    Attributes:
        url: without the path of the skill.
        api_key: sent as `X-Moondream-Auth`, in a chat as `Authorization`. We refuse to send it over
            plain http to another machine, as others could read it.
        allow_insecure_key: True sends the key over plain http, too.
        headers: added to every request; they replace this library's headers of the same name. A
            header that is named like a key (`Authorization`, `X-API-Key`) is refused over plain
            http like `api_key`.
        user_agent_suffix: added to the `User-Agent`, for the name of your program.
        model: the model of each request that names none. The cloud's reference calls a model
            required; its own clients name none. None leaves the choice to the server.

    The errors and the repr never show the key or a header's value.

    Raises:
        ValueError: an address, a header or a model's name that cannot be sent.
        TypeError: a value that is not text.
    """

    url: str = "https://api.moondream.ai/v1"
    api_key: str | None = None
    headers: Mapping[str, str] | tuple[tuple[str, str], ...] = ()
    user_agent_suffix: str | None = None
    allow_insecure_key: bool = False
    model: str | None = None

    def __post_init__(self) -> None:
        check_model(self.model)
        if (problem := next(_problems(self), None)) is not None:
            del self  # error reporters print local variables
            raise problem
        headers = tuple((name, value.strip(" \t")) for name, value in _pairs(self.headers))
        force_setattr(self, "url", self.url.rstrip("/"))
        force_setattr(self, "api_key", _key(self))
        force_setattr(self, "headers", headers)
        force_setattr(self, "user_agent_suffix", _suffix(self))

    def request_headers(self, accept: str, *, bearer: bool) -> tuple[tuple[str, str], ...]:
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
        if extra := _pairs(self.headers):
            replaced = {name.lower() for name, _ in extra}
            headers = [pair for pair in headers if pair[0].lower() not in replaced]
        return (*headers, *extra)

    def __repr__(self) -> str:
        key = ", with a key" if self.api_key else ""
        names = ", ".join(name for name, _ in _pairs(self.headers))
        model = f", model: {self.model}" if self.model else ""
        headers = f", headers: {names}" if names else ""
        return f"<Endpoint {public_part(self.url)}{key}{headers}{model}>"


def _pairs(headers: Mapping[str, str] | tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple(headers.items() if isinstance(headers, Mapping) else headers)


def _are_pairs(headers: object) -> bool:
    if isinstance(headers, tuple | list):
        pairs = cast("Sequence[Sequence[Any]]", headers)
        return all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs)
    return isinstance(headers, Mapping)


def _key(endpoint: Endpoint) -> str | None:
    """Return the key without the line end that a file or a variable often adds."""
    return (endpoint.api_key or "").strip() or None


def _suffix(endpoint: Endpoint) -> str | None:
    return (endpoint.user_agent_suffix or "").strip(" \t") or None


def _problems(endpoint: Endpoint) -> Iterator[Exception]:
    """Yield what is wrong with an endpoint, as errors that show no value but the host's."""
    if not _are_pairs(endpoint.headers):
        yield TypeError("headers should be a mapping, or a tuple of pairs of name and value")
    headers = _pairs(endpoint.headers)
    texts: list[tuple[str, Any]] = [("url", endpoint.url), ("api_key", endpoint.api_key or "")]
    texts.append(("user_agent_suffix", endpoint.user_agent_suffix or ""))
    texts += [("a header's name", name) for name, _ in headers]
    texts += [(f"the value of the header {name}", value) for name, value in headers]
    for what, text in texts:
        if not isinstance(text, str):
            yield TypeError(f"{what} should be text, not {type(text).__name__}")
    if not all(_FIELD_NAME.fullmatch(name) for name, _ in headers):
        yield ValueError(
            "a header's name has a character that HTTP does not allow there "
            "(a colon, a space, a line end?)"
        )
    sent = [("api_key", _key(endpoint) or ""), ("user_agent_suffix", _suffix(endpoint) or "")]
    sent += [(f"the value of the header {name}", value.strip(" \t")) for name, value in headers]
    for what, text in sent:
        if not _FIELD_VALUE.fullmatch(text):
            yield ValueError(
                f"{what} has a character that HTTP does not allow in a header (a line end?)"
            )
    parts, shown = _split(endpoint.url)
    if parts is None:
        yield ValueError(
            "url should be http(s)://host[:port]/path in ASCII, without user, query, fragment and "
            f"spaces, not {shown}"
        )
    elif (
        (_key(endpoint) or any(is_secret(name, value) for name, value in headers))
        and parts.scheme == "http"
        and not is_loopback(parts.hostname or "")
        and not endpoint.allow_insecure_key
    ):
        yield ValueError(
            f"a key would go to {parts.hostname} over plain http, where others can read it: "
            "use https, or allow_insecure_key=True"
        )


def _split(url: str) -> tuple[SplitResult | None, str]:
    """Return the parts of a URL, or None if it cannot be used; and what may be shown of it."""
    shown = "one that cannot be read as a URL"
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if host:  # without user and query, which may be secret
            shown = repr(f"{parts.scheme}://{host}{parts.path}")
        is_http = parts.scheme in ("http", "https") and _HOST.fullmatch(host) is not None
        is_ascii = _URL.fullmatch(url) is not None and _NOT_IN_URL.isdisjoint(url)
        if is_http and is_ascii and parts.username is None and parts.port != 0:
            return parts, shown
    except ValueError:
        pass  # its message may show the whole URL
    return None, shown


def endpoint_hint(url: str) -> str:
    """Return what may be wrong with the endpoint that a request was sent to, or an empty text.

    Args:
        url: of the request. It ends with a skill, or nothing is known of the endpoint.
    """
    used = _SKILL.sub("", url)
    if used == url or used.endswith("/v1"):
        return ""
    right = used
    while _SKILL.search(right):
        right = _SKILL.sub("", right)
    before, version, below = f"{right}/".rpartition("/v1/")
    if version and below.count("/") > 1:
        return ""  # a gateway's own path, such as /v1/ACCOUNT/SERVER
    right = f"{before if version else _OTHER_VERSION.sub('', right)}/v1"
    return f"{HINT}try {right} instead of {used})"


def is_loopback(host: str) -> bool:
    name = host.removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, section 6.3
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
