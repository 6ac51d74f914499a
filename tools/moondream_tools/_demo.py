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
    DetectResult,
    EncodedImage,
    Endpoint,
    PointRequest,
    PointResult,
    QueryRequest,
    Request,
    Result,
    SegmentRequest,
    SegmentResult,
    encode_image,
)
from sansio_moondream.images import upright
from sansio_moondream.recording import Recording

from ._client_arguments import UsageError
from ._render import TextOutput
from ._terminal import BOLD, DIM, FIELD, Terminal, on_one_line, safe
from ._wording import INSTALL, describe_error

_RECORDINGS = files("moondream_tools") / "recordings"
_ABOUT = (
    "Five answers, played from recordings of this program: no server, no network, no key. The "
    "answers are made up, in the service's format. The client and the decoder are those for real "
    "servers."
)
_NEXT = """\
Next:  moondream-stream query photo.jpg "What is in this image?"
       with MOONDREAM_API_KEY and MOONDREAM_MODEL set,
       or with --endpoint http://localhost:2020/v1
       moondream-stream --help

These streams in a browser, byte by byte:  moondream-stream inspect"""


def run_demo(out: Terminal, speed: float | None, overlay: str | None = None) -> None:
    """Play every recording.

    Args:
        out: shows the answers.
        speed: how many times as fast as recorded, or None to play at once.
        overlay: the name of a PNG file for the picture with outline, boxes and points, or None.

    Raises UsageError if the overlay cannot be drawn or written.
    """
    picture = encode_image((_RECORDINGS / "harbour.jpg").read_bytes())
    requests: list[tuple[Request[Any], str]] = [
        (
            QueryRequest(image=picture, question="What is in this image?"),
            '"What is in this image?"',
        ),
        (CaptionRequest(image=picture, length="short"), "--length short"),
        (SegmentRequest(image=picture, object="sailboat"), "sailboat"),
        (DetectRequest(image=picture, object="boat"), "boat"),
        (PointRequest(image=picture, object="window"), "window"),
    ]
    recordings = [
        Recording.decode((_RECORDINGS / f"{request.skill}.jsonl").read_bytes())
        for request, _ in requests
    ]
    client = Client(ReplayTransport(recordings, speed), Endpoint())
    results: list[Result] = []
    out.line(fill(_ABOUT, out.width - 1))
    for request, arguments in requests:
        out.line()
        command = f"moondream-stream {request.skill} harbour.jpg {arguments}"
        out.line(f"{out.styled('$', DIM)} {out.styled(command, BOLD)}")
        output = TextOutput(out, out, brief=True)
        with client.stream(request) as stream:
            for event in stream:
                output.event(event)
            results.append(stream.result())
        _show(results[-1], out)
    out.line()
    if overlay is not None:
        _write_overlay(results, picture, overlay)
        out.line(f"Outline, boxes and points, drawn on the picture: {safe(overlay)}")
        out.line()
    out.line(_NEXT)


def _write_overlay(results: list[Result], picture: EncodedImage, name: str) -> None:
    """Draw outline, boxes and points on one picture."""
    try:
        drawn = upright(picture)
    except ImportError:
        raise UsageError(f"--overlay needs Pillow: {INSTALL}") from None
    for result in results:
        if isinstance(result, SegmentResult):
            drawn = result.overlay(drawn, color="lime")
        elif isinstance(result, DetectResult):
            drawn = result.overlay(drawn, color="white", width=2)
        elif isinstance(result, PointResult):
            drawn = result.overlay(drawn, color="magenta", radius=4)
    try:
        drawn.save(name, format="PNG")
    except OSError as error:
        raise UsageError(describe_error(error)) from error


def _show(result: Result, out: Terminal) -> None:
    """Show a result, one field a line. The metadata is complete, other fields are shortened."""
    lines = [f"{type(result).__name__}("]
    for name, value in asdict(result).items():
        if name == "metadata":
            lines += wrap(
                f"{name}={value!r},",
                out.width - 1,
                initial_indent=" " * 4,
                subsequent_indent=" " * 6,  # so that 40 columns break no word
            )
        else:
            lines.append(f"    {name}={on_one_line(repr(value), out.width - len(name) - 7)},")
    for line in [*lines, ")"]:
        out.line(line, FIELD)
