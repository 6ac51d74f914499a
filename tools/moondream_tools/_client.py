"""The client of the commands that ask a server, or play recordings in its place."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path

from moondream_transports import (
    Client,
    Hooks,
    ReplayTransport,
    Timeline,
    UrllibTransport,
)
from sansio_moondream import Endpoint, MoondreamError
from sansio_moondream.recording import Match, RecordingError

from ._client_arguments import (
    API_KEY,
    NO_SERVER,
    UsageError,
    endpoint_of,
    model_of,
    retries_of,
    timeouts_of,
    url_of,
)
from ._exit import print_error
from ._wording import describe_error, of_recording


class _Retries(Hooks):
    """Say that a request is sent again."""

    def on_retry(self, timeline: Timeline, error: MoondreamError, seconds: float) -> None:
        print_error(f"{describe_error(error)}; again in {seconds:.1f} s")


def make_client(arguments: argparse.Namespace, environment: Mapping[str, str]) -> Client:
    """Return the client of the arguments. Raises UsageError."""
    model = model_of(arguments, environment)
    timeouts, retries = timeouts_of(arguments), retries_of(arguments)
    if arguments.replay is not None:
        for name, is_given in (
            ("--endpoint", arguments.endpoint is not None),
            ("--allow-insecure-key", arguments.allow_insecure_key),
        ):
            if is_given:
                raise UsageError(f"{name} is for a server, and --replay asks none: give only one")
        transport = _replay(arguments.replay, getattr(arguments, "speed", 1.0))
        return Client(
            transport, Endpoint(model=model), timeouts=timeouts, hooks=_Retries(), retries=retries
        )
    if hasattr(arguments, "speed"):
        raise UsageError("--speed is for recordings: give --replay RECORDING, too")
    url = url_of(arguments.endpoint, environment)
    if url is None and not environment.get(API_KEY):
        raise UsageError(
            f"no server to ask. {NO_SERVER}, or play a recording with --replay FILE. For a first "
            "look: moondream-stream demo"
        )
    endpoint = endpoint_of(arguments, url, model, environment)
    return Client(UrllibTransport(), endpoint, timeouts=timeouts, hooks=_Retries(), retries=retries)


def _replay(name: str, speed: float | None) -> ReplayTransport:
    """Return the transport of a recording or of a folder with some."""
    path = Path(name)
    if os.path.isdir(path) and not any(path.glob("*.jsonl")):
        raise UsageError(f"the folder {name} has no recordings (*.jsonl)")
    try:
        return ReplayTransport(path, speed, match=Match.SKILL)
    except (RecordingError, OSError) as error:
        raise UsageError(f"--replay: {of_recording(error, name)}") from error
