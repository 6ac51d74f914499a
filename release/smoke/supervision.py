"""Results as values of supervision, with their masks."""

import warnings
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns that it comes without OpenCV
    import supervision

from sansio_moondream import BBox, DetectResult, SegmentResult
from sansio_moondream.exports import to_supervision

found = DetectResult((BBox(0, 0, 0.5, 1),))
boxes = to_supervision(found, (8, 4), class_name="moon")
assert isinstance(boxes, supervision.Detections)
assert vars(boxes)["xyxy"].tolist() == [[0, 0, 4, 4]]
outline = SegmentResult("M0 0H1V1H0z", BBox(0, 0, 0.5, 1))
segment: Any = to_supervision(outline, (8, 4), class_name="moon")
assert segment.mask.sum() == 16
