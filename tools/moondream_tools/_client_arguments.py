"""The arguments of all commands that ask a server, and the values that they describe."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from moondream_transports import Timeouts
from sansio_moondream import Endpoint, Settings

PROGRAM = "moondream-stream"
API_KEY = "MOONDREAM_API_KEY"
_MODEL = "MOONDREAM_MODEL"
NO_SERVER = (
    f"Set {API_KEY} for the cloud service, give the address of your own server with "
    "--endpoint http://localhost:2020/v1"
)
_TIMEOUTS = {
    "connect": "for the connection",
    "first-event": "after that for the first event",
    "idle": "after that for each next byte",
    "total": "in total",
}
_SETTINGS = ("temperature", "top_p", "max_tokens", "max_objects")


class UsageError(Exception):
    """The arguments cannot be used. The message says what to do."""


def add_endpoint(group: Any, **options: Any) -> None:
    """Add the server's address. `options` replace those of the argument."""
    about = "the server's address, without the name of the skill (default: the cloud's)"
    group.add_argument("--endpoint", **{"metavar": "URL", "help": about, **options})
    group.add_argument(
        "--allow-insecure-key",
        action="store_true",
        help="send the key over plain http, where others on the network can read it",
    )


def add_timeouts(group: Any) -> None:
    for timeout, meaning in _TIMEOUTS.items():
        group.add_argument(
            f"--{timeout}-timeout",
            type=float,
            metavar="SECONDS",
            help=f"how long to wait {meaning}",
        )


def add_settings(group: Any) -> None:
    """Add the model and the settings of an answer."""
    group.add_argument("--model", help="a model or finetune (moondream3-preview/FINETUNE@STEP)")
    group.add_argument(
        "--temperature",
        type=float,
        metavar="NUMBER",
        help="randomness in the choice of words, from 0",
    )
    group.add_argument(
        "--top-p",
        type=float,
        metavar="NUMBER",
        help="choose from the most likely words up to this share, at most 1",
    )
    group.add_argument(
        "--max-tokens", type=int, metavar="COUNT", help="the maximum length of the answer"
    )
    group.add_argument(
        "--max-objects", type=int, metavar="COUNT", help="the maximum number of objects"
    )


def model_of(arguments: argparse.Namespace, environment: Mapping[str, str]) -> str | None:
    """Return the model of `--model`, else that of the environment, or None."""
    model: str | None = arguments.model
    return model if model is not None else environment.get(_MODEL) or None


def endpoint_of(
    arguments: argparse.Namespace,
    url: str | None,
    model: str | None,
    environment: Mapping[str, str],
) -> Endpoint:
    """Return the endpoint at an address, or in the cloud. Raises ValueError."""
    where: dict[str, Any] = {"url": url} if url else {}
    return Endpoint(
        **where,
        api_key=environment.get(API_KEY),
        user_agent_suffix=PROGRAM,
        allow_insecure_key=arguments.allow_insecure_key,
        model=model,
    )


def timeouts_of(arguments: argparse.Namespace) -> Timeouts:
    """Return the timeouts that were given, and the defaults of the others. Raises ValueError."""
    given = {
        name: seconds
        for name in Timeouts.__struct_fields__
        if (seconds := getattr(arguments, f"{name}_timeout")) is not None
    }
    return Timeouts(**given)


def settings_of(arguments: argparse.Namespace) -> Settings | None:
    """Return the settings that were given, or None without any. Raises ValueError."""
    given = {name: value for name in _SETTINGS if (value := getattr(arguments, name)) is not None}
    return Settings(**given) if given else None
