"""The results of the skills: one class each, the same for streamed and whole answers.

Field names and units are the service's own, from its API reference and the source of its servers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, TypeVar

from msgspec import Struct, field

from ._geometry import BBox, Point
from ._metadata import Metadata
from ._pictures import outline
from ._pictures.arrays import to_array
from ._pictures.draw import Color, cut_out, draw_boxes, draw_mask, draw_points, lay_over
from ._pictures.fill import covered_area, fill
from ._pictures.picture import Picture
from ._pictures.polygons import Polygon
from ._pictures.upright import upright
from ._repr import OwnRepr
from ._value import Value

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image


class Grounding(Struct, Value, frozen=True):
    """The points in the image that a part of the reasoning is about.

    Attributes:
        start_idx, end_idx: the part is the characters from the first to before the second.
        points: in fractions of the image.
    """

    start_idx: int
    end_idx: int
    points: tuple[Point, ...] = ()


class Reasoning(Struct, Value, frozen=True):
    """The model's reasoning, if the request asked for it.

    Attributes:
        text: of the reasoning.
        grounding: what its parts are about. Empty if the server sent none.
    """

    text: str
    grounding: tuple[Grounding, ...] = ()


class QueryResult(Struct, Value, frozen=True, repr_omit_defaults=True):
    """The answer to a question.

    Attributes:
        text: the server's whole text if it sent one, else the deltas joined.
        reasoning: None if none came.
        metadata: what came with the answer.
        partial: True in a snapshot of a stream that is not complete, and in an error's `.partial`.
    """

    text: str = ""
    reasoning: Reasoning | None = None
    metadata: Metadata = field(default_factory=Metadata)
    partial: bool = False


class CaptionResult(Struct, Value, frozen=True, repr_omit_defaults=True):
    """The description of an image.

    Attributes:
        text: the server's whole text if it sent one, else the deltas joined.
        metadata: what came with the answer.
        partial: as in `QueryResult`.
    """

    text: str = ""
    metadata: Metadata = field(default_factory=Metadata)
    partial: bool = False


class SegmentResult(OwnRepr, Value, frozen=True):
    """The outline of an object, filled by the rule `nonzero`.

    `polygons`, `svg` and `area` need only this library; `mask`, `overlay` and `cutout` need Pillow
    (extra `images`), and `mask_array` needs numpy (extra `numpy`). All raise
    `sansio_moondream.paths.PathError` for an invalid path or one of more than
    `sansio_moondream.paths.MAX_COMMANDS` commands, ValueError for a path without a box, and
    TypeError for a `size` that is not a pair of whole numbers. They draw nothing if `parse_error`
    is set, or before a box has come.

    Attributes:
        path: SVG path text, in fractions of `bbox` (not of the image): the refined path if the
            server sent one, else the chunks joined. Empty if `parse_error` is set.
        bbox: the box of the path, in fractions of the image.
        parse_error: the server's message if the model wrote no valid path.
        partial: True in a snapshot of a stream and in an error's `.partial`: the path may end in
            the middle of a command or a number. So may a path that `max_tokens` ended
            (`metadata.finish_reason` is "length"). An incomplete command is not drawn.
        metadata: what came with the answer.
    """

    path: str = ""
    bbox: BBox | None = None
    parse_error: str | None = None
    metadata: Metadata = field(default_factory=Metadata)
    partial: bool = False

    def __repr__(self) -> str:
        path = self.path
        if len(path) > 60:
            path = f"{path[:60]}… ({len(path)} characters)"
        partial = ", partial=True" if self.partial else ""
        return (
            f"SegmentResult(path={path!r}, bbox={self.bbox!r}, parse_error={self.parse_error!r}, "
            f"metadata={self.metadata!r}{partial})"
        )

    @property
    def _may_be_cut(self) -> bool:
        return self.partial or self.metadata.finish_reason == "length"

    def polygons(self, size: tuple[int, int], *, tolerance: float = 0.1) -> tuple[Polygon, ...]:
        """Compute the outline as closed polygons. A hole runs in the other direction.

        Args:
            size: width and height of the picture in pixels.
            tolerance: maximum distance of a side from its curve, in pixels. It does not apply to
                curves beyond an edge of the picture.

        Returns:
            For each polygon its points (x, y) in pixels.

        Raises:
            PathError: more than `sansio_moondream.paths.MAX_POINTS` points, too.
        """
        return outline.polygons(self.path, self.bbox, size, tolerance, partial=self._may_be_cut)

    def svg(self, size: tuple[int, int]) -> str:
        """Write an SVG document of `size` (width, height) with the outline filled in black.

        Lay it over the picture.
        """
        return outline.svg(self.path, self.bbox, size, partial=self._may_be_cut)

    def mask(self, size: tuple[int, int], *, antialias: bool = True) -> Image.Image:
        """Draw a Pillow image in mode `L` of `size` (width, height): 255 inside, 0 outside.

        A pixel on the border has the share of it that is inside. Without `antialias` it has 255 or
        0, as its centre is inside or outside. A border of more than
        `sansio_moondream.paths.MAX_BORDER` pixels is a PathError.
        """
        return draw_mask(self.polygons(size), size, antialias=antialias)

    def mask_array(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Fill a numpy array of shape (height, width): True where a pixel's centre is inside.

        `size` is width and height of the picture in pixels. `supervision` takes the array as it is,
        and so does `picture[mask]`. OpenCV takes `mask.view("uint8")`, and `pycocotools` its copy
        by `numpy.asfortranarray`.
        """
        return to_array(fill(self.polygons(size), size), size)

    def area(self, size: tuple[int, int]) -> float:
        """Measure the part of a picture of `size` (width, height) that is inside, in pixels.

        It is the sum of `mask(size)` divided by 255, without the rounding of the pixels on the
        border: each adds less than 0.01 to the difference.
        """
        return covered_area(self.polygons(size), size)

    def overlay(self, image: Picture, *, color: Color = "red", opacity: float = 0.5) -> Image.Image:
        """Copy the picture with a colour over the object.

        Args:
            image: the picture of the request, in any size and in any form that `encode_image`
                takes. As there, its first frame is used, turned as its EXIF orientation says.
            color: a name or a value as in `sansio_moondream.images.Color`.
            opacity: of the colour, from 0 to 1.

        Returns:
            A Pillow image in mode `RGB`, or `RGBA` if the picture has transparency.

        Raises:
            ValueError, TypeError: as `sansio_moondream.images.upright`.
        """
        picture = upright(image)
        return lay_over(picture, self.mask(picture.size), color=color, opacity=opacity)

    def cutout(self, image: Picture) -> Image.Image:
        """Copy the picture in mode `RGBA`, transparent except for the object.

        `image` is as in `overlay`.
        """
        picture = upright(image)
        return cut_out(picture, self.mask(picture.size))


