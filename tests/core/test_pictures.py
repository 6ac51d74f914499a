"""Results drawn: partial outlines, SVG, overlays, cutouts, boxes and points."""

from __future__ import annotations

import io
import re
import sys
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from PIL import Image, ImageChops

from sansio_moondream import (
    Completed,
    IncompleteStream,
    ResponseStream,
    SegmentResult,
)
from sansio_moondream.images import cut_out, lay_over, upright
from sansio_moondream.paths import PathError, Polygon
from sansio_moondream.testing import EVENT_STREAM, at_offsets
from tests.core.pictures import BROKEN, SQUARE
from tests.helpers import SEGMENT, TRACES, record

WHITE, RED, GREEN, BLUE, BLACK = (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)


class TestPartial:
    def test_its_snapshots_only_get_longer(self):
        trace = next(trace for trace in TRACES if trace.name == "engine-segment")
        stream = ResponseStream(SEGMENT)
        stream.receive_response(trace.status_code, trace.headers)
        seen = 0
        before: tuple[Polygon, ...] = ()
        body = b"".join(trace.chunks)
        for chunk in at_offsets(
            body, range(0, len(body), 301)
        ):  # in the middle of records, and of numbers
            stream.receive_data(chunk)
            list(stream.events())
            snapshot = stream.snapshot
            assert snapshot is not None
            if snapshot.partial:
                polygons = snapshot.polygons((640, 480))
                if before:
                    assert polygons[0][: len(before[0])] == before[0]
                seen += polygons != before
                before = polygons
        assert seen > 40
        result = stream.result()
        assert not result.partial
        assert result.path.startswith("M.941")

    def test_broken_in_the_middle_of_a_number(self):
        stream = ResponseStream(SEGMENT)
        stream.receive_response(200, EVENT_STREAM)
        drawn: list[Any] = []
        svg = ""
        for message in (
            {"chunk": "M0 0 1"},
            {"chunk": " 0 L 0.5"},
            {"type": "bbox", "bbox": {"x_min": 0, "y_min": 0, "x_max": 1, "y_max": 1}},
            {"chunk": " 0"},
            {"chunk": ".5"},
            {"chunk": "z"},
        ):
            stream.receive_data(record(message))
            list(stream.events())
            assert stream.snapshot is not None
            drawn.append(stream.snapshot.polygons((10, 10)))
            assert stream.snapshot.mask((10, 10)).size == (10, 10)
            svg = stream.snapshot.svg((10, 10))
        assert drawn == [(), (), (), (), (), (((0, 0), (10, 0), (5, 5)),)]
        assert ' d="M0 0 1 0 L 0.5 0.5z"' in svg

    def test_what_an_error_has(self):
        stream = ResponseStream(SEGMENT)
        stream.receive_response(200, EVENT_STREAM)
        stream.receive_data(
            record({"type": "bbox", "bbox": {"x_min": 0, "y_min": 0, "x_max": 1, "y_max": 1}})
        )
        stream.receive_data(record({"chunk": "M0 0 1 0 1 1 0."}))
        stream.receive_eof()
        with pytest.raises(IncompleteStream) as caught:
            list(stream.events())
        partial: Any = caught.value.partial
        assert partial.polygons((4, 4)) == (((0, 0), (4, 0), (4, 4)),)
        assert ' d="M0 0 1 0 1 1"' in partial.svg((4, 4))

    def test_a_whole_answer_does_not_grow(self):
        stream = ResponseStream(SEGMENT)
        stream.receive_response(200, {"content-type": "application/json"})
        stream.receive_data(
            b'{"path": "M0 0L1 0L1 1", "bbox": {"x_min": 0, "y_min": 0, "x_max": 1, "y_max": 1}}'
        )
        stream.receive_eof()
        assert isinstance(next(iter(stream.events())), Completed)
        assert stream.result().polygons((4, 4)) == (((0, 0), (4, 0), (4, 4)),)

    def test_a_path_that_goes_wrong_can_be_drawn_as_far_as_it_is_right(self):
        with pytest.raises(PathError) as caught:
            BROKEN.mask((4, 4))
        before = SegmentResult(BROKEN.path[: caught.value.position], BROKEN.bbox, partial=True)
        assert before.polygons((4, 4)) == ()  # the number before the fault may go on
        assert SegmentResult("M0 0H1V1 x"[:9], BROKEN.bbox, partial=True).polygons((4, 4)) == (
            ((0, 0), (4, 0), (4, 4)),
        )


