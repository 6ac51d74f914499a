"""`moondream-stream query`, `caption`, `segment`, `detect` and `point`: ask about pictures."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from moondream_transports import Client, NoRecording
from sansio_moondream import (
    CaptionRequest,
    Completed,
    DetectRequest,
    EncodedImage,
    PointRequest,
    QueryRequest,
    Request,
    Result,
    SegmentRequest,
)

from ._client import make_client
from ._client_arguments import UsageError, settings_of
from ._drawings import Drawing, drawings_of
from ._exit import ERRORS, SHARED, print_error, print_note, report
from ._pictures import STDIN, Picture, read_pictures
from ._render import JSONOutput, Output, TextOutput
from ._status import Exit
from ._terminal import Terminal, safe
from ._wording import describe_error


def run_ask(arguments: argparse.Namespace, environment: Mapping[str, str], out: Terminal) -> Exit:
    """Ask about each picture in its turn, and show the answers.

    The first failure decides the exit status. What is wrong with every request ends the loop.

    Raises UsageError before anything is asked.
    """
    names, text = _split(arguments)
    client = make_client(arguments, environment)
    try:
        pictures = read_pictures(names, arguments.max_side)
        images: list[EncodedImage | None] = [picture.encoded for picture in pictures]
        requests = [_request(arguments, text, image) for image in images or [None]]
        drawings = drawings_of(arguments, pictures)
    except (ValueError, OSError) as error:
        raise UsageError(describe_error(error)) from error
    if not pictures:
        return _ask(client, arguments, requests[0], out)[0]
    ending = Exit.OK
    for picture, request, files in zip(pictures, requests, drawings, strict=True):
        if len(pictures) > 1:
            _name(picture, out, is_text=not arguments.json)
        status, result, is_shared = _ask(client, arguments, request, out)
        if result is not None:
            status = _draw(files, result, picture)
        ending = ending or status
        if is_shared:
            break
    return ending


def make_output(arguments: argparse.Namespace, out: Terminal) -> Output:
    """Return how an answer is shown."""
    if arguments.json:
        return JSONOutput(sys.stdout)
    is_brief = out.is_terminal and not getattr(arguments, "whole_path", False)
    return TextOutput(out, Terminal(sys.stderr, may_fail=True), brief=is_brief)


def _ask(
    client: Client, arguments: argparse.Namespace, request: Request[Any], out: Terminal
) -> tuple[Exit, Result | None, bool]:
    """Ask once. Returns how it ended, the result, and whether all requests would fail so."""
    output = make_output(arguments, out)
    try:
        if arguments.no_stream:
            result: Result = client.send(request)
            output.event(Completed(result))
        else:
            with client.stream(request) as answer:
                for event in answer:
                    output.event(event)
                result = answer.result()
    except NoRecording as error:
        print_error(describe_error(error))
        return Exit.USAGE, None, True
    except ERRORS as error:
        output.fault(error)
        return report(error), None, isinstance(error, SHARED)
    except KeyboardInterrupt:
        output.fault(None)
        raise
    return Exit.OK, result, False


def _split(arguments: argparse.Namespace) -> tuple[list[str], str]:
    """Return the names of the pictures, and the question or the object.

    The arguments are IMAGE ... TEXT. argparse cannot see where the text is if options are between
    them, or if the question is an option: this can.
    """
    words: list[str] = [*arguments.images, *arguments.more]
    if arguments.last is not None:
        words.insert(len(arguments.images), arguments.last)
    skill = arguments.skill
    if skill == "caption":
        if not words:
            raise UsageError("name the pictures to describe: caption IMAGE")
        return words, ""
    if skill == "query" and arguments.question is not None:
        if words and words[-1] != STDIN and not os.path.exists(words[-1]):
            raise UsageError(
                f"{words[-1]} is no picture: give the question once, as the last argument or with "
                "--question"
            )
        return words, arguments.question
    what = "QUESTION" if skill == "query" else "OBJECT"
    if not words or os.path.isfile(words[-1]):
        after = f" after {words[-1]}, which is a picture" if words else ""
        raise UsageError(f"there is no {what}: give it as the last argument{after}")
    *names, text = words
    if skill != "query" and not names:
        raise UsageError(f"give a picture before {what}: {skill} IMAGE {what}")
    return names, text


def _request(arguments: argparse.Namespace, text: str, image: EncodedImage | None) -> Request[Any]:
    """Return the request of the arguments. Raises ValueError."""
    about: dict[str, Any] = {"image": image, "settings": settings_of(arguments)}
    match arguments.skill:
        case "query":
            return QueryRequest(question=text, reasoning=arguments.reasoning, **about)
        case "caption":
            return CaptionRequest(length=arguments.length, **about)
        case "segment":
            return SegmentRequest(object=text, **about)
        case "detect":
            return DetectRequest(object=text, **about)
        case _:
            return PointRequest(object=text, **about)


def _name(picture: Picture, out: Terminal, *, is_text: bool) -> None:
    """Say which picture is next. JSON on standard output has nothing between its lines."""
    if is_text:
        out.heading(picture.name)
    else:
        print_note(f"==> {picture.name} <==")


def _draw(drawings: Sequence[Drawing], result: Result, picture: Picture) -> Exit:
    for drawing in drawings:
        try:
            drawing.write(result, picture)
        except UsageError as error:
            print_error(str(error))
            return Exit.USAGE
        print_note(f"{drawing.kind}: {safe(str(drawing.path))}")
    return Exit.OK
