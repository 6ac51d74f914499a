"""Messages of encoded events."""

from __future__ import annotations

from sansio_moondream import BBox, Dialect, Headers, Metadata, Metrics, Stats
from tests.helpers import TRACES

BY_NAME = {trace.name: trace for trace in TRACES}
BOX = BBox(0.1, 0.2, 0.3, 0.4)
ENGINE, CLOUD, STATION, DEMO = Dialect.ENGINE, Dialect.CLOUD, Dialect.STATION, Dialect.DEMO
MOONDREAMS = [ENGINE, CLOUD, STATION, DEMO]


ABOUT = Metadata(
    request_id="31",
    finish_reason="stop",
    metrics=Metrics(input_tokens=740, ttft_ms=40.5),
    stats=Stats(tokens=43, duration=0.25),
    headers=Headers({"server": "uvicorn"}),
    extra={"org_id": "7"},
)
