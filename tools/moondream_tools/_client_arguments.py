"""The arguments of all commands that ask a server, and the values that they describe."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from math import isinf
from typing import Any
from urllib.parse import urlsplit

from moondream_transports import RetryPolicy, Timeouts
from sansio_moondream import Endpoint, Settings

from ._parser import count, number, seconds_or_none, typed, whole
from ._status import PROGRAM
from ._wording import EXAMPLE, with_options

API_KEY = "MOONDREAM_API_KEY"
ENDPOINT = "MOONDREAM_ENDPOINT"
MODEL = "MOONDREAM_MODEL"
NO_SERVER = (
    f"Set {API_KEY} for the cloud service, give the address of your own server with "
    f"--endpoint {EXAMPLE} or {ENDPOINT}"
)
_TIMEOUTS = {
    "connect": "for the connection",
    "first_event": "after that for the first event",
    "idle": "after that for each next byte",
    "total": "in total",
}


class UsageError(Exception):
    """The arguments cannot be used. The message says what to do."""


def add_endpoint(group: Any, **options: Any) -> None:
    """Add the server's address. `options` replace those of the argument."""
    about = (
        f"the server's address, such as {EXAMPLE} (default: that of {ENDPOINT}, else the cloud's)"
    )
    group.add_argument("--endpoint", **{"metavar": "URL", "help": about, **options})
    group.add_argument(
        "--allow-insecure-key",
        action="store_true",
        help="send the key over plain http, where others on the network can read it",
    )


def add_timeouts(group: Any, defaults: Timeouts | None = None) -> None:
    """Add the timeouts. `defaults` are for the help."""
    defaults = defaults or Timeouts()
    for timeout, meaning in _TIMEOUTS.items():
        group.add_argument(
            f"--{timeout.replace('_', '-')}-timeout",
            type=typed(seconds_or_none),
            metavar="SECONDS",
            help=f"how long to wait {meaning}, or none for no limit "
            f"(default: {getattr(defaults, timeout):g})",
        )


def add_retries(group: Any, default: int) -> None:
    """Add the number of retries."""
    group.add_argument(
        "--retries",
        type=typed(whole),
        default=default,
        metavar="N",
        help="send a request again that the server did not take (429, 503, no connection), at most "
        "N times (default: %(default)s)",
    )


def add_model(group: Any) -> None:
    """Add the model."""
    group.add_argument(
        "--model",
        help=f"a model or finetune, moondream3-preview/FINETUNE@STEP (default: that of {MODEL}, "
        "else the server's choice)",
    )


def add_settings(group: Any, *, objects: bool = True) -> None:
    """Add the model and the settings of an answer."""
    add_model(group)
    group.add_argument(
        "--temperature",
        type=_setting("temperature", number),
        metavar="NUMBER",
        help="randomness in the choice of words, from 0",
    )
    group.add_argument(
        "--top-p",
        type=_setting("top_p", number),
        metavar="NUMBER",
        help="choose from the most likely words up to this share, at most 1",
    )
    group.add_argument(
        "--max-tokens",
        type=_setting("max_tokens", count),
        metavar="COUNT",
        help="the maximum length of the answer",
    )
    if objects:
        group.add_argument(
            "--max-objects",
            type=_setting("max_objects", count),
            metavar="COUNT",
            help="the maximum number of objects",
        )


def add_max_side(group: Any) -> None:
    """Add the size that pictures may have."""
    group.add_argument(
        "--max-side",
        type=typed(count),
        metavar="PIXELS",
        help="make pictures with a longer side smaller",
    )


def model_of(arguments: argparse.Namespace, environment: Mapping[str, str]) -> str | None:
    """Return the model of `--model`, else that of the environment, or None. Raises UsageError."""
    given: str | None = arguments.model
    model = given if given is not None else environment.get(MODEL) or None
    try:
        Endpoint(model=model)
    except ValueError as error:
        source = MODEL if given is None else "--model"
        raise UsageError(f"{source}: {with_options(str(error))}") from None
    return model


def url_of(
    given: str | None, environment: Mapping[str, str], option: str = "--endpoint"
) -> str | None:
    """Return the address that was given, else that of the environment, or None for the cloud.

    Raises UsageError for what is no address of a server.
    """
    url = given if given is not None else environment.get(ENDPOINT) or None
    if url is None or _is_address(url):
        return url
    source = ENDPOINT if given is None else option
    # Without user, query and fragment, which may be secret.
    shown = url.rpartition("@")[2].partition("?")[0].partition("#")[0]
    near = f"http://{shown}" if "/" in shown else f"http://{shown}/v1"
    guess = f": did you mean {near}?" if "://" not in url and _is_address(near) else ""
    more = " with a user name, a query or a fragment" if shown != url else ""
    raise UsageError(
        f"{source} should be the address of a server, such as {EXAMPLE}, not {shown[:200]!r}{more}"
        f"{guess}"
    )


def endpoint_of(
    arguments: argparse.Namespace,
    url: str | None,
    model: str | None,
    environment: Mapping[str, str],
) -> Endpoint:
    """Return the endpoint at an address of `url_of`, or in the cloud. Raises UsageError."""
    about: dict[str, Any] = {"url": url} if url else {}
    about |= {"model": model, "user_agent_suffix": PROGRAM, "api_key": environment.get(API_KEY)}
    try:
        endpoint = Endpoint(**about, allow_insecure_key=True)
    except ValueError:  # the others were checked
        raise UsageError(f"{API_KEY} has a character that no key has: set it again") from None
    try:
        return Endpoint(**about, allow_insecure_key=arguments.allow_insecure_key)
    except ValueError:
        raise UsageError(
            f"the key of {API_KEY} would go to {urlsplit(endpoint.url).hostname} over plain http, "
            "where others can read it: use https, or --allow-insecure-key"
        ) from None


def timeouts_of(arguments: argparse.Namespace) -> Timeouts:
    """Return the timeouts that were given, and the defaults of the others."""
    given = {
        name: None if isinf(seconds) else seconds
        for name in Timeouts.__struct_fields__
        if (seconds := getattr(arguments, f"{name}_timeout")) is not None
    }
    return Timeouts(**given)


def retries_of(arguments: argparse.Namespace, **options: float) -> RetryPolicy | None:
    """Return when a request is sent again, or None for never. `options` are the policy's."""
    return RetryPolicy(1 + arguments.retries, **options) if arguments.retries else None


def settings_of(arguments: argparse.Namespace) -> Settings | None:
    """Return the settings that were given, or None without any."""
    given = {
        name: value
        for name in Settings.__struct_fields__
        if (value := getattr(arguments, name, None)) is not None
    }
    return Settings(**given) if given else None


def _setting(name: str, read: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return the type of an argument for a setting. The library decides which values are valid."""

    def parse(text: str) -> Any:
        value = read(text)
        try:
            Settings(**{name: value})
        except ValueError as error:
            raise ValueError(str(error).replace(name, "it", 1)) from None
        return value

    return typed(parse)


def _is_address(url: str) -> bool:
    try:
        Endpoint(url)
    except ValueError:
        return False
    return True
