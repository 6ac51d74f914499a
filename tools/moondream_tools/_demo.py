"""The demo: the main job on recordings that ship with the program, through the client and the
decoder that read a real server.
"""

from __future__ import annotations

import io
from importlib.resources import files
from textwrap import fill, wrap
from typing import Any

from msgspec.structs import asdict

from moondream_transports import Client, ReplayTransport
from sansio_moondream import (
    CaptionRequest,
    DetectRequest,
    Endpoint,
    PointRequest,
    QueryRequest,
    Request,
    Result,
    SegmentRequest,
    SegmentResult,
    encode_image,
)
from sansio_moondream.recording import Recording

from ._arguments import UsageError
from ._render import TextOutput
from ._terminal import BOLD, CYAN, DIM, Terminal, on_one_line, safe

_RECORDINGS = files("moondream_tools") / "recordings"
# pixels a side; an outline has no size of its own, so it fits a picture that was made larger
_OVERLAY_SIZE = 480
_ABOUT = (
    "Five answers, played from recordings that ship with this program. They are made up, in the service's format: no server, no "
    "network, no key. What reads them is what would read a real server: the same client, the same decoder."
)
_NEXT = """\
Next:  moondream-stream query photo.jpg "What is in this image?"
       with MOONDREAM_API_KEY set, or --endpoint http://localhost:2020/v1
       moondream-stream --help"""


def run_demo(out: Terminal, speed: float | None, overlay: str | None = None) -> None:
    """Play every recording, at `speed` times its pace, or at once (None). The segmentation is drawn
    into the file `overlay`.

    Raises UsageError where that cannot be.
    """
    picture = (_RECORDINGS / "moon.png").read_bytes()
    moon = encode_image(picture)
    requests: list[tuple[Request[Any], str]] = [
        (QueryRequest(image=moon, question="What is in this image?"), '"What is in this image?"'),
        (CaptionRequest(image=moon, length="short"), "--length short"),
        (SegmentRequest(image=moon, object="moon"), "moon"),
        (DetectRequest(image=moon, object="moon"), "moon"),
        (PointRequest(image=moon, object="moon"), "moon"),
    ]
    recordings = [
        Recording.decode((_RECORDINGS / f"{request.skill}.jsonl").read_bytes())
        for request, _ in requests
    ]
    client = Client(ReplayTransport(recordings, speed), Endpoint())
    out.line(fill(_ABOUT, out.width - 1))
    for request, words in requests:
        out.line()
        out.line(
            f"{out.styled('$', DIM)} {out.styled(f'moondream-stream {request.skill} moon.png {words}', BOLD)}"
        )
        output = TextOutput(out, out, brief=True)
        with client.stream(request) as stream:
            for event in stream:
                output.event(event)
            result = stream.result()
            _show(result, out)
        if overlay is not None and isinstance(result, SegmentResult):
            _write_overlay(result, picture, overlay)
            out.line(f"drawn on its picture in {safe(overlay)}")
    out.line()
    out.line(_NEXT)


def _write_overlay(result: SegmentResult, picture: bytes, name: str) -> None:
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise UsageError("drawing needs Pillow, which comes with sansio-moondream[cli]") from None
    with Image.open(io.BytesIO(picture)) as image:
        drawn = result.overlay(
            ImageOps.contain(image.convert("RGB"), (_OVERLAY_SIZE, _OVERLAY_SIZE)), color="lime"
        )
    try:
        drawn.save(name, format="PNG")
    except OSError as error:
        raise UsageError(str(error)) from error


def _show(result: Result, out: Terminal) -> None:
    """The typed result, a field a line: shortened, but for what came beside the answer."""
    lines = [f"{type(result).__name__}("]
    for name, value in asdict(result).items():
        if name == "metadata":
            lines += wrap(
                f"{name}={value!r},",
                out.width - 1,
                initial_indent=" " * 4,
                subsequent_indent=" " * 8,
            )
        else:
            lines.append(f"    {name}={on_one_line(repr(value), out.width - len(name) - 7)},")
    for line in [*lines, ")"]:
        out.line(out.styled(line, CYAN))
