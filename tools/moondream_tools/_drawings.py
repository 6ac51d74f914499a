"""Drawings of an answer: files for `--overlay`, `--mask`, `--svg` and `--cutout`.

Names and pictures are checked before anything is asked, as an answer may cost money. A file is
written whole or not at all.
"""

from __future__ import annotations

import io
import os
from argparse import Namespace
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from sansio_moondream import BBox, DetectResult, Point, PointResult, Result, SegmentResult
from sansio_moondream._pictures.formats import image_info
from sansio_moondream.images import upright
from sansio_moondream.paths import PathError

from ._arguments import DRAWINGS
from ._client_arguments import UsageError
from ._pictures import STDIN, Picture
from ._wording import INSTALL, describe_error

if TYPE_CHECKING:
    from PIL import Image

_NAME = "{name}"
_NO_ALPHA = (".jpg", ".jpeg", ".bmp")


class Drawing(Struct, frozen=True):
    """A file to be drawn.

    Attributes:
        kind: one of DRAWINGS.
        path: of the file.
    """

    kind: str
    path: Path

    def check(self, picture: Picture) -> None:
        """Raise UsageError if nothing can be drawn on a picture, before it is asked about."""
        try:
            if self.kind in ("overlay", "cutout"):
                upright(picture.data).load()
            else:
                _size(picture)
        except (ValueError, OSError) as error:
            raise UsageError(
                f"--{self.kind} cannot draw on {picture.name}: {describe_error(error)}"
            ) from error

    def write(self, result: Result, picture: Picture) -> None:
        """Draw a result. Raises UsageError if it cannot be drawn or written."""
        try:
            self.path.write_bytes(self._bytes(result, picture))
        except (PathError, ValueError, OSError) as error:
            raise UsageError(f"--{self.kind} is not drawn: {describe_error(error)}") from error

    def _bytes(self, result: Result, picture: Picture) -> bytes:
        if isinstance(result, SegmentResult):
            if self.kind == "svg":
                return result.svg(_size(picture)).encode()
            if self.kind == "mask":
                return self._encoded(result.mask(_size(picture)))
            draw = result.cutout if self.kind == "cutout" else result.overlay
            return self._encoded(draw(picture.data))
        assert isinstance(result, DetectResult | PointResult)  # the others have no such options
        places: Sequence[BBox | Point] = (
            result.objects if isinstance(result, DetectResult) else result.points
        )
        return self._encoded(_numbered(result.overlay(picture.data), places))

    def _encoded(self, image: Image.Image) -> bytes:
        from PIL import Image

        suffix = self.path.suffix.lower()
        if suffix in _NO_ALPHA and image.mode == "RGBA":
            image = image.convert("RGB")
        stream = io.BytesIO()
        image.save(stream, format=Image.registered_extensions()[suffix])
        return stream.getvalue()


def drawings_of(arguments: Namespace, pictures: Sequence[Picture]) -> list[list[Drawing]]:
    """Return the drawings of each picture. Raises UsageError for a name that cannot be one."""
    found = [
        [
            Drawing(kind, _path(kind, pattern, picture, several=len(pictures) > 1))
            for kind in DRAWINGS
            if (pattern := getattr(arguments, kind, None)) is not None
        ]
        for picture in pictures
    ]
    _check([drawing for drawings in found for drawing in drawings], pictures)
    for picture, drawings in zip(pictures, found, strict=True):
        for drawing in drawings:
            drawing.check(picture)
    return found


def _path(kind: str, pattern: str, picture: Picture, *, several: bool) -> Path:
    if several and _NAME not in pattern:
        raise UsageError(
            f"--{kind} has one name for several pictures: put {_NAME} in it, such as {_NAME}-"
            f"{kind}{Path(pattern).suffix or '.png'}"
        )
    stem = "stdin" if picture.name == STDIN else Path(picture.name).stem
    return Path(pattern.replace(_NAME, stem))


def _check(drawings: Sequence[Drawing], pictures: Sequence[Picture]) -> None:
    """Raise UsageError for a file that certainly cannot be written, or should not be."""
    sources = {os.path.realpath(picture.name) for picture in pictures if picture.name != STDIN}
    seen: set[str] = set()
    for drawing in drawings:
        name, path = f"--{drawing.kind} {drawing.path}", os.path.realpath(drawing.path)
        if os.path.isdir(path):
            raise UsageError(f"{name} should be a file, but it is a folder")
        if not os.path.isdir(os.path.dirname(path)):
            raise UsageError(f"the folder of {name} does not exist")
        if path in sources:
            raise UsageError(f"{name} is the picture itself, which would be replaced")
        if path in seen:
            raise UsageError(f"{name} would be written twice: give each drawing another name")
        seen.add(path)
        if drawing.kind != "svg":
            _check_format(drawing, name)
        elif drawing.path.suffix.lower() not in ("", ".svg"):
            raise UsageError(f"{name} is an SVG document: let its name end in .svg")


def _check_format(drawing: Drawing, name: str) -> None:
    if find_spec("PIL") is None:
        raise UsageError(f"--{drawing.kind} needs Pillow: {INSTALL}")
    from PIL import Image

    suffix = drawing.path.suffix.lower()
    if Image.registered_extensions().get(suffix) not in Image.SAVE:
        raise UsageError(f"{name} should end in the format of a picture, such as .png or .jpg")
    if drawing.kind == "cutout" and suffix in _NO_ALPHA:
        raise UsageError(f"{name} is transparent around the object: let its name end in .png")


def _size(picture: Picture) -> tuple[int, int]:
    """Return the size of a picture as it is looked at."""
    if find_spec("PIL") is not None:
        return upright(picture.data).size
    _, width, height = image_info(picture.encoded.data)
    if width is None or height is None:
        raise UsageError(f"the size of {picture.name} cannot be read without Pillow: {INSTALL}")
    return width, height


def _numbered(image: Image.Image, places: Iterable[BBox | Point]) -> Image.Image:
    """Write the number of each box or point beside it, as the answer has it."""
    from PIL import ImageDraw, ImageFont

    height = max(12, round(max(image.size) / 32))
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(height)
    margin = max(2, height // 6)
    for number, place in enumerate(places, 1):
        text = str(number)
        left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
        width, tall = round(right - left) + 2 * margin, round(bottom - top) + 2 * margin
        if isinstance(place, BBox):  # inside its first corner
            x, y = place.x_min * image.width, place.y_min * image.height
        else:  # beside the disc, on the side that has more space
            x, y = place.x * image.width, place.y * image.height
            x += height // 2 if place.x < 0.5 else -height // 2 - width
            y += height // 2 if place.y < 0.5 else -height // 2 - tall
        x = round(min(max(x, 0), image.width - width))
        y = round(min(max(y, 0), image.height - tall))
        pen.rectangle((x, y, x + width, y + tall), fill="red")
        pen.text((x + margin - left, y + margin - top), text, fill="white", font=font)
    return image
