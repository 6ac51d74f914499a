"""`moondream-stream bulk`: ask about many pictures."""

from __future__ import annotations

import argparse
import asyncio
import sys
import threading
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from moondream_transports.bulk import (
    BulkError,
    Item,
    Refusals,
    Summary,
    Template,
    count_items,
    export,
    run_bulk,
)
from sansio_moondream import Endpoint, MoondreamError
from sansio_moondream.limiter import RateLimit

from ._bulk_client import make_client, make_endpoints
from ._bulk_dry_run import make_estimate
from ._bulk_options import format_of, make_items, make_template, output_of
from ._bulk_progress import Progress
from ._bulk_ray import INTERRUPTED, ask_on_ray, check_cluster, limit_of_cluster
from ._bulk_signals import stop_by_signals
from ._bulk_summary import KILLED, check_summary_file, in_short, summarize, write_summary
from ._client_arguments import UsageError
from ._exit import SHARED, print_error, report
from ._status import Exit
from ._wording import describe_error, with_options

ROWS_PER_SHARD = 10_000


class Ending(NamedTuple):
    """How the command ends.

    Attributes:
        status: of its exit.
        text: for standard output.
    """

    status: Exit
    text: str = ""


def run_bulk_command(arguments: argparse.Namespace, environment: Mapping[str, str]) -> Exit:
    """Run the command. Returns its exit status. Raises OSError for standard output alone."""
    try:
        ending = _run(arguments, environment)
    except (UsageError, BulkError, ValueError, OSError, ImportError) as error:
        print_error(describe_error(error))
        return Exit.USAGE
    sys.stdout.write(ending.text)
    return ending.status


def _run(arguments: argparse.Namespace, environment: Mapping[str, str]) -> Ending:
    if arguments.bulk_skill == "export":
        return _export(arguments)
    template = make_template(arguments, environment)
    items = make_items(arguments, template)
    endpoints = make_endpoints(arguments, environment)
    check_cluster(arguments)
    if arguments.dry_run:
        limits = [limit_of_cluster(arguments, limit) for _, limit in endpoints]
        shown = with_options(str(make_estimate(arguments, items, template, limits)))
        return Ending(Exit.OK, f"{shown}\n")
    check_summary_file(arguments.summary)
    if arguments.via is not None:
        return _run_on_ray(arguments, template, items, endpoints[0])
    try:
        summary, refusals = asyncio.run(_ask(arguments, template, items, endpoints))
    except KeyboardInterrupt:
        print_error(KILLED)
        return Ending(Exit.INTERRUPTED)
    for line in summarize(summary, limited=arguments.limit is not None):
        print_error(line)
    text = write_summary(arguments.summary, summary)
    return Ending(_status_of(summary, refusals), text)


def _run_on_ray(
    arguments: argparse.Namespace,
    template: Template,
    items: Iterable[Item],
    endpoint: tuple[Endpoint, RateLimit],
) -> Ending:
    try:
        summary = ask_on_ray(arguments, template, items, *endpoint)
    except MoondreamError as error:  # all requests ended with it
        return Ending(report(error))
    except KeyboardInterrupt:
        print_error(INTERRUPTED)
        return Ending(Exit.INTERRUPTED)
    for line in summarize(summary, limited=False, can_retry=False):
        print_error(line)
    some_failed = summary.counts.failed + summary.counts.failed_before
    text = write_summary(arguments.summary, summary)
    return Ending(Exit.SOME_FAILED if some_failed else Exit.OK, text)


async def _ask(
    arguments: argparse.Namespace,
    template: Template,
    items: Iterable[Item],
    endpoints: list[tuple[Endpoint, RateLimit]],
) -> tuple[Summary, Refusals]:
    """Ask about all items. Returns how that ended, and whether it was given up."""
    from moondream_transports import AnyioTransport  # an extra, which a dry run does not need

    output = output_of(arguments)
    stop, abort = threading.Event(), threading.Event()
    refusals = Refusals(SHARED, arguments.give_up_after, stop)
    concurrent = arguments.concurrent * len(endpoints)
    async with AnyioTransport(max_idle=concurrent, trust_env=True) as transport:
        client, limiter = make_client(arguments, transport, endpoints, refusals)
        progress = Progress(limiter.status, stop, arguments.limit)
        with stop_by_signals(stop, abort), progress:
            summary = await run_bulk(
                client,
                items,
                template,
                output,
                format=format_of(arguments),
                rows_per_shard=arguments.rows_per_shard or ROWS_PER_SHARD,
                masks=getattr(arguments, "masks", False),
                concurrent=concurrent,
                limit=arguments.limit,
                retry_failed=arguments.retry_failed,
                stream=arguments.stream,
                total=count_items(items),
                on_progress=progress.update,
                stop=stop,
                abort=abort,
            )
    return summary, refusals


def _export(arguments: argparse.Namespace) -> Ending:
    files = export(
        arguments.ledger,
        output_of(arguments),
        format=format_of(arguments),
        rows_per_shard=arguments.rows_per_shard,
        masks=arguments.masks,
    )
    print_error(f"the answers are in {in_short(files)}")
    return Ending(Exit.OK)


def _status_of(summary: Summary, refusals: Refusals) -> Exit:
    if refusals.given_up is not None:
        return report(refusals.given_up)
    if summary.interrupted:
        return Exit.INTERRUPTED
    failed = summary.counts.failed + summary.counts.failed_before
    return Exit.SOME_FAILED if failed else Exit.OK
