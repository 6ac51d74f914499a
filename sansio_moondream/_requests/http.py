"""An HTTP request as a value."""

from __future__ import annotations

from sansio_moondream._repr import OwnRepr
from sansio_moondream._secrets.names import public_part
from sansio_moondream._secrets.values import Secrets


class HTTPRequest(OwnRepr, frozen=True):
    """A whole HTTP request for any HTTP client. Send the body unchanged; do not follow redirects.

    The repr omits the header values (one is the API key), the body (up to 13 MB of picture), and
    the user and the query of the URL.

    Attributes:
        method: `POST`.
        url: the whole address.
        headers: names and values, in the order of sending. The HTTP client adds `Host` and
            `Content-Length`.
        body: JSON.
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
