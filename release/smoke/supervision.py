"""Results as values of supervision, with their masks."""

import supervision

from sansio_moondream import BBox, DetectResult, SegmentResult
from sansio_moondream.exports import to_supervision

boxes = to_supervision(DetectResult((BBox(0, 0, 0.5, 1),)), (8, 4))
assert isinstance(boxes, supervision.Detections)
assert boxes.xyxy.tolist() == [[0, 0, 4, 4]]
segment = to_supervision(SegmentResult("M0 0H1V1H0z", BBox(0, 0, 0.5, 1)), (8, 4))
assert segment.mask.sum() == 16
