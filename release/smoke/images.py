"""Pictures with Pillow: one is opened, sent, drawn upon, masked and cut out."""

import io

from PIL import Image

from sansio_moondream import BBox, SegmentResult, encode_image
from sansio_moondream.images import open_image

buffer = io.BytesIO()
Image.new("RGB", (8, 4), "white").save(buffer, "PNG")
picture = open_image(buffer.getvalue())
assert encode_image(picture).data_url.startswith("data:image/")

left = SegmentResult("M0 0H1V1H0z", BBox(0, 0, 0.5, 1))
assert left.mask((8, 4), antialias=False).getbbox() == (0, 0, 4, 4)
drawn = left.overlay(picture, color="lime", opacity=1.0)
assert (drawn.getpixel((1, 1)), drawn.getpixel((7, 1))) == ((0, 255, 0), (255, 255, 255))
assert left.cutout(picture).getpixel((7, 1)) == (255, 255, 255, 0)
