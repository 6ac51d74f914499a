#!/usr/bin/env python3
"""Make the animation of the README: python docs/make_animation.py

It shows what the decoder does. The bodies of two of the demo's recordings are cut anywhere. Each
frame gives one chunk to a `ResponseStream`, and shows the bytes, the last event and the snapshot.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from PIL import Image, ImageDraw, ImageFont, ImageOps

from sansio_moondream import (
    BBox,
    CaptionRequest,
    CaptionResult,
    Completed,
    Event,
    PathChunk,
    Request,
    ResponseStream,
    SegmentRequest,
    SegmentResult,
    TextDelta,
    encode_image,
)
from sansio_moondream.images import open_image
from sansio_moondream.recording import Recording

FILE = Path(__file__).parent / "pictures" / "stream.gif"
STILL = FILE.with_suffix(".png")  # its last frame, for readers who want no motion
RECORDINGS = files("moondream_tools") / "recordings"

SIZE = (840, 486)
BYTES = (16, 44, 300, 470)  # left, top, right, bottom
SCENE, SCENE_SIZE = (316, 44), (508, 339)
LEFT, RIGHT, CAPTION_TOP, EVENT_TOP = 316, 824, 394, 456
CELL, LINE = 6, 13  # of a character of the bytes
COLUMNS, ROWS = (BYTES[2] - BYTES[0]) // CELL, (BYTES[3] - BYTES[1]) // LINE

BACKGROUND, TEXT, DIM, LIME = "#0c1030", "#e6eaff", "#8792c8", "#7dff5a"
CHUNKS = ("#9fe8ff", "#ffc9a3")  # of two chunks in turn

_PICTURE = (RECORDINGS / "harbour.jpg").read_bytes()
_HARBOUR = open_image(_PICTURE)
_CODE = ImageFont.load_default_imagefont()  # each character as wide as a cell
_SMALL, _LARGE = ImageFont.load_default(13), ImageFont.load_default(19)


class Frame(Struct, frozen=True):
    """What is known after one chunk, and for how many milliseconds it is shown."""

    milliseconds: int
    chunks: tuple[bytes, ...] = ()
    event: Event | None = None
    caption: CaptionResult | None = None
    coarse_box: BBox | None = None
    outline: SegmentResult | None = None


def frames() -> list[Frame]:
    """Decode both streams, chunk by chunk."""
    image = encode_image(_PICTURE)
    requests: list[tuple[Request[Any], range, int]] = [
        (CaptionRequest(image=image, length="short"), range(40, 70), 150),
        (SegmentRequest(image=image, object="sailboat"), range(120, 210), 80),
    ]
    made = [Frame(900)]
    for request, sizes, milliseconds in requests:
        stream: ResponseStream[Any] = ResponseStream(request)
        stream.receive_response(200, {"content-type": "text/event-stream"})
        for chunk in _chunks(request.skill, sizes):
            stream.receive_data(chunk)
            frame = replace(made[-1], milliseconds=milliseconds, chunks=(*made[-1].chunks, chunk))
            for event in stream.events():
                frame = replace(frame, event=event)
                if isinstance(event, BBox):
                    frame = replace(frame, coarse_box=event)
            if isinstance(stream.snapshot, CaptionResult):
                frame = replace(frame, caption=stream.snapshot)
            elif isinstance(stream.snapshot, SegmentResult):
                frame = replace(frame, outline=stream.snapshot)
            made.append(frame)
        made[-1] = replace(made[-1], milliseconds=900)
    made[-1] = replace(made[-1], milliseconds=4000)
    return made


def _chunks(skill: str, sizes: Sequence[int]) -> Iterator[bytes]:
    """Cut the body of a recording into chunks of random sizes, which are the same each time."""
    recording = Recording.decode((RECORDINGS / f"{skill}.jsonl").read_bytes())
    body = b"".join(chunk.data for chunk in recording.chunks)
    last = body.rindex(b"data: ")  # a long message: its chunks are longer
    dice, at = random.Random(4), 0
    while at < len(body):
        size = dice.choice(sizes) * (1 if at < last else 8)
        yield body[at : at + size]
        at += size


def draw(frame: Frame) -> Image.Image:
    """Draw a frame."""
    image = Image.new("RGB", SIZE, BACKGROUND)
    pen = ImageDraw.Draw(image)
    pen.text((BYTES[0], 16), "bytes of a stream: each colour is one chunk", DIM, _SMALL)
    pen.text((LEFT, 16), "typed events, and the result so far", DIM, _SMALL)
    _draw_bytes(pen, frame.chunks)
    image.paste(_draw_scene(frame), SCENE)
    if frame.caption is not None:
        end, top = _write(image, (LEFT, CAPTION_TOP), frame.caption.text, TEXT, _LARGE)
        if frame.caption.partial:
            pen.rectangle((end + 2, top + 2, end + 10, top + 20), LIME)
    if frame.event is not None:
        _write(image, (LEFT, EVENT_TOP), _words(frame.event), LIME, _SMALL)
    return image


def _draw_bytes(pen: ImageDraw.ImageDraw, chunks: Sequence[bytes]) -> None:
    """Write the bytes in a grid. When it is full, begin again at its top."""
    cells: list[tuple[str, str]] = []
    for number, chunk in enumerate(chunks):
        for character in chunk.decode("ascii"):
            if character != "\n":
                cells.append((character, CHUNKS[number % 2]))
            elif len(cells) % COLUMNS:
                cells += [(" ", TEXT)] * (COLUMNS - len(cells) % COLUMNS)
    first = max(len(cells) - 1, 0) // (COLUMNS * ROWS) * COLUMNS * ROWS
    for i, (character, color) in enumerate(cells[first:]):
        place = (BYTES[0] + i % COLUMNS * CELL, BYTES[1] + i // COLUMNS * LINE)
        pen.text(place, character, color, _CODE)


def _draw_scene(frame: Frame) -> Image.Image:
    scene, result = _HARBOUR.resize(SCENE_SIZE), frame.outline
    if result is None:
        return scene
    if not result.partial:
        scene = result.overlay(scene, color=LIME)
    pen = ImageDraw.Draw(scene)
    for polygon in result.polygons(SCENE_SIZE):
        pen.line(polygon if result.partial else (*polygon, polygon[0]), LIME, 2, joint="curve")
    if frame.coarse_box is not None and result.partial:
        left, top, right, bottom = frame.coarse_box.to_pixels(SCENE_SIZE)
        for x in range(left, right, 12):
            pen.line((x, top, min(x + 7, right), top), "white", 2)
            pen.line((x, bottom, min(x + 7, right), bottom), "white", 2)
        for y in range(top, bottom, 12):
            pen.line((left, y, left, min(y + 7, bottom)), "white", 2)
            pen.line((right, y, right, min(y + 7, bottom)), "white", 2)
    elif result.bbox is not None:
        pen.rectangle(result.bbox.to_pixels(SCENE_SIZE), outline="white", width=2)
    return scene


def _write(
    image: Image.Image, place: tuple[int, int], text: str, color: str, font: Any
) -> tuple[int, int]:
    """Write a text, in lines. Return its end. What the font lacks is cut out of the picture."""
    pen, side = ImageDraw.Draw(image), round(font.size)
    widths = {"月": 0.75 * side, "🌕": 1.1 * side}
    x, y = float(place[0]), place[1]
    for word in text.split(" "):
        spans = [widths.get(character) or font.getlength(character) for character in word]
        if x + sum(spans) > RIGHT:
            x, y = float(LEFT), y + round(1.4 * side)
        for character, span in zip(word, spans, strict=True):
            corner = (round(x), y + side // 8)
            if character == "月":
                sign = ImageOps.autocontrast(_HARBOUR.crop((466, 336, 524, 431)).convert("L"))
                image.paste(color, corner, ImageOps.invert(sign).resize((round(span), side)))
            elif character == "🌕":
                disc = Image.new("L", (120, 120))
                ImageDraw.Draw(disc).ellipse((2, 2, 118, 118), 255)
                moon = _HARBOUR.crop((662, 60, 782, 180)).resize((side, side))
                image.paste(moon, corner, disc.resize((side, side)))
            else:
                pen.text((x, y), character, color, font)
            x += span
        x += font.getlength(" ")
    return round(x - font.getlength(" ")), y


def _words(event: Event) -> str:
    match event:
        case TextDelta(text):
            return f"TextDelta({text!r})"
        case PathChunk(data):
            return f"PathChunk({data!r})"
        case Completed(result):
            return f"Completed({type(result).__name__}(...))"
        case _:
            return repr(event)


def main() -> None:
    """Write the animation and its last frame, with one palette for all frames."""
    every = frames()
    drawn = [draw(frame) for frame in every]
    samples = Image.new("RGB", (SIZE[0], 3 * SIZE[1]))
    for i, sample in enumerate((drawn[0], drawn[len(drawn) // 2], drawn[-1])):
        samples.paste(sample, (0, i * SIZE[1]))
    palette = samples.quantize(255)
    first, *rest = [one.quantize(palette=palette, dither=Image.Dither.NONE) for one in drawn]
    durations = [frame.milliseconds for frame in every]
    first.save(FILE, save_all=True, append_images=rest, duration=durations, loop=0)
    drawn[-1].quantize(256).save(STILL, optimize=True)


if __name__ == "__main__":
    main()
