"""The pictures that recordings are about. Recordings hold none: `--image` gives them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any, Final, cast

from msgspec import Struct

from moondream_tools._pictures import read_picture
from sansio_moondream import EncodedImage
from sansio_moondream.recording import RecordingHeader

MAX_ADDED_BYTES: Final = 64 * 1024 * 1024
"""The pictures that were added since the start."""


class Shown(Struct, frozen=True):
    """The picture that is shown with a recording.

    Attributes:
        image: as a client sends it, so browsers show it too.
        is_recorded: whether the request had this picture, by its SHA-256.
    """

    image: EncodedImage
    is_recorded: bool


class Pictures:
    """The pictures at hand.

    1. The picture of a recording is the one whose SHA-256 its request names.
    2. Without such a one, a single picture is shown with all recordings that have a picture. The
       page says that it is another one.
    """

    def __init__(self, images: Sequence[EncodedImage] = ()) -> None:
        self._images = list(images)
        self._by_digest = {sha256(image.data).hexdigest(): image for image in images}
        self._added: dict[str, int] = {}  # digests in their order, and sizes

    @classmethod
    def read(cls, names: Sequence[str]) -> Pictures:
        """Read pictures from files. Raises UsageError, ValueError or OSError."""
        return cls([read_picture(name).encoded for name in names])

    def add(self, image: EncodedImage) -> None:
        """Add the picture of a recording that is made now. The oldest of these may be dropped."""
        data = image.data
        digest = sha256(data).hexdigest()
        if digest in self._by_digest and digest not in self._added:
            return  # it was given at the start
        self._added.pop(digest, None)
        self._added[digest] = len(data)
        self._by_digest[digest] = image
        while sum(self._added.values()) > MAX_ADDED_BYTES:
            oldest = next(iter(self._added))
            del self._added[oldest], self._by_digest[oldest]

    def of(self, header: RecordingHeader) -> Shown | None:
        """Return the picture of the recording that has this header, or None."""
        digests = list(_digests(header.request_body))
        for digest in digests:
            if (image := self._by_digest.get(digest)) is not None:
                return Shown(image, is_recorded=True)
        if digests and len(self._images) == 1:
            return Shown(self._images[0], is_recorded=False)
        return None


def _digests(value: Any) -> Iterator[str]:
    """Yield the SHA-256 of each picture in the body of a recorded request."""
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        if isinstance(digest := fields.get("sha256"), str):
            yield digest
        value = list(fields.values())
    if isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from _digests(item)
