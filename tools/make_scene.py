#!/usr/bin/env python3
"""Draw the picture of the demo, a harbour in the moonlight: python tools/make_scene.py

Every shape is an SVG path in pixels, which the decoder's own path reader and filler draw. So the
outlines are known exactly, and `make_recordings.py` makes the answers about this picture of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from PIL import Image, ImageChops, ImageFilter

from sansio_moondream.images import draw_mask
from sansio_moondream.paths import Polygon, flatten, parse_path

SIZE = WIDTH, HEIGHT = 960, 640
FILE = Path(__file__).parent / "moondream_tools" / "recordings" / "harbour.jpg"

# The sailing boat: around hull, mainsail, pennant and foresail; and the hole between the foresail
# and the mast, which runs the other way.
BOAT = (
    "M 676 486 C 668 508 656 522 636 528 C 570 540 470 540 420 526 L 404 520 L 392 482"
    " C 416 487 440 489 462 489 L 472 473 L 532 473 L 534 489 L 535 468 L 398 459 L 396 452"
    " C 424 356 474 256 535 178 L 535 172 L 500 163 L 536 154 L 543 154 L 545 180"
    " C 596 276 642 380 676 486 Z"
    " M 545 216 L 545 489 C 580 490 615 489 646 487 C 622 478 598 468 574 452"
    " C 570 372 560 290 545 216 Z"
)
FISHING_BOAT = (
    "M 232 410 L 244 428 L 314 428 L 324 408 L 300 412 L 300 404 L 290 404 L 290 386 L 270 386"
    " L 270 404 L 262 404 L 262 372 L 259 372 L 259 411 Z"
)
ROWING_BOAT = (
    "M 820 470 C 840 478 890 478 912 467 C 908 482 900 490 886 492 C 868 494 850 493 838 491"
    " C 828 488 823 480 820 470 Z M 858 475 L 857 462 C 852 455 853 448 860 446 C 856 437 868 433"
    " 872 440 C 873 444 872 446 870 447 C 878 450 880 460 878 475 Z"
)
BOATS = (BOAT, FISHING_BOAT, ROWING_BOAT)
MOON = "M 722 62 a 58 58 0 1 1 0 116 a 58 58 0 1 1 0 -116 Z"

HOUSES = (  # left, top of the wall, right, and how high the roof is
    (760, 366, 790, 14),
    (794, 358, 822, 18),
    (828, 368, 866, 13),
    (872, 352, 898, 22),
    (904, 364, 944, 16),
)
WINDOWS = (  # lit, in the village and in the lighthouse: the middle of each
    *((771, 376), (803, 370), (813, 370), (838, 378), (855, 378), (885, 366), (917, 376)),
    (934, 376),
    (151, 236),
)
_WINDOW = (5, 8)

_SKY = ((0, "#0b1233"), (0.45, "#1f2d63"), (0.75, "#4a4a86"), (0.92, "#a8708c"), (1, "#f0a878"))
_SEA = ((0, "#d78f7c"), (0.08, "#7c668e"), (0.3, "#2f4274"), (1, "#0a1735"))
_HORIZON = 396


def polygons(path: str, offset: tuple[float, float] = (0, 0)) -> tuple[Polygon, ...]:
    """Return a path of the scene as polygons in pixels, moved by `offset`."""
    return flatten(parse_path(path), offset=offset)


def bounds(shapes: Iterable[Polygon]) -> tuple[float, float, float, float]:
    """Return the edges of polygons: left, top, right, bottom."""
    points = [point for shape in shapes for point in shape]
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


class Canvas:
    """The picture while it is drawn."""

    def __init__(self) -> None:
        self.image = Image.new("RGB", SIZE)

    def gradient(self, top: int, bottom: int, stops: Iterable[tuple[float, str]]) -> None:
        """Fill the rows from `top` to `bottom` with colours, which change from stop to stop."""
        height = bottom - top
        for (start, above), (end, below) in pairwise(stops):
            first, last = top + round(start * height), top + round(end * height)
            mask = Image.linear_gradient("L").resize((WIDTH, last - first))
            part = Image.composite(
                Image.new("RGB", mask.size, below), Image.new("RGB", mask.size, above), mask
            )
            self.image.paste(part, (0, first))

    def fill(
        self,
        path: str,
        color: str,
        *,
        within: str | None = None,
        opacity: float = 1,
        blur: float = 0,
    ) -> None:
        """Fill a path, or what of it is within another path."""
        (left, top, right, bottom), margin = bounds(polygons(path)), math.ceil(3 * blur)
        x, y = max(math.floor(left) - margin, 0), max(math.floor(top) - margin, 0)
        size = (
            min(math.ceil(right) + margin, WIDTH) - x,
            min(math.ceil(bottom) + margin, HEIGHT) - y,
        )
        mask = draw_mask(polygons(path, (-x, -y)), size)
        if within is not None:
            mask = ImageChops.multiply(mask, draw_mask(polygons(within, (-x, -y)), size))
        if blur:
            mask = mask.filter(ImageFilter.GaussianBlur(blur))
        self.image.paste(color, (x, y), mask.point([round(i * opacity) for i in range(256)]))


def ellipse(x: float, y: float, rx: float, ry: float) -> str:
    half = f"a {rx:.1f} {ry:.1f} 0 1 1 0"
    return f"M {x:.1f} {y - ry:.1f} {half} {2 * ry:.1f} {half} {-2 * ry:.1f} Z"


def box(left: float, top: float, right: float, bottom: float) -> str:
    return f"M {left} {top} H {right} V {bottom} H {left} Z"


def scattered(count: int) -> list[tuple[float, float]]:
    """Return points of the unit square that look random, and are the same each time."""
    return [(number * 0.7548777 % 1, number * 0.5698403 % 1) for number in range(1, count + 1)]


def draw() -> Image.Image:
    """Draw the picture."""
    canvas = Canvas()
    canvas.gradient(0, _HORIZON, _SKY)
    for number, (x, y) in enumerate(scattered(90)):
        size = (0.7, 0.9, 1.2)[number % 3]
        star = ellipse(x * WIDTH, y * 290, size, size)
        canvas.fill(star, "#fff6e0", opacity=0.85 - 0.6 * y)
    _moon(canvas)
    _clouds(canvas)
    _coast(canvas)
    canvas.gradient(_HORIZON, HEIGHT, _SEA)
    _waves(canvas)
    _headland(canvas)
    _village(canvas)
    _small_boats(canvas)
    _sailing_boat(canvas)
    return canvas.image


def _moon(canvas: Canvas) -> None:
    for radius in (66, 84, 108, 140):
        glow = ellipse(722, 120, radius, radius)
        canvas.fill(glow, "#ffe9c4", opacity=0.14, blur=radius / 3)
    canvas.fill(MOON, "#fdf3d8")
    for x, y, rx, ry in (
        *((704, 100, 17, 14), (738, 92, 10, 8), (744, 128, 19, 15), (712, 142, 12, 9)),
        *((694, 128, 7, 6), (724, 116, 6, 5), (758, 104, 6, 6), (728, 164, 8, 5)),
    ):
        canvas.fill(ellipse(x, y, rx, ry), "#e2d2ab", within=MOON, opacity=0.75, blur=1.2)


def _clouds(canvas: Canvas) -> None:
    for x, y, rx, ry in (
        *((420, 226, 150, 7), (500, 236, 110, 6), (840, 206, 140, 6), (760, 216, 90, 5)),
        *((90, 96, 150, 6), (300, 300, 190, 6), (640, 318, 210, 5)),
    ):
        canvas.fill(ellipse(x, y, rx, ry), "#c79ab0", opacity=0.5, blur=4)


def _coast(canvas: Canvas) -> None:
    canvas.fill(
        "M 0 396 L 0 352 C 60 330 130 356 190 338 C 260 316 330 350 400 344 C 470 330 520 362"
        " 590 356 C 650 344 720 366 780 352 C 850 330 910 346 960 334 L 960 396 Z",
        "#5b5489",
    )
    canvas.fill(
        "M 330 398 C 420 370 480 384 560 378 C 650 368 700 350 770 342 C 840 322 900 330 960 306"
        " L 960 398 Z",
        "#35386b",
    )


def _waves(canvas: Canvas) -> None:
    """Draw the light of the moon on the water, in strips that widen towards us."""
    for number, (x, _) in enumerate(scattered(44)):
        depth = (number / 44) ** 1.5
        middle, width = 722 + (x - 0.5) * (26 + 90 * depth), 18 + 40 * depth * (0.4 + x)
        glint = ellipse(middle, _HORIZON + 5 + 232 * depth, width, 1.2 + 2 * depth)
        canvas.fill(glint, "#ffe7bd", opacity=0.75 - 0.35 * depth)
    for number, (x, y) in enumerate(scattered(70)):
        depth = y**1.4
        wave = ellipse(x * WIDTH, _HORIZON + 12 + 225 * depth, 14 + 34 * depth, 0.8 + depth)
        canvas.fill(wave, ("#9db2dd", "#0b1738")[number % 2], opacity=0.28)


def _headland(canvas: Canvas) -> None:
    canvas.fill("M 151 152 L 960 20 L 960 128 Z", "#ffeab0", opacity=0.13, blur=3)
    canvas.fill("M 151 152 L 0 128 L 0 186 Z", "#ffeab0", opacity=0.16, blur=3)
    canvas.fill(
        "M 0 330 C 50 316 90 312 140 314 C 190 316 214 340 232 366 C 246 384 262 398 286 408"
        " C 220 416 100 418 0 416 Z",
        "#20244d",
    )
    canvas.fill(
        "M 0 344 C 60 326 120 330 170 338 C 200 350 214 380 240 402 C 150 412 60 410 0 412 Z",
        "#171a3c",
    )
    tower = "M 134 318 L 139 166 L 163 166 L 168 318 Z"
    canvas.fill(tower, "#e9e1d8")
    for top in (182, 228, 274):
        canvas.fill(box(120, top, 180, top + 22), "#b5433f", within=tower)
    canvas.fill("M 153 166 L 163 166 L 168 318 L 156 318 Z", "#0b1233", within=tower, opacity=0.35)
    canvas.fill(box(132, 162, 170, 168), "#2a2d55")
    canvas.fill(box(142, 142, 160, 162), "#fff3c4")
    canvas.fill(ellipse(151, 152, 26, 26), "#fff0b8", opacity=0.5, blur=9)
    canvas.fill("M 138 142 L 151 126 L 164 142 Z", "#b5433f")
    canvas.fill(box(150, 116, 152, 128), "#2a2d55")
    canvas.fill("M 168 318 L 168 300 L 182 290 L 204 300 L 204 318 Z", "#3a3f72")
    _window(canvas, WINDOWS[-1])


def _village(canvas: Canvas) -> None:
    canvas.fill(
        "M 736 402 C 760 388 800 386 960 384 L 960 408 C 860 410 780 408 736 402 Z", "#171a3c"
    )
    for number, (left, top, right, roof) in enumerate(HOUSES):
        canvas.fill(box(left, top, right, 390), ("#4b4a7c", "#3d4073", "#564f80")[number % 3])
        canvas.fill(
            f"M {left - 3} {top} L {(left + right) / 2} {top - roof} L {right + 3} {top} Z",
            "#2a2550",
        )
    for window in WINDOWS[:-1]:
        _window(canvas, window)
        x, _ = window
        canvas.fill(ellipse(x, 420, 3, 14), "#ffc766", opacity=0.4, blur=2)


def _window(canvas: Canvas, middle: tuple[int, int]) -> None:
    (x, y), (width, height) = middle, _WINDOW
    pane = box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    canvas.fill(pane, "#ffc766", opacity=0.7, blur=3)
    canvas.fill(pane, "#ffd987")


def _small_boats(canvas: Canvas) -> None:
    canvas.fill(ellipse(280, 432, 50, 5), "#0a1330", opacity=0.5, blur=2)
    canvas.fill(FISHING_BOAT, "#2c5a72")
    canvas.fill(box(259, 370, 300, 405), "#d9d2c6", within=FISHING_BOAT)
    canvas.fill(box(274, 390, 286, 398), "#ffd987", within=FISHING_BOAT)
    canvas.fill(box(230, 420, 330, 430), "#173346", within=FISHING_BOAT)
    canvas.fill(ellipse(866, 494, 56, 6), "#0a1330", opacity=0.5, blur=2)
    canvas.fill(ROWING_BOAT, "#7a4a35")
    canvas.fill(
        "M 810 464 H 850 L 852 476 H 920 V 480 C 880 484 850 484 815 476 Z",
        "#a8694a",
        within=ROWING_BOAT,
    )
    canvas.fill(box(846, 430, 884, 474), "#28406b", within=ROWING_BOAT)
    canvas.fill(ellipse(865, 441, 8, 7), "#d9a184", within=ROWING_BOAT)
    canvas.fill("M 866 462 L 900 500 L 903 498 L 869 460 Z", "#c79b72")


def _sailing_boat(canvas: Canvas) -> None:
    for number, (x, _) in enumerate(scattered(26)):
        depth = number / 26
        middle, width = 528 + 50 * (x - 0.5), 66 * (1.15 - depth) * (0.5 + x)
        ripple = ellipse(middle, 546 + 88 * depth, width, 2)
        canvas.fill(ripple, "#f4ead2", opacity=0.3 - 0.2 * depth)
    canvas.fill(ellipse(528, 536, 150, 9), "#081028", opacity=0.65, blur=4)
    canvas.fill(BOAT, "#f6ead0")
    for path, color in (
        ("M 543 150 L 700 480 L 620 480 C 590 400 560 300 543 250 Z", "#e3d3b4"),
        ("M 380 480 L 420 476 C 440 400 490 280 536 200 L 536 150 L 460 200 Z", "#d9c8a8"),
        (box(380, 489, 700, 545), "#a8343a"),
        ("M 380 480 C 420 492 600 494 690 484 L 690 496 C 600 503 420 502 380 494 Z", "#f8f2e6"),
        ("M 400 516 C 480 530 580 532 660 516 L 660 545 L 400 545 Z", "#5c1d2c"),
        (box(395, 459, 535, 468), "#7a4a35"),
        (box(535, 150, 545, 489), "#7a4a35"),
        ("M 535 153 L 490 163 L 535 173 Z", "#e0554b"),
        ("M 456 489 L 466 472 L 540 472 L 540 489 Z", "#efe2c6"),
    ):
        canvas.fill(path, color, within=BOAT)
    for x in (484, 502, 520):
        canvas.fill(ellipse(x, 481, 4.5, 4), "#ffd987", within=BOAT)
    for left, y, right in ((486, 250, 536), (450, 320, 536), (420, 390, 536)):
        canvas.fill(box(left, y, right, y + 1.2), "#b39f7c", within=BOAT, opacity=0.8)
    for path in (  # the character for the moon, stroke by stroke
        "M 484 342 H 489 V 392 C 489 408 484 418 474 427 L 470 423 C 480 413 484 404 484 391 Z",
        "M 484 342 H 520 V 347 H 484 Z",
        "M 515 342 H 520 V 420 C 520 427 512 427 504 425 L 503 420 C 510 421 515 422 515 418 Z",
        "M 487 365 H 517 V 369.5 H 487 Z M 487 388 H 517 V 392.5 H 487 Z",
    ):
        canvas.fill(path, "#35386b", within=BOAT)


if __name__ == "__main__":
    draw().save(FILE, quality=90, optimize=True)
