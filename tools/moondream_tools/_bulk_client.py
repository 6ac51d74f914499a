"""The client of a bulk run, and its limit."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from urllib.parse import urlsplit

from msgspec.structs import replace

from moondream_transports import (
    AsyncClient,
    AsyncTransport,
    EndpointPool,
    Hooks,
    Limiter,
    RetryPolicy,
    Timeouts,
)
from sansio_moondream import Endpoint
from sansio_moondream.limiter import RateLimit

from ._bulk_arguments import CLOUD_RATE, MAX_RETRY_AFTER, TOTAL_TIMEOUT
from ._client_arguments import (
    API_KEY,
    ENDPOINT,
    NO_SERVER,
    UsageError,
    endpoint_of,
    model_of,
    retries_of,
    timeouts_of,
    url_of,
)

_CLOUD = urlsplit(Endpoint().url).hostname
_MAX_BACKOFF = 30.0  # seconds: a run lasts for hours, so it can wait for a server that restarts


def make_endpoints(
    arguments: argparse.Namespace, environment: Mapping[str, str]
) -> list[tuple[Endpoint, RateLimit]]:
    """Return the endpoints to ask, each with its limit. Raises UsageError or ValueError.

    A dry run asks nobody. It needs no key to compute what the cloud would take.
    """
    known = arguments.endpoint or environment.get(ENDPOINT) or environment.get(API_KEY)
    if not (known or arguments.dry_run):
        raise UsageError(f"no server to ask. {NO_SERVER}")
    model = model_of(arguments, environment)
    urls = [url_of(given, environment) for given in arguments.endpoint or [None]]
    endpoints = [endpoint_of(arguments, url, model, environment) for url in urls]
    return [(endpoint, limit_of(arguments, endpoint)) for endpoint in endpoints]


def limit_of(arguments: argparse.Namespace, endpoint: Endpoint) -> RateLimit:
    """Return the limit of an endpoint: what was given, or the service's. Raises ValueError."""
    rate: float | None = arguments.rate
    if rate is None and urlsplit(endpoint.url).hostname == _CLOUD:
        rate = CLOUD_RATE
    if rate is not None and math.isinf(rate):
        rate = None
    if arguments.burst is not None and rate is None:
        raise UsageError("--burst needs a --rate: without one, any number may begin at once")
    return RateLimit(rate, arguments.burst, arguments.concurrent)


def make_timeouts(arguments: argparse.Namespace) -> Timeouts:
    """Return the timeouts of a run. The wait for its turn counts, and so does a pause."""
    timeouts = timeouts_of(arguments)
    return replace(timeouts, total=TOTAL_TIMEOUT) if arguments.total_timeout is None else timeouts


def make_retries(arguments: argparse.Namespace) -> RetryPolicy | None:
    """Return the retries of a run, or None."""
    return retries_of(arguments, max_backoff=_MAX_BACKOFF, max_retry_after=MAX_RETRY_AFTER)


def make_client(
    arguments: argparse.Namespace,
    transport: AsyncTransport,
    endpoints: list[tuple[Endpoint, RateLimit]],
    hooks: Hooks,
) -> tuple[AsyncClient, Limiter | EndpointPool]:
    """Return the client, and what limits its requests. Raises ValueError."""
    timeouts, retries = make_timeouts(arguments), make_retries(arguments)
    if len(endpoints) > 1:
        pool = EndpointPool(endpoints)
        return AsyncClient(transport, pool, timeouts=timeouts, hooks=hooks, retries=retries), pool
    endpoint, limit = endpoints[0]
    limiter = Limiter(limit.per_second, limit.burst, limit.concurrent)
    client = AsyncClient(
        transport, endpoint, limiter=limiter, timeouts=timeouts, hooks=hooks, retries=retries
    )
    return client, limiter
