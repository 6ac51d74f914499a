"""How a server is reached: directly or through a proxy, which proxy, with which first bytes.

1. Plain http goes to the proxy itself, with the whole URL in the request. https goes through a
   tunnel that the proxy makes (CONNECT). The password for the proxy is in no error and no repr.
2. Programs often inherit a proxy of the environment without knowing of it. So loopback addresses
   never go through it, and a key never goes to it in the clear, unless it is on this machine, too.
3. A proxy that the program passes is the user's word: it is used for every request.
"""

from __future__ import annotations

from base64 import b64encode
from functools import lru_cache
from typing import Self
from urllib.parse import unquote, urlsplit

from msgspec import Struct
from msgspec.structs import replace

from sansio_moondream import ConnectError, HTTP11Exchange, HTTPRequest, LocalProtocolError
from sansio_moondream._repr import OwnRepr
from sansio_moondream._requests.endpoint import is_loopback

_NO_PROXY = "a proxy should be http://[user:password@]host[:port]"
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Proxy(OwnRepr, frozen=True):
    """An HTTP proxy, and the headers that it needs."""

    host: str
    port: int
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def address(self) -> str:
        """Host and port, for messages."""
        return authority(self.host, self.port)

    def __repr__(self) -> str:
        return f"<Proxy {self.address}>"


class Route(Struct, frozen=True):
    """The way to one server. Requests with equal routes can share connections."""

    is_tls: bool
    host: str
    port: int
    proxy: Proxy | None

    @classmethod
    def to(cls, url: str, proxy: Proxy | None) -> Self:
        """Return the way to the server of a URL. Raises LocalProtocolError for what is no URL."""
        try:
            return cls(*_server_of(url), proxy)
        except (ValueError, KeyError):
            raise LocalProtocolError("the URL should be http(s)://host[:port]/path") from None

    @property
    def address(self) -> tuple[str, int]:
        """Where to connect to."""
        proxy = self.proxy
        return (self.host, self.port) if proxy is None else (proxy.host, proxy.port)

    def exchange(self, request: HTTPRequest) -> HTTP11Exchange:
        """Begin an exchange. A proxy that gets plain http needs the whole URL."""
        if self.is_tls or self.proxy is None:
            return HTTP11Exchange(request)
        request = replace(request, headers=(*request.headers, *self.proxy.headers))
        return HTTP11Exchange(request, absolute=True)


@lru_cache(maxsize=64)  # a client has few
def _server_of(url: str) -> tuple[bool, str, int]:
    """Return whether the server of a URL has TLS, its host and its port."""
    parts = urlsplit(url)
    return parts.scheme == "https", parts.hostname or "", parts.port or _DEFAULT_PORTS[parts.scheme]


def authority(host: str, port: int) -> str:
    """Return a host and a port as they stand in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_proxy(url: str) -> Proxy | None:
    """Parse `http://user:password@host:port`, where all but the host may be missing. Returns None
    for what is no such URL. It raises nothing, as its local variables have the password.
    """
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme == "http" and parts.hostname and parts.port != 0:
            headers: tuple[tuple[str, str], ...] = ()
            if parts.username is not None:
                secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
                headers = (("Proxy-Authorization", f"Basic {b64encode(secret).decode()}"),)
            return Proxy(parts.hostname, parts.port or _DEFAULT_PORTS["http"], headers)
    except (ValueError, TypeError):
        pass
    return None


def require_proxy(proxy: Proxy | None) -> Proxy:
    """Return what `parse_proxy` found. Raises ValueError if that is nothing."""
    if proxy is None:
        raise ValueError(_NO_PROXY)
    return proxy


def environment_proxy(request: HTTPRequest) -> Proxy | None:
    """Return the proxy that urllib finds in the environment, or in the settings of the system.

    Raises:
        ConnectError: It is not an HTTP proxy.
        LocalProtocolError: A key would go to it over plain http.
    """
    from urllib.request import getproxies, proxy_bypass

    route = Route.to(request.url, None)
    if is_loopback(route.host) or proxy_bypass(urlsplit(request.url).netloc.rpartition("@")[2]):
        return None
    scheme = "https" if route.is_tls else "http"
    if (url := getproxies().get(scheme)) is None:
        return None
    variable = f"{scheme}_proxy"
    proxy = parse_proxy(url)
    del url  # error reporters print local variables
    if proxy is None:
        raise ConnectError(f"{variable} of the environment cannot be used: {_NO_PROXY}")
    if request.secrets and not route.is_tls and not is_loopback(proxy.host):
        raise LocalProtocolError(
            f"a key would go to the proxy {proxy.host} ({variable} of the environment) over plain "
            "http, for anybody on the way to read: use https, add the server to no_proxy, or pass "
            "proxies={'http': ...} if this is meant"
        )
    return proxy
