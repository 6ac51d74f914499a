"""Which pictures are opened, up to which size, and what is raised for broken ones."""

from __future__ import annotations

import io
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from PIL import Image

import sansio_moondream
from sansio_moondream import BBox, DetectResult, Point, PointResult, SegmentResult, encode_image
from sansio_moondream.images import FORMATS, MAX_MEMORY, open_image, upright
from tests.core.pictures import SQUARE
from tests.core.pillow import BLUE, RED, four_corners, png, saved

Image.init()
OPENED = [name for name in FORMATS if name in Image.SAVE]  # a Pillow without AVIF cannot write it
USES: list[Callable[[Image.Image], object]] = [
    encode_image,
    upright,
    SQUARE.overlay,
    SQUARE.cutout,
    SegmentResult().overlay,
    DetectResult((BBox(0, 0, 1, 1),)).overlay,
    PointResult((Point(0, 0),)).overlay,
]


class TestFormats:
    @pytest.mark.parametrize("format", OPENED)
    def test_opened(self, format: str):
        options = {"save_all": True, "append_images": [four_corners()]} if format == "MPO" else {}
        image = open_image(saved(four_corners(), format, **options))
        assert image.format == format
        seen = upright(image).getpixel((10, 100))
        assert isinstance(seen, tuple)
        assert all(abs(a - b) < 40 for a, b in zip(seen, BLUE, strict=True))

    @pytest.mark.parametrize("format", ["ICO", "PCX", "TGA", "EPS", "JPEG2000", "DDS", "SGI"])
    def test_others_are_refused_in_words(self, format: str):
        data = saved(four_corners(), format)
        with pytest.raises(ValueError, match="should be an intact JPEG, PNG, GIF, ") as caught:
            open_image(data)
        assert str(caught.value).endswith(f"PPM or AVIF; its bytes begin {data[:12]!r}")

    @pytest.mark.parametrize("use", USES)
    @pytest.mark.parametrize("format", ["ICO", "EPS"])
    def test_others_that_the_caller_opened_are_not_decoded(
        self, format: str, use: Callable[[Image.Image], object], monkeypatch: pytest.MonkeyPatch
    ):
        """Pillow decodes an EPS by Ghostscript, when the pixels are used."""
        image = Image.open(io.BytesIO(saved(four_corners(), format)))
        monkeypatch.setattr(type(image), "load", lambda _: pytest.fail("it was decoded"))
        with pytest.raises(
            ValueError, match=rf"PPM or AVIF, not {format}\. If you trust .*image\.copy\(\)"
        ):
            use(image)

    def test_a_copy_of_any_format_is_used(self):
        image = Image.open(io.BytesIO(saved(Image.new("RGB", (16, 16), RED), "PCX")))
        assert upright(image.copy()).getpixel((3, 3)) == RED

    def test_a_pillow_without_avif(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.delitem(Image.OPEN, "AVIF", raising=False)
        monkeypatch.setattr(Image, "init", lambda: None)
        assert open_image(saved(four_corners(), "PPM")).format == "PPM"


def test_in_a_new_process_all_formats_are_known():
    """Pillow loads its decoders when they are asked for."""
    program = (
        "import sys; from sansio_moondream.images import open_image; "
        "print(open_image(sys.stdin.buffer.read()).format)"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        input=saved(four_corners(), "TIFF"),
        capture_output=True,
        cwd=Path(sansio_moondream.__file__).parent.parent,
    )
    assert (run.stdout.split(), run.stderr) == ([b"TIFF"], b"")


class TestMemory:
    """Only the header is read."""

    @pytest.mark.parametrize(
        ("depth", "color", "clear", "mode", "each", "fits"),
        [
            (1, 0, b"", "1", 5, (16_000, 10_000)),
            (8, 0, b"", "L", 5, (16_000, 10_000)),
            (8, 0, b"\0\0", "L", 9, (8_888, 10_000)),
            (8, 3, b"", "P", 5, (16_000, 10_000)),
            (8, 3, b"\0", "P", 9, (8_888, 10_000)),
            (16, 0, b"", "I;16", 8, (10_000, 10_000)),
            (8, 2, b"", "RGB", 8, (10_000, 10_000)),
            (8, 4, b"", "LA", 12, (6_666, 10_000)),
            (16, 6, b"", "RGBA", 12, (6_666, 10_000)),
        ],
    )
    def test_bytes_of_the_mode_and_of_the_copies_count(
        self,
        depth: int,
        color: int,
        clear: bytes,
        mode: str,
        each: int,
        fits: tuple[int, int],
        monkeypatch: pytest.MonkeyPatch,
    ):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
        width, height = fits
        assert width * height * each <= MAX_MEMORY < (width + 1) * height * each
        parts = {b"PLTE": bytes(6) if color == 3 else b"", b"tRNS": clear}
        more = tuple((name, data) for name, data in parts.items() if data)
        assert open_image(png(width, height, depth=depth, color=color, more=more)).mode == mode
        data = png(width + 1, height, depth=depth, color=color, more=more)
        needed = f"{(width + 1) * height * each:,}"
        with pytest.raises(
            ValueError,
            match=rf"has {width + 1} x {height} pixels, .* {needed} .*mode {mode}, more than 800,",
        ):
            open_image(data)
        for use in USES:
            with pytest.raises(ValueError, match="a decompression bomb, or too large"):
                use(Image.open(io.BytesIO(data)))

    def test_pillows_own_limit_is_said_in_words(self):
        with pytest.raises(ValueError, match="cannot open the picture: Image size"):
            open_image(png(20_000, 20_000))


def corrupted(data: bytes, rng: Random) -> bytes:
    """Cut it, overwrite some of its bytes, or both."""
    changed = bytearray(data[: rng.randrange(len(data)) if rng.random() < 0.4 else len(data)])
    for _ in range(rng.randrange(4)):
        if changed:
            changed[rng.randrange(len(changed))] = rng.choice([0, 1, 127, 255, rng.randrange(256)])
    return bytes(changed)


@pytest.mark.filterwarnings("ignore")  # Pillow warns of what is odd in a file
class TestBroken:
    @pytest.mark.parametrize("format", OPENED)
    def test_only_a_value_error_is_raised(self, format: str):
        exif = Image.Exif()
        exif[0x0112] = 6
        options: dict[str, Any] = {"exif": exif} if format in ("JPEG", "PNG", "WEBP") else {}
        if format in ("GIF", "MPO", "TIFF"):
            options |= {"save_all": True, "append_images": [four_corners(8)]}
        data = saved(four_corners(8), format, **options)
        rng, refused = Random(1), 0
        for _ in range(60):
            changed = corrupted(data, rng)
            for use in (lambda data: encode_image(open_image(data)), encode_image):
                try:
                    use(changed)
                except ValueError:
                    refused += 1
        assert refused > 10

    def test_the_words_of_an_error_without_any(self, monkeypatch: pytest.MonkeyPatch):
        def load(_: Image.Image) -> None:
            raise EOFError

        image = open_image(saved(four_corners(), "PNG"))
        monkeypatch.setattr(type(image), "load", load)
        with pytest.raises(ValueError, match="^Pillow cannot decode the picture: EOFError$") as it:
            upright(image)
        assert isinstance(it.value.__cause__, EOFError)

    @pytest.mark.parametrize("chunk", [b"zTXt", b"iCCP"])
    def test_text_or_a_profile_that_inflates_to_megabytes_is_refused(self, chunk: bytes):
        bomb = b"a\0\0" + zlib.compress(bytes(1 << 24), 9)
        with pytest.raises(ValueError, match=r"(?i)cannot open.*: Decompressed data too large"):
            open_image(png(4, 4, rows=bytes(20), more=((chunk, bomb),)))


class TestReads:
    """Pillow looks for the next block of a broken file byte by byte."""

    def filled(self, count: int) -> bytes:
        """Return a GIF with bytes that are no block before its first one."""
        data = saved(Image.new("L", (4, 4)), "GIF")
        at = 13 + 3 * 2 ** ((data[10] & 7) + 1)  # behind the header and the palette
        return data[:at] + bytes(count) + data[at:]

    def reads(self, data: bytes) -> int:
        reads: list[object] = []

        class Counted(io.BytesIO):
            def read(self, *size: Any) -> bytes:
                reads.append(size)
                return super().read(*size)

        Image.open(Counted(data), formats=[name for name in FORMATS if name in Image.OPEN])
        return len(reads)

    def test_are_counted_while_it_is_opened(self):
        most = 20_000 - self.reads(self.filled(0))
        assert self.reads(self.filled(most)) == 20_000
        assert open_image(self.filled(most)).size == (4, 4)
        words = "^Pillow cannot open the picture: it is broken: its header is not found in 20,000 r"
        with pytest.raises(ValueError, match=words):
            open_image(self.filled(most + 1))

    def test_are_not_counted_afterwards(self):
        image = open_image(self.filled(20_000 - self.reads(self.filled(0))))
        assert upright(image).size == (4, 4)

    @pytest.mark.parametrize("head", [b"GIF89a", b"\xff\xd8\xff\xe0", b"II*\0\x08\0\0\0\xff\xff"])
    def test_of_ten_megabytes_that_are_no_picture(self, head: bytes):
        """It took half a minute."""
        with pytest.raises(ValueError, match="20,000 reads"):
            open_image(head.ljust(10 * 1024 * 1024, b"\xff"))


def test_without_pillow_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'sansio-moondream\[images\]'"):
        open_image(b"")
