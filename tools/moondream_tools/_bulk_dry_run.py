"""`moondream-stream bulk --dry-run`: what a run takes, without asking anything."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence

from moondream_transports.bulk import (
    Estimate,
    Item,
    Preview,
    Prices,
    Template,
    count_items,
    estimate,
    preview,
)
from sansio_moondream.limiter import RateLimit

from ._bulk_options import format_of
from ._bulk_ray import rows_written
from ._client_arguments import UsageError


def make_estimate(
    arguments: argparse.Namespace,
    items: Iterable[Item],
    template: Template,
    limits: Sequence[RateLimit],
) -> Estimate:
    """Return what the run takes. Seconds and tokens that are not given are those of the ledger.

    Raises UsageError, ValueError and BulkError.
    """
    found = _preview(arguments, items, template)
    tokens = {
        name: _given(getattr(arguments, f"{name}_tokens"), getattr(found, f"{name}_tokens"))
        for name in ("input", "output")
    }
    for name, number in tokens.items():
        if number is None and getattr(arguments, f"price_per_million_{name}") is not None:
            raise UsageError(
                f"--price-per-million-{name} needs --{name}-tokens, or answers in the ledger: ask "
                "some items first, with --limit 20"
            )
    return estimate(
        found.items or 0,
        limits,
        in_ledger=found.in_ledger,
        limit=arguments.limit,
        latency=_given(arguments.seconds, found.latency),
        input_tokens=tokens["input"],
        output_tokens=tokens["output"],
        prices=_prices(arguments),
    )


def _preview(arguments: argparse.Namespace, items: Iterable[Item], template: Template) -> Preview:
    if arguments.output is None:
        return Preview(count_items(items))
    if arguments.via is not None:
        return Preview(count_items(items), rows_written(arguments.output))
    return preview(
        items,
        template,
        arguments.output,
        format=format_of(arguments),
        retry_failed=arguments.retry_failed,
    )


def _given(number: float | None, known: float | None) -> float | None:
    return known if number is None else number


def _prices(arguments: argparse.Namespace) -> Prices | None:
    names = ("per_request", "per_million_input", "per_million_output")
    given = {
        name: price for name in names if (price := getattr(arguments, f"price_{name}")) is not None
    }
    return Prices(**given, currency=arguments.currency) if given else None
