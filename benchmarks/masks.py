"""How fast, and how right, is a mask? Ours, stage by stage, and other rasterisers on the same
polygons.

    python benchmarks/masks.py [--rounds N] [--size WIDTHxHEIGHT]

Two outlines: the refined path of a captured response, and a hairy one, whose border is twenty times
as long. Candidates that are not installed are named and left out: pip install --group masks. Where
Chromium is installed, each candidate also draws the 200 random shapes of tests/test_browser.py, and
is compared with it."""

# ruff: noqa: E402 - the tests' shapes can be imported only when their folder is on the path

from __future__ import annotations

import argparse
import ctypes
import io
import math
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # for what the tests compare with

from PIL import Image, ImageChops, ImageDraw

from sansio_moondream import BBox, ResponseStream, SegmentResult
from sansio_moondream.images import draw_mask
from sansio_moondream.paths import flatten, parse_path
from tests import chromium
from tests.helpers import TRACES
from tests.test_browser import IN_CSS

if TYPE_CHECKING:
    from collections.abc import Callable

    from sansio_moondream.paths import Polygon

    Draw = Callable[[SegmentResult, tuple[int, int]], Image.Image]


def captured() -> SegmentResult:
    (trace,) = (trace for trace in TRACES if trace.name == "engine-segment")
    stream = ResponseStream(trace.request)
    stream.receive_response(trace.status_code, trace.headers)
    stream.receive_data(trace.body)
    stream.receive_eof()
    list(stream.events())
    return stream.result()


def hairy() -> SegmentResult:
    """A disc with 200 hairs, each two curves. Its border is nearly as long as we draw."""
    rng, parts = random.Random(1), ["M.75.5"]
    for i in range(200):
        angle, wide, long = math.tau * i / 200, math.tau / 200, rng.uniform(0.1, 0.24)
        for radius, at in ((0.25 + long, angle + wide / 2), (0.25, angle + wide)):
            x, y = 0.5 + radius * math.cos(at), 0.5 + radius * math.sin(at)
            parts.append(
                f"Q{x + rng.uniform(-0.02, 0.02):.3f},{y + rng.uniform(-0.02, 0.02):.3f},"
                f"{x:.3f},{y:.3f}"
            )
    return SegmentResult("".join([*parts, "z"]), BBox(0.1, 0.05, 0.9, 0.95))


# --- Who draws


def ours(result: SegmentResult, size: tuple[int, int]) -> Image.Image:
    return result.mask(size)


def ours_without_antialias(result: SegmentResult, size: tuple[int, int]) -> Image.Image:
    return result.mask(size, antialias=False)


def skia_python(result: SegmentResult, size: tuple[int, int]) -> Image.Image:
    import numpy as np
    import skia

    pixels = np.zeros(size[::-1], np.uint8)
    path = skia.PathBuilder()
    for polygon in result.polygons(size):
        path.moveTo(*polygon[0])
        for point in polygon[1:]:
            path.lineTo(*point)
        path.close()
    with skia.Surface.MakeRasterDirect(skia.ImageInfo.MakeA8(*size), pixels) as canvas:
        canvas.drawPath(path.detach(), skia.Paint(AntiAlias=True))
    return Image.fromarray(pixels)


def aggdraw(result: SegmentResult, size: tuple[int, int]) -> Image.Image:
    import aggdraw

    image = Image.new("L", size)
    canvas, path = aggdraw.Draw(image), aggdraw.Path()
    for polygon in result.polygons(size):
        path.moveto(*polygon[0])
        for point in polygon[1:]:
            path.lineto(*point)
        path.close()
    canvas.path(path, None, aggdraw.Brush("white"))
    canvas.flush()
    return image


