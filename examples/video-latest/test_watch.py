"""The program on a video of four seconds, against a server that takes a third of a second."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from moondream_tools import FakeServer
from sansio_moondream import BBox, ServerError

HERE = Path(__file__).parent
SIZE = (160, 120)
FRAMES = 60


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "night.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 15.0, SIZE)
    for _ in range(FRAMES):
        writer.write(np.full((SIZE[1], SIZE[0], 3), (90, 30, 20), np.uint8))
    writer.release()
    return path


def run(server: FakeServer, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "watch.py", *map(str, arguments)],
        cwd=HERE,
        env={**os.environ, "MOONDREAM_ENDPOINT": server.url},
        capture_output=True,
        text=True,
        timeout=120,
    )


def green(path: Path) -> list[int]:
    """Count the green pixels of each frame."""
    capture = cv2.VideoCapture(str(path))
    counts = []
    while (read := capture.read())[0]:
        blue, green, red = (read[1][..., at].astype(int) for at in range(3))
        counts.append(int(((green > red + 60) & (green > blue + 60)).sum()))
    capture.release()
    return counts


def test_the_newest_frames_are_outlined(server: FakeServer, video: Path, tmp_path: Path):
    server.answer(error=ServerError("warming up"))
    box = BBox(0.25, 0.25, 0.75, 0.75)
    server.answer(path="M0 0L1 0L1 1L0 1Z", box=box, seconds=0.06, times=None)
    output = tmp_path / "outlined.mp4"
    done = run(server, video, "the sky", output)
    asked = len(server.requests)
    assert done.returncode == 0, done.stderr
    assert "warming up" in done.stderr
    assert 4 <= asked < FRAMES, "not each frame is asked"
    counts = green(output)
    assert len(counts) == FRAMES
    assert counts[0] == 0
    assert counts[-1] > 100, "the outline stays until the next answer"


def test_a_file_that_is_no_video(server: FakeServer, tmp_path: Path):
    done = run(server, tmp_path / "none.mp4", "the sky", tmp_path / "out.mp4")
    assert done.returncode != 0
    assert "cannot open" in done.stderr
