"""The demo: the recordings of this program, through the client and the decoder for real servers."""

from __future__ import annotations

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
from sansio_moondream.images import open_image
from sansio_moondream.recording import Recording

from ._client_arguments import UsageError
from ._render import TextOutput
from ._terminal import BOLD, DIM, FIELD, Terminal, on_one_line, safe
from ._wording import INSTALL, in_words

_RECORDINGS = files("moondream_tools") / "recordings"
# In pixels a side. An outline has no size in pixels, so it fits the enlarged picture too.
_OVERLAY_SIZE = 480
_ABOUT = (
    "Five answers, played from recordings of this program: no server, no network, no key. The "
    "answers are made up, in the service's format. The client and the decoder are those for real "
    "servers."
)
_NEXT = """\
Next:  moondream-stream query photo.jpg "What is in this image?"
       with MOONDREAM_API_KEY set, or --endpoint http://localhost:2020/v1
       moondream-stream --help"""


def run_demo(out: Terminal, speed: float | None, overlay: str | None = None) -> None:
    """Play every recording.

    Args:
        out: shows the answers.
        speed: how many times as fast as recorded, or None to play at once.
        overlay: the name of a PNG file for the segmentation on its picture, or None.

    Raises UsageError if the overlay cannot be drawn or written.
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
    for request, arguments in requests:
        out.line()
        command = f"moondream-stream {request.skill} moon.png {arguments}"
        out.line(f"{out.styled('$', DIM)} {out.styled(command, BOLD)}")
        output = TextOutput(out, out, brief=True)
        with client.stream(request) as stream:
            for event in stream:
                output.event(event)
            result = stream.result()
            _show(result, out)
        if overlay is not None and isinstance(result, SegmentResult):
            _write_overlay(result, picture, overlay)
            out.line(f"drawn on the picture: {safe(overlay)}")
    out.line()
    out.line(_NEXT)


def _write_overlay(result: SegmentResult, picture: bytes, name: str) -> None:
    try:
        from PIL import ImageOps
    except ImportError:
        raise UsageError(f"--overlay needs Pillow: {INSTALL}") from None
    with open_image(picture) as image:
        drawn = result.overlay(
            ImageOps.contain(image.convert("RGB"), (_OVERLAY_SIZE, _OVERLAY_SIZE)), color="lime"
        )
    try:
        drawn.save(name, format="PNG")
    except OSError as error:
        raise UsageError(in_words(error)) from error


def _show(result: Result, out: Terminal) -> None:
    """Show a result, one field a line. The metadata is complete, other fields are shortened."""
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
        out.line(line, FIELD)