def resvg(result: SegmentResult, size: tuple[int, int]) -> Image.Image:
    from resvg import render, usvg

    png = bytes(
        render(
            usvg.Tree.from_str(result.svg(size), usvg.Options.default()),
            (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        )
    )
    return Image.open(io.BytesIO(png)).getchannel("A")


def resvg_py(result: SegmentResult, size: tuple[int, int]) -> Image.Image:
    import resvg_py

    return Image.open(
        io.BytesIO(resvg_py.svg_to_bytes(svg_string=result.svg(size), skip_system_fonts=True))
    ).getchannel("A")


def freetype(result: SegmentResult, size: tuple[int, int]) -> Image.Image:
    from freetype import raw

    polygons, (width, height) = result.polygons(size), size
    count = sum(map(len, polygons))
    points, ends = (raw.FT_Vector * count)(), (ctypes.c_short * len(polygons))()
    at = 0
    for i, polygon in enumerate(polygons):
        for x, y in polygon:
            points[at].x, points[at].y = round(x * 64), round((height - y) * 64)
            at += 1
        ends[i] = at - 1
    outline, pixels, bitmap = (
        raw.FT_Outline(),
        (ctypes.c_ubyte * (width * height))(),
        raw.FT_Bitmap(),
    )
    outline.n_contours, outline.n_points = len(polygons), count
    for field, values in (
        ("points", points),
        ("tags", (ctypes.c_ubyte * count)(*b"\1" * count)),
        ("contours", ends),
    ):
        setattr(outline, field, ctypes.cast(values, type(getattr(outline, field))))
    bitmap.rows, bitmap.width, bitmap.pitch, bitmap.num_grays, bitmap.pixel_mode = (
        height,
        width,
        width,
        256,
        2,
    )
    bitmap.buffer = ctypes.cast(pixels, type(bitmap.buffer))
    library = raw.FT_Library()
    raw.FT_Init_FreeType(ctypes.byref(library))
    error = raw.FT_Outline_Get_Bitmap(library, ctypes.byref(outline), ctypes.byref(bitmap))
    raw.FT_Done_FreeType(library)
    if error:
        raise OverflowError(f"FreeType refuses it: error {error}")
    return Image.frombytes("L", size, bytes(pixels))


def pillow(result: SegmentResult, size: tuple[int, int]) -> Image.Image:
    """Four times as large and made smaller;

    ImageDraw has whole pixels, and one polygon at a time: the rule is even-odd at best.
    """
    large = Image.new("1", (4 * size[0], 4 * size[1]))
    for polygon in result.polygons(size):
        one = Image.new("1", large.size)
        ImageDraw.Draw(one).polygon([(4 * x - 0.5, 4 * y - 0.5) for x, y in polygon], fill=1)
        large = ImageChops.logical_xor(large, one)
    return large.convert("L").reduce(4)


CANDIDATES: dict[str, tuple[Draw, str | None]] = {
    "ours": (ours, None),
    "ours, no antialias": (ours_without_antialias, None),
    "skia-python": (skia_python, "skia"),
    "freetype-py": (freetype, "freetype"),
    "aggdraw": (aggdraw, "aggdraw"),
    "resvg": (resvg, "resvg"),
    "resvg-py": (resvg_py, "resvg_py"),
    "pillow": (pillow, None),
}


# --- Measured


def milliseconds(rounds: int, call: Callable[[], Any]) -> str:
    taken: list[float] = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        taken.append(1000 * (time.perf_counter() - start))
    return f"{statistics.median(taken):8.1f} {min(taken):8.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--size", default="4000x3000")
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    size = width, height
    present = {
        name: draw
        for name, (draw, module) in CANDIDATES.items()
        if module is None or find_spec(module)
    }
    for name in CANDIDATES.keys() - present.keys():
        print(f"{name} is not installed, and left out")

    for title, result in (("captured", captured()), ("hairy", hairy())):
        box = result.bbox
        assert box is not None
        scale = (box.x_max - box.x_min) * width, (box.y_max - box.y_min) * height
        commands = parse_path(result.path)
        polygons: tuple[Polygon, ...] = flatten(commands, scale=scale)
        points = sum(map(len, polygons))
        print(
            f"\n{title}: {len(result.path):,} characters, {len(commands):,} commands, "
            f"{points:,} points, {width} x {height}"
        )
        print(f"{'ms':>36} {'median':>8} {'least':>8}")
        works: dict[str, Callable[[], object]] = {
            "our parser": partial(parse_path, result.path),
            "our polygons": partial(flatten, commands, scale=scale),
            "our filling": partial(draw_mask, polygons, size),
        }
        for name, work in works.items():
            print(f"{name:>36} {milliseconds(arguments.rounds, work)}")
        for name, draw in present.items():
            try:
                print(f"{name:>36} {milliseconds(arguments.rounds, partial(draw, result, size))}")
            except Exception as error:  # noqa: BLE001 - what a candidate cannot do is a result
                print(f"{name:>36} fails: {error}")
    if chromium.PROGRAM is None:
        print("\nno Chromium here to compare with")
        return
    with tempfile.TemporaryDirectory() as folder:
        seen = chromium.draw([chromium.in_css(result) for result in IN_CSS], Path(folder))
    print(
        f"\n{len(seen)} random shapes of {chromium.SIZE} pixels: intersection over union "
        "with Chromium"
    )
    print(f"{'':>36} {'least':>8} {'mean':>8} {'< 0.99':>8}")
    for name, draw in present.items():
        overlaps = [
            chromium.overlap(draw(result, (chromium.SIZE, chromium.SIZE)), image)
            for result, image in zip(IN_CSS, seen, strict=True)
        ]
        below = sum(overlap < 0.99 for overlap in overlaps)
        print(f"{name:>36} {min(overlaps):8.4f} {statistics.mean(overlaps):8.4f} {below:8}")


if __name__ == "__main__":
    main()
