"""The arguments of the command line, and the request and the client that they describe."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from moondream_transports import (
    Client,
    ReplayTransport,
    Transport,
    UrllibTransport,
    read_image,
)
from sansio_moondream import (
    CaptionRequest,
    DetectRequest,
    EncodedImage,
    Endpoint,
    PointRequest,
    QueryRequest,
    Request,
    SegmentRequest,
    __version__,
)
from sansio_moondream.recording import Match, Recording

from ._bulk_arguments import add_bulk_command
from ._client_arguments import (
    API_KEY,
    NO_SERVER,
    PROGRAM,
    UsageError,
    add_endpoint,
    add_settings,
    add_timeouts,
    endpoint_of,
    model_of,
    settings_of,
    timeouts_of,
)
from ._serve_options import parse_speed
from ._server_arguments import typed
from ._server_commands import add_server_commands

_EPILOG = """\
The key is read from MOONDREAM_API_KEY, the model from MOONDREAM_MODEL unless --model names one.
IMAGE is a file, or - for standard input. The answer goes to standard output, everything else to
standard error. Control characters of the answer are shown as escapes; --json has the exact text.

exit status: 0 complete answer, 2 wrong usage, 3 refused by the server, 4 incomplete answer (what
arrived is shown), 5 no answer (unreachable, or silent), 6 some items of bulk failed, 130
interrupted
"""


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        PROGRAM,
        description="Ask Moondream about a picture, and see the answer as it arrives. Unofficial.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    skills = parser.add_subparsers(dest="skill", metavar="COMMAND", required=True)

    query = _add_skill(skills, "query", "ask a question about a picture")
    query.add_argument("question", nargs="?", metavar="QUESTION", help="the question")
    query.add_argument(
        "--question", dest="question_option", metavar="QUESTION", help="the question, as an option"
    )
    query.add_argument(
        "--reasoning",
        action="store_true",
        default=None,
        help="ask for the reasoning too (the cloud needs --no-stream)",
    )
    caption = _add_skill(skills, "caption", "describe a picture")
    caption.add_argument(
        "--length", choices=["short", "normal", "long"], help="the length of the description"
    )
    for skill, about in (
        ("segment", "outline an object that you describe"),
        ("detect", "find the boxes of all objects of a kind"),
        ("point", "find the centres of all objects of a kind"),
    ):
        _add_skill(skills, skill, about).add_argument(
            "object", metavar="OBJECT", help="a description of the object"
        )

    demo = skills.add_parser(
        "demo",
        help="play recorded answers, without a server",
        description="Play recorded answers, without a server.",
    )
    _add_speed(demo)
    demo.add_argument(
        "--overlay",
        metavar="FILE",
        help="draw the segmentation on its picture, as a PNG (needs Pillow from [cli])",
    )
    schema = skills.add_parser(
        "schema",
        help="print the JSON Schema of what --json prints",
        description="Print the JSON Schema of the JSON form of all values, which --json prints.",
    )
    schema.add_argument(
        "kind", nargs="?", metavar="KIND", help="only of this kind of value, such as completed"
    )
    add_bulk_command(skills)
    add_server_commands(skills)
    return parser


def make_request(arguments: argparse.Namespace) -> Request[Any]:
    """Return the request of the arguments. Raises UsageError, ValueError or OSError."""
    about: dict[str, Any] = {
        "image": read_picture(arguments.image, arguments.max_side),
        "settings": settings_of(arguments),
    }
    match arguments.skill:
        case "query":
            if (arguments.question is None) == (arguments.question_option is None):
                raise UsageError(
                    "give the question once: as the argument after the image, or with --question"
                )
            return QueryRequest(
                question=arguments.question or arguments.question_option or "",
                reasoning=arguments.reasoning,
                **about,
            )
        case "caption":
            return CaptionRequest(length=arguments.length, **about)
        case "segment":
            return SegmentRequest(object=arguments.object, **about)
        case "detect":
            return DetectRequest(object=arguments.object, **about)
        case _:
            return PointRequest(object=arguments.object, **about)


def make_client(arguments: argparse.Namespace, environment: Mapping[str, str]) -> Client:
    """Return the client of the arguments. Raises UsageError, ValueError or OSError."""
    model = model_of(arguments, environment)
    if not (arguments.replay or arguments.endpoint or environment.get(API_KEY)):
        raise UsageError(
            f"no server to ask. {NO_SERVER}, or play a recording with --replay FILE. For a first "
            "look: moondream-stream demo"
        )
    transport: Transport
    if arguments.replay:
        transport = ReplayTransport(
            [Recording.decode(Path(arguments.replay).read_bytes())],
            arguments.speed,
            match=Match.SKILL,
        )
        endpoint = Endpoint(model=model)
    else:
        transport = UrllibTransport()
        endpoint = endpoint_of(arguments, arguments.endpoint, model, environment)
    return Client(transport, endpoint, timeouts=timeouts_of(arguments))


def read_picture(name: str, max_side: int | None = None) -> EncodedImage:
    """Read a picture from a file or from standard input. Raises UsageError, ValueError or OSError.

    What was done to make it smaller is printed.
    """
    # Pillow warns of what is odd in a file. The error, if there is one, says enough.
    with warnings.catch_warnings(action="ignore"):
        try:
            image = read_image(sys.stdin.buffer if name == "-" else name, max_side=max_side)
        except ModuleNotFoundError as error:
            raise UsageError(str(error)) from error
    if image.note is not None:
        print(f"{PROGRAM}: the picture was {image.note}", file=sys.stderr)
    return image


def _add_skill(skills: Any, name: str, about: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = skills.add_parser(
        name, help=about, description=f"{about.capitalize()}."
    )
    parser.add_argument("image", metavar="IMAGE", help="a picture: a file, or - for standard input")
    parser.add_argument(
        "--max-side", type=int, metavar="PIXELS", help="make a picture with a longer side smaller"
    )
    server = parser.add_argument_group("server")
    add_endpoint(server)
    server.add_argument(
        "--replay", metavar="FILE", help="play a recording instead of asking a server"
    )
    _add_speed(server)
    add_timeouts(server)
    answer = parser.add_argument_group("answer")
    answer.add_argument(
        "--json", action="store_true", help="print each event, and an error, as a line of JSON"
    )
    answer.add_argument(
        "--no-stream", action="store_true", help="ask for an answer that is not streamed"
    )
    add_settings(answer)
    return parser


def _add_speed(parser: Any) -> None:
    about = "play recordings N times as fast as recorded, or at once (max)"
    parser.add_argument("--speed", type=typed(parse_speed), default=1.0, metavar="N", help=about)
