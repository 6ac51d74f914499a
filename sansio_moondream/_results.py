"""What an answer is in the end: one class a skill, the same whether it was streamed or came whole.

Field names and units are the service's own, from its API reference and the source of its servers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct, field

from ._headers import Headers

if TYPE_CHECKING:
    from PIL import Image

    from ._pictures.draw import Color
    from ._pictures.polygons import Polygon


class BBox(Struct, frozen=True):
    """A box in fractions of the image: 0 is its left or top edge, 1 its right or bottom.

    As an event of a segmentation it is the coarse box, which comes first; the refined one is in the
    result."""

    x_min: float
    y_min: float
    x_max: float
    y_max: float


class Point(Struct, frozen=True):
    """A point in fractions of the image: (0, 0) is its top left corner."""

    x: float
    y: float


class Metrics(Struct, frozen=True, repr_omit_defaults=True):
    """The cloud engine's own measurements: tokens, and times in milliseconds (`ttft_ms`: time to
    the first token).
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    prefill_time_ms: float | None = None
    decode_time_ms: float | None = None
    ttft_ms: float | None = None


class Stats(Struct, frozen=True, repr_omit_defaults=True):
    """The local station's own measurements: `duration` is in seconds."""

    tokens: int | None = None
    duration: float | None = None
    tokens_per_sec: float | None = None


