"""`moondream-stream bulk --via ray`: the same run on a cluster."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from math import ceil
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from moondream_transports.bulk import Item, Summary, Template
from sansio_moondream import Endpoint
from sansio_moondream.limiter import RateLimit

from ._bulk_client import make_retries, make_timeouts
from ._bulk_options import output_of
from ._client_arguments import UsageError
from ._exit import SHARED

INTERRUPTED = (
    "stopped. What was asked and not written will be asked again. To go on, run the same command "
    "again"
)
_ACTORS = (1, 4)
_ACTOR_CPUS = 0.5
# Otherwise Ray starts 32 processes to read the checkpoint. One reads 128 files at once.
_FOOTER_READERS = "RAY_DATA_PARQUET_FOOTER_NUM_ACTORS"
_TABLE_ONLY = "a run on Ray writes Parquet files"
_REFUSED = {
    "retry_failed": "on Ray, rows that are written stay: ask about the failed items of the output "
    "in a run of their own, with another --output",
    "limit": "on Ray, all of the input is asked: name a smaller input",
}


def check_cluster(arguments: argparse.Namespace) -> None:
    """Raise UsageError for options that have no meaning on a cluster, or only there."""
    if arguments.via is None:
        if arguments.actors is not None:
            raise UsageError("--actors is for a cluster: give --via ray, too")
        return
    for name, reason in _REFUSED.items():
        if getattr(arguments, name):
            raise UsageError(f"--{name.replace('_', '-')} cannot be used with --via: {reason}")
    if len(arguments.endpoint) > 1:
        raise UsageError(
            "several --endpoint cannot be used with --via: put a load balancer before the servers"
        )
    if arguments.format not in (None, "parquet"):
        raise UsageError(f"--format {arguments.format} cannot be used with --via: {_TABLE_ONLY}")
    output = arguments.output
    if output is not None and Path(output).suffix in (".parquet", ".jsonl", ".csv"):
        raise UsageError(f"--output {output} cannot be used with --via: {_TABLE_ONLY} to a folder")


def limit_of_cluster(arguments: argparse.Namespace, limit: RateLimit) -> RateLimit:
    """Return the limit of all actors together, of which `limit` has the requests of each."""
    if arguments.via is None or limit.concurrent is None:
        return limit
    _, largest = arguments.actors or _ACTORS
    return replace(limit, concurrent=limit.concurrent * largest)


def rows_written(output: str) -> int:
    """Return how many rows an output of earlier runs has. Raises ModuleNotFoundError."""
    from moondream_transports.bulk.ray import count_rows

    return count_rows(output)


def ask_on_ray(
    arguments: argparse.Namespace,
    template: Template,
    items: Iterable[Item],
    endpoint: Endpoint,
    limit: RateLimit,
) -> Summary:
    """Ask about all items.

    Raises:
        UsageError: there is no cluster at the address.
        MoondreamError: the run was given up.
    """
    from moondream_transports.bulk.ray import Asking, require_ray, run_bulk_on_ray

    os.environ.setdefault(_FOOTER_READERS, "1")
    ray = require_ray()
    output = output_of(arguments)
    actors = arguments.actors or _ACTORS
    _connect(ray, arguments.via, actors[1])
    try:
        return run_bulk_on_ray(
            items,
            output,
            Asking(
                template=template,
                endpoint=endpoint,
                limit=replace(limit, concurrent=None),
                concurrent=arguments.concurrent,
                timeouts=make_timeouts(arguments),
                retries=make_retries(arguments),
                stream=arguments.stream,
                masks=getattr(arguments, "masks", None) or False,
                give_up_on=SHARED,
                give_up_after=arguments.give_up_after,
            ),
            actors=actors,
            num_cpus=_ACTOR_CPUS,
            **({"rows_per_file": size} if (size := arguments.rows_per_shard) else {}),
        )
    finally:
        ray.shutdown()


def _connect(ray: Any, address: str, largest: int) -> None:
    from moondream_transports.bulk.ray._run import cpus_needed

    options = {"logging_level": "WARNING"}
    try:
        if address:
            ray.init(address=address, **options)
            return
        try:
            # Ray only counts CPUs. With those of a small machine alone a run would stand still.
            needed = ceil(cpus_needed(largest, _ACTOR_CPUS))
            ray.init(num_cpus=max(os.cpu_count() or 1, needed), **options)
        except ValueError:  # there is a cluster already, with CPUs of its own
            ray.init(**options)
    except Exception as error:  # Ray raises it itself if a node starts too slowly
        where = f"at {address}" if address else "here"
        raise UsageError(f"there is no cluster of Ray {where}: {error}") from error
