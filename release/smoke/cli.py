"""The command line: the demo draws its picture, and a picture file is sent in another format."""

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from moondream_tools import FakeServer


def moondream_stream(*arguments: str) -> str:
    done = subprocess.run(
        [Path(sys.executable).with_name("moondream-stream"), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


with tempfile.TemporaryDirectory() as folder, FakeServer() as server:
    moondream_stream("demo", "--speed", "max", "--overlay", "demo.png")
    with Image.open(Path(folder, "demo.png")) as drawn:
        assert min(drawn.size) > 16
    Image.new("RGB", (8, 4)).save(Path(folder, "moon.bmp"))
    server.answer(text="A moon.")
    asked = ("query", "moon.bmp", "What is this?", "--endpoint", server.url)
    assert "A moon." in moondream_stream(*asked)
    (asked_of_it,) = server.requests
    assert "image/bmp" not in repr(asked_of_it) and "EncodedImage" in repr(asked_of_it)
