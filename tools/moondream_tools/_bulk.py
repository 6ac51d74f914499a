"""`moondream-stream bulk`: ask about many pictures."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Mapping

from moondream_transports import UrllibTransport
from moondream_transports.bulk import (
    BulkError,
    Summary,
    count_items,
    export,
    run_bulk,
)

from ._bulk_client import make_client, make_endpoints
from ._bulk_dry_run import make_estimate
from ._bulk_options import format_of, make_items, make_template, output_of
from ._bulk_progress import Progress
from ._bulk_refusals import Refusals
from ._bulk_signals import stop_by_signals
from ._bulk_summary import STOPPED, check_summary_file, in_short, in_words, write_summary
from ._client_arguments import UsageError
from ._exit import Exit, print_error, report

ROWS_PER_SHARD = 10_000


def run_bulk_command(arguments: argparse.Namespace, environment: Mapping[str, str]) -> Exit:
    """Run the command. Returns its exit status.

    Raises BrokenPipeError and OSError if standard output cannot be written.
    """
    try:
        if arguments.bulk_skill == "export":
            return _export(arguments)
        return _run(arguments, environment)
    except BrokenPipeError:
        raise
    except (UsageError, BulkError, ValueError, OSError, ImportError) as error:
        print_error(str(error))
        return Exit.USAGE


def _run(arguments: argparse.Namespace, environment: Mapping[str, str]) -> Exit:
    template = make_template(arguments, environment)
    items = make_items(arguments, template)
    endpoints = make_endpoints(arguments, environment)
    if arguments.dry_run:
        print(make_estimate(arguments, items, template, [limit for _, limit in endpoints]))
        return Exit.OK
    output = output_of(arguments)
    check_summary_file(arguments.summary)
    stop = threading.Event()
    refusals = Refusals(arguments.give_up_after, stop)
    concurrent = arguments.concurrent * len(endpoints)
    with UrllibTransport(max_idle=concurrent) as transport:
        client, limiter = make_client(arguments, transport, endpoints, refusals)
        progress = Progress(limiter.status, stop, arguments.limit)
        try:
            with stop_by_signals(stop), progress:
                summary = run_bulk(
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
                )
        except KeyboardInterrupt:
            print_error(STOPPED)
            return Exit.INTERRUPTED
    return finish(arguments, summary, refusals)


def _export(arguments: argparse.Namespace) -> Exit:
    files = export(
        arguments.ledger,
        output_of(arguments),
        format=format_of(arguments),
        rows_per_shard=arguments.rows_per_shard,
        masks=arguments.masks,
    )
    print_error(f"the answers are in {in_short(files)}")
    return Exit.OK


def finish(arguments: argparse.Namespace, summary: Summary, refusals: Refusals) -> Exit:
    """Say how the run ended. Returns the exit status. Raises OSError."""
    for line in in_words(summary, limited=arguments.limit is not None):
        print_error(line)
    write_summary(arguments.summary, summary)
    if refusals.given_up is not None:
        return report(refusals.given_up)
    if summary.interrupted:
        return Exit.INTERRUPTED
    failed = summary.counts.failed + summary.counts.failed_before
    return Exit.SOME_FAILED if failed else Exit.OK
