"""A request that a client builds, whose pictures may be in files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, cast

from moondream_transports._exchange import R
from moondream_transports._pictures import UNREAD, PicturePath, encoded
from sansio_moondream import EncodedImage, Request


class Draft(Generic[R]):
    """The fields of a request, with pictures of any kind.

    All but the files is encoded and checked at once. `paths` are the files, in their order.

    Args:
        kind: makes the request.
        fields: of the request. Pictures are `image`, and the parts of messages in OpenAI's form.
    """

    def __init__(self, kind: Callable[..., Request[R]], fields: Mapping[str, Any]) -> None:
        self.paths: list[PicturePath] = []
        self._kind = kind
        self._fields = _with_pictures(fields, self._encode)

    def request(self, images: Iterable[EncodedImage] = ()) -> Request[R]:
        """Make the request with the pictures of the files. Without them it can only be checked."""
        unused = iter(images)
        return self._kind(
            **_with_pictures(
                self._fields, lambda image: next(unused, image) if image is UNREAD else image
            )
        )

    def _encode(self, image: Any) -> EncodedImage:
        if not isinstance(image, os.PathLike):
            return encoded(image)
        self.paths.append(cast("PicturePath", image))
        return UNREAD


def _with_pictures(
    fields: Mapping[str, Any], convert: Callable[[Any], EncodedImage]
) -> dict[str, Any]:
    """Convert each picture. What is no picture stays, and the request reports it."""
    converted = dict(fields)
    if fields.get("image") is not None:
        converted["image"] = convert(fields["image"])
    if "messages" in fields and _is_list_like(fields["messages"]):
        converted["messages"] = [_message(message, convert) for message in fields["messages"]]
    return converted


def _message(message: Any, convert: Callable[[Any], EncodedImage]) -> Any:
    if not isinstance(message, Mapping):
        return message
    fields = cast("Mapping[str, Any]", message)
    content: Any = fields.get("content")
    if not _is_list_like(content):
        return fields
    parts = [convert(part) if _is_picture(part) else part for part in content]
    return {**fields, "content": parts}


def _is_list_like(value: object) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)


def _is_picture(part: object) -> bool:
    kinds = (os.PathLike, bytes, bytearray, memoryview, EncodedImage)
    return isinstance(part, kinds) or hasattr(part, "getexif")  # a Pillow image
