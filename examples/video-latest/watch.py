"""Outline an object in a video or a camera's picture: python watch.py SOURCE OBJECT OUTPUT.mp4

SOURCE is a file, an address that OpenCV opens, or the number of a camera. A file is played at its
own speed, as a camera would give it. The output has every frame, each with the newest outline.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from moondream_transports import Client
from moondream_transports.relay import latest
from sansio_moondream import Endpoint, SegmentRequest, SegmentResult, encode_image

Picture = NDArray[np.uint8]


class Frame(NamedTuple):
    number: int
    picture: Picture


class Video:
    """Reads frames at their own speed, and writes each with the newest outline."""

    def __init__(self, source: str, output: str) -> None:
        self._capture = cv2.VideoCapture(int(source) if source.isdecimal() else source)
        if not self._capture.isOpened():
            raise OSError(f"OpenCV cannot open {source!r}")
        self.per_second = self._capture.get(cv2.CAP_PROP_FPS) or 30.0
        self.size = (
            int(self._capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
            int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
        )
        mp4 = cv2.VideoWriter.fourcc(*"mp4v")
        self._writer = cv2.VideoWriter(output, mp4, self.per_second, self.size)
        self._lock = threading.Lock()  # `latest` reads frames in a thread
        self._outlines: list[NDArray[np.int32]] = []

    def frames(self) -> Iterator[Frame]:
        begin, number = time.monotonic(), 0
        try:
            while (read := self._capture.read())[0]:
                self._write(read[1])
                yield Frame(number, read[1])
                number += 1
                time.sleep(max(0.0, begin + number / self.per_second - time.monotonic()))
        finally:
            self._capture.release()
            self._writer.release()

    def _write(self, picture: Picture) -> None:
        with self._lock:
            outlines = self._outlines
        self._writer.write(cv2.polylines(picture.copy(), outlines, True, (0, 255, 0), 2))

    def show(self, result: SegmentResult) -> None:
        outlines = [np.array(outline, np.int32) for outline in result.polygons(self.size)]
        with self._lock:
            self._outlines = outlines


def watch(client: Client, video: Video, name: str) -> int:
    """Return how many frames were answered."""

    def request(frame: Frame) -> SegmentRequest:
        encoded = cv2.imencode(".jpg", frame.picture)[1]
        return SegmentRequest(image=encode_image(encoded.tobytes()), object=name)

    answered = 0
    with latest(client, video.frames(), request) as answers:
        for answer in answers:
            if answer.error is not None:
                print(f"frame {answer.frame.number}: {answer.error}", file=sys.stderr)
                continue
            assert answer.result is not None
            video.show(answer.result)
            answered += 1
            print(f"frame {answer.frame.number}: {answer.seconds:.2f} s, {answer.skipped} skipped")
    return answered


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("source", "object", "output"):
        parser.add_argument(name)
    given = parser.parse_args()
    address = os.environ.get("MOONDREAM_ENDPOINT", Endpoint().url)
    with Client(endpoint=Endpoint(address, os.environ.get("MOONDREAM_API_KEY"))) as client:
        return 0 if watch(client, Video(given.source, given.output), given.object) else 1


if __name__ == "__main__":
    sys.exit(main())
