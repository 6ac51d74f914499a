"""Results as annotations: COCO, YOLO text and `supervision`. Values in, values out; no file.

Everything about a segmentation here is about the pixels of `mask(size, antialias=False)`: those
whose centre is inside the outline. So run lengths, polygons, areas and boxes agree with each other,
and with what `pycocotools` computes from them.

`size` is always width and height, in pixels, of the upright picture
(`sansio_moondream.images.upright`).
"""

from ._coco import coco_annotations, coco_polygons, coco_rle
from ._supervision import to_supervision
from ._yolo import yolo_labels

__all__ = [
    "coco_annotations",
    "coco_polygons",
    "coco_rle",
    "to_supervision",
    "yolo_labels",
]
