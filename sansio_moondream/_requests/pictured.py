"""Values with pictures in them, whose JSON form may leave the pictures out."""

from __future__ import annotations

from typing import Any, cast

from msgspec import Struct

from sansio_moondream._value import Value


class OmittedPicture(Struct, Value):
    """The form of a picture that `to_dict(images=False)` left out. It cannot be read again.

    `omitted` is its media type, and `bytes` is the size of the encoded picture.
    """

    omitted: str
    bytes: int

    def __post_init__(self) -> None:
        raise ValueError(
            "the picture was left out by to_dict(images=False): keep a to_dict() with its pictures "
            "to read it again"
        )


class Pictured(Value):
    """Base of requests, of chat messages and of encoded images."""

    __slots__ = ()

    def to_dict(self, *, images: bool = True) -> dict[str, Any]:
        """Return the value as a dict of plain JSON types, for `json.dumps` and the like.

        It has the value's `kind`, the `version` of the form, and each field, with None where
        nothing is set.

        Args:
            images: False leaves the pictures out, for example for a log. Each `data_url` is then
                an object with the media type and the number of bytes. `from_dict` refuses it.

        Raises:
            TypeError: an attribute is not of the type that its annotation says.
        """
        data = super().to_dict()
        return data if images else _without_pictures(data)


def _without_pictures(data: Any) -> Any:
    if isinstance(data, list):
        return [_without_pictures(item) for item in cast(list[Any], data)]
    if isinstance(data, dict):
        return {
            name: _omit(item) if name == "data_url" else _without_pictures(item)
            for name, item in cast(dict[str, Any], data).items()
        }
    return data


def _omit(data_url: str) -> dict[str, Any]:
    head, _, text = data_url.partition(",")
    size = len(text) // 4 * 3 - text.count("=")
    return {"omitted": head.removeprefix("data:").partition(";")[0], "bytes": size}
