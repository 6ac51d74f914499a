"""What errors say of the request that was sent, and what is masked in them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, cast

from sansio_moondream._errors import MoondreamError
from sansio_moondream._headers import Headers
from sansio_moondream._secrets.names import public_part
from sansio_moondream._secrets.values import Secrets

from .endpoint import endpoint_hint
from .http import HTTPRequest


class Sent:
    """What errors say of a request that was sent, and what they mask.

    Nothing is computed before there is an error. The body is not kept, as it may be large.
    """

    __slots__ = ("_headers", "_method", "_secrets", "_url")

    def __init__(self, request: HTTPRequest | None) -> None:
        self._secrets: Secrets | None = None
        self._method, self._url = None, ""
        self._headers: tuple[tuple[str, str], ...] = ()
        if request is not None:
            self._method, self._url = request.method, request.url
            self._headers = request.headers

    @property
    def url(self) -> str | None:
        """The URL without user, query and fragment. None if it is not known what was sent."""
        return public_part(self._url) or None

    def endpoint_hint(self) -> str:
        """Return what may be wrong with the endpoint, to be added to a message, or ""."""
        return endpoint_hint(self.url or "")

    def mask(self, text: str) -> str:
        """Mask the secrets of the request in a text."""
        return self._known_secrets().mask(text)

    def complete(self, error: MoondreamError) -> None:
        """Add method and URL to an error that has none, and mask the secrets in it."""
        if error.url is None:
            error.method, error.url = self._method, self.url
        _mask_error(error, self._known_secrets())

    def _known_secrets(self) -> Secrets:
        if self._secrets is None:
            self._secrets = _secrets_of(tuple(map(tuple, self._headers)), self._url)
        return self._secrets


# The requests of a client have the same secrets, and finding how they may be spelt takes long. So
# the last 16 sets stay in memory until others take their place. An endpoint keeps them there, too.
@lru_cache(maxsize=16)
def _secrets_of(headers: tuple[tuple[str, ...], ...], url: str) -> Secrets:
    return Secrets.of(cast("tuple[tuple[str, str], ...]", headers), url)


def _mask_error(error: MoondreamError, secrets: Secrets) -> None:
    """Mask secrets in what an error and its causes say and hold, `partial` excepted.

    A cause that is not an error of this library cannot be masked: if it shows a secret, it is
    dropped.
    """
    links: list[BaseException] = [error] if secrets else []
    for link in links:  # it grows meanwhile
        if isinstance(link, MoondreamError):
            link.args = tuple(_masked(list(link.args), secrets))
            for name, value in vars(link).items():
                setattr(link, name, _masked(value, secrets))
        for name in ("__cause__", "__context__"):
            cause = getattr(link, name)
            if cause is None or cause in links:
                continue
            if isinstance(cause, MoondreamError) or not _shows(cause, secrets):
                links.append(cause)
            else:
                setattr(link, name, None)


def _masked(value: Any, secrets: Secrets) -> Any:
    if isinstance(value, str):
        return secrets.mask(value)
    if isinstance(value, list):  # the notes of an error
        return [_masked(item, secrets) for item in cast("list[Any]", value)]
    if isinstance(value, Headers):
        return Headers((name, secrets.mask(text)) for name, text in value.multi_items())
    return value


def _shows(error: BaseException, secrets: Secrets) -> bool:
    try:
        words = f"{error!r} {error} {getattr(error, '__dict__', None)!r}"
    except Exception:  # noqa: BLE001 - of another library, and so we do not know what it shows
        return True
    return secrets.mask(words) != words