class Usage(Struct, frozen=True, repr_omit_defaults=True):
    """What a chat took, as servers bill it: tokens."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None


class Metadata(Struct, frozen=True, repr_omit_defaults=True):
    """What came beside the answer. Everything may be missing: servers differ.

    Attributes:
        request_id: the server's id of the exchange: the body's (of a chat: its `id`), else the
            `x-request-id` header's.
        finish_reason: `"stop"`, or `"length"` where `max_tokens` cut the text: the stream is whole,
            the answer is not.
        metrics: of the cloud engine.
        stats: of the local station.
        usage: of a chat, where the server says it.
        deltas_match: whether the text deltas add up to the whole text that the last message gave.
            False means that the server damaged characters in its deltas (it does, where a token
            ends inside one); the result's text is right. None where there was nothing to compare.
        headers: of the response.
        extra: fields of the last message that this library does not know, as they came.
    """

    request_id: str | None = None
    finish_reason: str | None = None
    metrics: Metrics | None = None
    stats: Stats | None = None
    usage: Usage | None = None
    deltas_match: bool | None = None
    headers: Headers = field(default_factory=Headers)
    extra: dict[str, Any] = field(default_factory=dict[str, Any])

    def __repr__(self) -> str:
        shown = ("request_id", "finish_reason", "metrics", "stats", "usage", "deltas_match")
        known = [
            f"{name}={value!r}" for name in shown if (value := getattr(self, name)) is not None
        ]
        return f"Metadata({', '.join(known)})"


class Grounding(Struct, frozen=True):
    """Where in the image a part of the reasoning looks: characters `start_idx` to `end_idx` of its
    text, and points.
    """

    start_idx: int
    end_idx: int
    points: tuple[Point, ...] = ()


class Reasoning(Struct, frozen=True):
    """How the model came to its answer, where `reasoning` was asked for."""

    text: str
    grounding: tuple[Grounding, ...] = ()


class QueryResult(Struct, frozen=True, repr_omit_defaults=True):
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


class CaptionResult(Struct, frozen=True, repr_omit_defaults=True):
    """The description of an image.

    `text` is the server's whole text where it gave one, else the deltas joined.
    """

    text: str = ""
    metadata: Metadata = field(default_factory=Metadata)
    partial: bool = False


class SegmentResult(Struct, frozen=True):
    """The outline of an object.

    To draw it: `polygons` and `svg` need nothing more than this library; `mask`, `overlay` and
    `cutout` need Pillow (extra `images`). They all raise `sansio_moondream.paths.PathError` for a
    path that is none, and ValueError for a path that came without a box; where `parse_error` is
    set, and before a box has come, there is nothing to draw. The outline is filled by the rule
    `nonzero`.

    Attributes:
        path: SVG path text, in fractions of `bbox` (not of the image). Empty where `parse_error` is
            set.
        bbox: the box that the path lives in, in fractions of the image.
        parse_error: the server's words where the model wrote no valid path.
        partial: see `QueryResult`. A partial path may end in the middle of a command or a number,
            which is not drawn.
    """

    path: str = ""
    bbox: BBox | None = None
    parse_error: str | None = None
    metadata: Metadata = field(default_factory=Metadata)
    partial: bool = False

    def __repr__(self) -> str:
        path = (
            self.path
            if len(self.path) <= 60
            else f"{self.path[:60]}… ({len(self.path)} characters)"
        )
        partial = ", partial=True" if self.partial else ""
        return (
            f"SegmentResult(path={path!r}, bbox={self.bbox!r}, "
            f"parse_error={self.parse_error!r}, metadata={self.metadata!r}{partial})"
        )

    def polygons(self, size: tuple[int, int], *, tolerance: float = 0.1) -> tuple[Polygon, ...]:
        """The outline in a picture of `size` (width, height): points (x, y) in pixels, one tuple of
        them for each closed polygon.

        No side is further than `tolerance` pixels from the curve that it stands for, but for curves
        wholly beyond an edge of the picture. A hole is a polygon that runs the other way.

        Raises ValueError for more points than `sansio_moondream.paths.MAX_POINTS`, a million.
        """
        from ._pictures.outline import polygons

        return polygons(self, size, tolerance)

    def svg(self, size: tuple[int, int]) -> str:
        """An SVG document of `size` (width, height) with the outline in its place, to lay over the
        picture; filled in black.
        """
        from ._pictures.outline import svg

        return svg(self, size)

    def mask(self, size: tuple[int, int], *, antialias: bool = True) -> Image.Image:
        """A Pillow image in mode `L` of `size` (width, height): 255 inside the outline, 0 outside.

        Pixels on the border have the share of them that is inside; without `antialias`, 255 or 0,
        as their middle is inside or outside."""
        from ._pictures.draw import draw_mask

        return draw_mask(self.polygons(size), size, antialias=antialias)

    def overlay(
        self, image: Image.Image, *, color: Color = "red", opacity: float = 0.5
    ) -> Image.Image:
        """A copy of the picture with a colour over the object: in mode `RGB`, or `RGBA` where the
        picture has transparency.

        `image` is what `encode_image` got, in any size. As there, its first frame counts, turned as
        its EXIF orientation says."""
        from ._pictures.draw import lay_over
        from ._requests.images import upright

        picture = upright(image)
        return lay_over(picture, self.mask(picture.size), color=color, opacity=opacity)

    def cutout(self, image: Image.Image) -> Image.Image:
        """A copy of the picture in mode `RGBA`, transparent but for the object.

        `image` is as in `overlay`.
        """
        from ._pictures.draw import cut_out
        from ._requests.images import upright

        picture = upright(image)
        return cut_out(picture, self.mask(picture.size))


class DetectResult(Struct, frozen=True, repr_omit_defaults=True):
    """The boxes of all objects found, in fractions of the image."""

    objects: tuple[BBox, ...] = ()
    metadata: Metadata = field(default_factory=Metadata)
    partial: bool = False

    def overlay(
        self, image: Image.Image, *, color: Color = "red", width: int | None = None
    ) -> Image.Image:
        """A copy of the picture with the boxes on it, in lines of `width` pixels.

        `image` is as in `SegmentResult.overlay`.
        """
        from ._pictures.draw import draw_boxes

        return draw_boxes(image, self.objects, color=color, width=width)


class PointResult(Struct, frozen=True, repr_omit_defaults=True):
    """The centres of all objects found, in fractions of the image."""

    points: tuple[Point, ...] = ()
    metadata: Metadata = field(default_factory=Metadata)
    partial: bool = False

    def overlay(
        self, image: Image.Image, *, color: Color = "red", radius: int | None = None
    ) -> Image.Image:
        """A copy of the picture with a disc of `radius` pixels on each point.

        `image` is as in `SegmentResult.overlay`.
        """
        from ._pictures.draw import draw_points

        return draw_points(image, self.points, color=color, radius=radius)


class ChatResult(Struct, frozen=True, repr_omit_defaults=True):
    """The assistant's next message. `reasoning` is None where none came."""

    text: str = ""
    reasoning: Reasoning | None = None
    metadata: Metadata = field(default_factory=Metadata)
    partial: bool = False


Result = QueryResult | CaptionResult | SegmentResult | DetectResult | PointResult | ChatResult
R = TypeVar("R", bound=Result)
