"""The arguments of the documented methods, converted for requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from moondream_transports._pictures import Picture as ClientPicture
from moondream_transports._pictures import async_encoded as async_encode
from moondream_transports._pictures import encoded as encode
from sansio_moondream import EncodedImage, Endpoint, Settings

SpatialRef: TypeAlias = Iterable[float]
"""A point (x, y) or a box (x_min, y_min, x_max, y_max), in fractions of the image."""
SamplingSettings: TypeAlias = Mapping[str, Any]
"""The names and values of `Settings`. Others are sent as they are, except in a chat."""
Picture: TypeAlias = "ClientPicture | Base64EncodedImage"

# The settings of a chat that the official package passes on.
_CHAT_SETTINGS = frozenset({"temperature", "top_p", "max_tokens"})


@dataclass(frozen=True, repr=False)
class Base64EncodedImage:
    """An image as a data URL, for several requests. `encode_image` of a model makes it.

    Attributes:
        image_url: the data URL.
    """

    image_url: str

    def __repr__(self) -> str:
        return f"Base64EncodedImage(<{len(self.image_url):,} characters>)"


def encoded(image: Picture) -> EncodedImage:
    """Encode an image. Raises the errors of a client."""
    if isinstance(image, Base64EncodedImage):
        return EncodedImage(image.image_url)
    return encode(image)


async def async_encoded(image: Picture) -> EncodedImage:
    """Do the same. A file is read in a thread."""
    if isinstance(image, Base64EncodedImage):
        return EncodedImage(image.image_url)
    return await async_encode(image)


def chat_settings(settings: SamplingSettings | None) -> Settings | None:
    """Return the settings of a chat. Others are ignored, as the official package does."""
    known = {name: value for name, value in (settings or {}).items() if name in _CHAT_SETTINGS}
    return Settings(**known) if known else None


def extra_body(settings: SamplingSettings | None) -> dict[str, Any]:
    """Return the settings as a field of the request. The server decides which of them it takes."""
    return {} if settings is None else {"settings": dict(settings)}


def make_endpoint(
    api_key: str | None, endpoint: str | None, local: bool, allow_insecure_key: bool
) -> Endpoint | Exception:
    """Make the endpoint of a model, or an error that says what is wrong.

    It raises nothing, as its local variables have the key: error reporters print them.
    """
    if local:
        return ValueError(
            "local=True loads a model into this process. The official package does that, this"
            " library does not. Run a server of your own and give its address:"
            ' endpoint="http://localhost:2020/v1"'
        )
    url: dict[str, Any] = {} if endpoint is None else {"url": endpoint}
    try:
        return Endpoint(**url, api_key=api_key, allow_insecure_key=allow_insecure_key)
    except (TypeError, ValueError) as error:
        return error.with_traceback(None)


def require_endpoint(made: Endpoint | Exception) -> Endpoint:
    """Return what `make_endpoint` made. Raises it if it is an error."""
    if isinstance(made, Exception):
        raise made
    return made