class DetectResult(Struct, Value, frozen=True, repr_omit_defaults=True):
    """The boxes of all found objects.

    Attributes:
        objects: their boxes, in fractions of the image.
        metadata: what came with the answer.
        partial: as in `QueryResult`.
    """

    objects: tuple[BBox, ...] = ()
    metadata: Metadata = field(default_factory=Metadata)
    partial: bool = False

    def overlay(
        self, image: Picture, *, color: Color = "red", width: int | None = None
    ) -> Image.Image:
        """Copy the picture with the boxes on it, in lines of `width` pixels.

        `image` and `color` are as in `SegmentResult.overlay`.
        """
        return draw_boxes(image, self.objects, color=color, width=width)


class PointResult(Struct, Value, frozen=True, repr_omit_defaults=True):
    """The centres of all found objects.

    Attributes:
        points: in fractions of the image.
        metadata: what came with the answer.
        partial: as in `QueryResult`.
    """

    points: tuple[Point, ...] = ()
    metadata: Metadata = field(default_factory=Metadata)
    partial: bool = False

    def overlay(
        self, image: Picture, *, color: Color = "red", radius: int | None = None
    ) -> Image.Image:
        """Copy the picture with a disc of `radius` pixels on each point.

        `image` and `color` are as in `SegmentResult.overlay`.
        """
        return draw_points(image, self.points, color=color, radius=radius)


class ChatResult(Struct, Value, frozen=True, repr_omit_defaults=True):
    """The assistant's next message.

    Attributes:
        text: of the message.
        reasoning: None if the server sent none.
        metadata: what came with the answer.
        partial: as in `QueryResult`.
    """

    text: str = ""
    reasoning: Reasoning | None = None
    metadata: Metadata = field(default_factory=Metadata)
    partial: bool = False


Result: TypeAlias = (
    QueryResult | CaptionResult | SegmentResult | DetectResult | PointResult | ChatResult
)
"""The result of any skill."""
R = TypeVar("R", bound=Result)
