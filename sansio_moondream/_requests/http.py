"""An HTTP request as a value."""

from __future__ import annotations

from sansio_moondream._errors import MoondreamError, mask_error
from sansio_moondream._repr import OwnRepr
from sansio_moondream._secrets.names import public_part
from sansio_moondream._secrets.values import Secrets

from .endpoint import endpoint_hint


class HTTPRequest(OwnRepr, frozen=True):
    """A whole HTTP request for any HTTP client. Send the body unchanged; do not follow redirects.

    The repr omits the header values (one is the API key), the body (up to 13 MB of picture), and
    the user and the query of the URL.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def secrets(self) -> Secrets:
        """What to mask in errors and recordings: cookies, keys in headers and in the query."""
        return Secrets.of(self.headers, self.url)

    def __repr__(self) -> str:
        names = ", ".join(name for name, _ in self.headers)
        size = f"{len(self.body):,} bytes"
        return (
            f"<HTTPRequest {self.method} {public_part(self.url)}, headers: {names}; body of {size}>"
        )


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
        mask_error(error, self._known_secrets())

    def _known_secrets(self) -> Secrets:
        if self._secrets is None:
            self._secrets = Secrets.of(self._headers, self._url)
        return self._secrets