class TestSVG:
    def test_it_is_the_path_in_its_box(self):
        document = SQUARE.svg((800, 400))
        root = ET.fromstring(document)
        assert root.attrib == {"width": "800", "height": "400", "viewBox": "0 0 800 400"}
        (path,) = root
        assert path.attrib == {
            "d": SQUARE.path,
            "fill-rule": "nonzero",
            "transform": "translate(200.0 200.0) scale(400.0 200.0)",
        }

    def test_a_blank_that_xml_does_not_have(self):
        path = "M0\f0\tH1\f\nV1\rz\f"
        element = ET.fromstring(SegmentResult(path, SQUARE.bbox).svg((8, 4)))
        assert element[0].attrib["d"].split() == ["M0", "0", "H1", "V1", "z"]

    def test_without_anything_to_draw(self):
        document = SegmentResult("", None, "no path").svg((8, 4))
        assert document.endswith('viewBox="0 0 8 4"></svg>')
        assert list(ET.fromstring(document)) == []

    def test_nothing_gets_into_the_markup_unread(self):
        with pytest.raises(PathError, match="at character 4"):
            SegmentResult('M0 0"/><script>alert(1)</script>', SQUARE.bbox).svg((8, 4))
        svg = SegmentResult("M0 0 1 1 -", SQUARE.bbox, partial=True).svg((8, 4))
        assert re.fullmatch(
            r'[^"]* d="M0 0 1 1"/></svg>', svg[svg.index(" scale") :].replace('"', "", 1)
        )


class TestOverlayAndCutout:
    def test_overlay(self):
        image = Image.new("RGB", (8, 4), BLUE)
        seen = SQUARE.overlay(image)
        assert (seen.mode, seen.size) == ("RGB", (8, 4))
        assert {seen.getpixel((x, y)) for x in range(2, 6) for y in range(2, 4)} == {(128, 0, 127)}
        assert seen.getpixel((1, 3)) == seen.getpixel((6, 3)) == seen.getpixel((3, 1)) == BLUE
        assert image.getextrema() == ((0, 0), (0, 0), (255, 255))
        assert SQUARE.overlay(image, color=(0, 255, 0), opacity=1).getpixel((3, 3)) == GREEN
        assert SQUARE.overlay(image, color="#0f0", opacity=0).getpixel((3, 3)) == BLUE

    @pytest.mark.parametrize("opacity", [-0.1, 1.1, float("nan")])
    def test_opacity(self, opacity: float):
        with pytest.raises(ValueError, match="opacity should be from 0 to 1"):
            SQUARE.overlay(Image.new("RGB", (8, 4)), opacity=opacity)

    def test_cutout(self):
        seen = SQUARE.cutout(Image.new("RGB", (8, 4), GREEN))
        assert (seen.mode, seen.size) == ("RGBA", (8, 4))
        assert seen.getchannel("A").tobytes() == SQUARE.mask((8, 4)).tobytes()
        assert seen.getpixel((3, 3)) == (*GREEN, 255)
        assert seen.getbbox() == (2, 2, 6, 4)

    def test_transparency_stays(self):
        image = Image.new("RGBA", (8, 4), (0, 0, 255, 100))
        assert SQUARE.cutout(image).getpixel((3, 3)) == (*BLUE, 100)
        seen = SQUARE.overlay(image, opacity=1)
        assert (seen.mode, seen.getpixel((3, 3)), seen.getpixel((0, 0))) == (
            "RGBA",
            (*RED, 255),
            (*BLUE, 100),
        )

    @pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "I;16", "YCbCr"])
    def test_any_mode(self, mode: str):
        seen = SQUARE.overlay(Image.new(mode, (8, 4)), opacity=1)
        assert (seen.mode, seen.getpixel((3, 3))) == ("RGB", RED)
        assert SQUARE.cutout(Image.new(mode, (8, 4))).mode == "RGBA"

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_a_picture_is_turned_as_the_server_saw_it(self, orientation: int):
        """Save a picture as a camera does, and open it again.

        The outline is on the white square for each orientation of the camera.
        """
        picture = Image.new("RGB", (64, 32), BLACK)
        picture.paste(WHITE, (16, 16, 48, 32))
        undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Image.Transpose
        stored = (
            picture.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else picture
        )
        exif = Image.Exif()
        exif[0x0112] = orientation
        out = io.BytesIO()
        stored.save(out, "PNG", exif=exif)
        opened = Image.open(io.BytesIO(out.getvalue()))
        seen = SQUARE.overlay(opened, color="lime", opacity=1)
        assert (
            ImageChops.difference(seen, SQUARE.overlay(picture, color="lime", opacity=1)).getbbox()
            is None
        )
        assert seen.getcolors() == [(1024, GREEN), (1024, BLACK)] or set(
            seen.getcolors() or []
        ) == {(512, GREEN), (1536, BLACK)}
        assert SQUARE.cutout(opened).getbbox() == (16, 16, 48, 32)

    def test_functions_of_the_module(self):
        image = Image.new("L", (8, 4), 255)
        mask = SQUARE.mask((8, 4))
        assert lay_over(image, mask).tobytes() == SQUARE.overlay(image).tobytes()
        assert cut_out(image, mask).tobytes() == SQUARE.cutout(image).tobytes()
        assert upright(image).mode == "RGB"


def test_without_pillow_it_says_what_to_install_and_the_rest_works(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert len(SQUARE.polygons((4, 4))) == 1
    assert SQUARE.path in SQUARE.svg((4, 4))
    with pytest.raises(
        ModuleNotFoundError,
        match=(
            "this needs Pillow, which is not installed: pip install "
            r"'sansio-moondream\[images\]'"
        ),
    ):
        SQUARE.mask((4, 4))
