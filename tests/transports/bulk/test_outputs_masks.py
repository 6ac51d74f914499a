"""Masks in the files of a bulk run, decoded by COCO's own reader."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pycocotools import mask as reader  # type: ignore[import-untyped]

from moondream_transports.bulk import OutputFormat, Row
from moondream_transports.bulk._columns import Columns
from sansio_moondream import BBox, ConnectionLost, Metadata, SegmentResult
from tests.transports.bulk.outputs import FORMATS, decoded, encoded, row_of

# pycocotools 2.0.11 decodes in the way of numpy 1.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

RING = SegmentResult("M0 0H1V1H0zM.25 .25V.75H.75V.25z", BBox(0.25, 0.5, 0.75, 1))
CUT = SegmentResult(
    "M.5 0L.8 1L0 .4L1 .4L.2", BBox(0, 0, 1, 1), metadata=Metadata(finish_reason="length")
)
COLUMNS = Columns("segment", masks=True)


def only(row: Row, format: OutputFormat = OutputFormat.JSON_LINES) -> dict[str, Any]:
    """Return the one row of a file, read by another's reader."""
    (found,) = decoded(encoded([row], format, COLUMNS), format, COLUMNS)
    return found


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("result", [RING, CUT])
def test_it_has_the_pixels_of_the_result(format: OutputFormat, result: SegmentResult) -> None:
    found = only(row_of(result, width=60, height=40), format)
    assert found["mask"]["size"] == [40, 60]
    pixels = reader.decode(found["mask"])
    assert pixels.any()
    assert np.array_equal(pixels.astype(bool), result.mask_array((60, 40)))
    assert found["mask_error"] in (None, "")


def test_nothing_found_is_an_empty_mask() -> None:
    found = only(row_of(SegmentResult(), width=3, height=2))
    assert reader.decode(found["mask"]).sum() == 0
    assert found["mask_error"] is None


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (row_of(RING), "the size of the picture is not known"),
        (row_of(RING, width=60), "the size of the picture is not known"),
        (row_of(RING, height=40), "the size of the picture is not known"),
        (
            row_of(SegmentResult("M0 0 L nonsense", BBox(0, 0, 1, 1)), width=6, height=4),
            "the path is wrong at character 7",
        ),
        (row_of(SegmentResult("M0 0H1V1z"), width=6, height=4), "box"),
        (row_of(RING, width=100_000, height=100_000), "pixels"),
        (row_of(RING, width=0, height=4), "size should be"),
        (
            row_of(SegmentResult(parse_error="no path"), width=6, height=4),
            "the model wrote no path: no path",
        ),
        (
            row_of(ConnectionLost("lost", partial=RING), width=6, height=4),
            "the answer is not complete",
        ),
    ],
)
def test_one_that_cannot_be_made_is_null_and_says_why(row: Row, why: str) -> None:
    for each in FORMATS:
        found = only(row, each)
        assert found["mask"] is None
        assert why in found["mask_error"]


def test_an_item_without_an_answer_has_neither() -> None:
    found = only(row_of(ConnectionLost("lost"), width=6, height=4))
    assert (found["mask"], found["mask_error"]) == (None, None)
