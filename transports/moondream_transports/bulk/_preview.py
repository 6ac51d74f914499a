"""What a run would find: how many items it would ask, and what answers took so far."""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import islice

from msgspec import Struct

from sansio_moondream import Timing

from ._answers import AnswerReader
from ._inputs import count_items
from ._ledger import Ledger
from ._outputs import open_output
from ._template import Template
from ._values import Item, OutputFormat, Status

_SAMPLE = 1000  # rows: enough for a mean


class Preview(Struct, frozen=True):
    """What a run would find. `preview` makes it.

    Attributes:
        items: of the input, or None if they cannot be counted.
        in_ledger: of these, how many would not be asked, as they ended before.
        latency: seconds of an answer in the ledger, as the server reports them, or None.
        input_tokens, output_tokens: of an answer in the ledger, or None. They are means.
    """

    items: int | None
    in_ledger: int = 0
    latency: float | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None


def preview(
    items: Iterable[Item],
    template: Template,
    output: str | os.PathLike[str],
    *,
    format: OutputFormat | None = None,
    retry_failed: bool = False,
) -> Preview:
    """Look what a run with these arguments would find. Nothing is asked, and no picture is read.

    The items are read once if there is a ledger. It is locked meanwhile.


    The arguments are as in `run_bulk`.

    Raises:
        LedgerInUse: a run uses the output.
        BulkError: the ledger cannot be used.
        ValueError: the output belongs to something else.
    """
    place = open_output(output, format)
    if not place.ledger.exists():
        return Preview(count_items(items))
    with Ledger(place.ledger) as ledger:
        read, known = 0, 0
        for item in items:
            read += 1
            found = ledger.find(item.id, template.digest(item), template.model or "")
            known += found is not None and not (retry_failed and found.status is Status.FAILED)
        return Preview(read, known, *_means(ledger))


def _means(ledger: Ledger) -> tuple[float | None, float | None, float | None]:
    """Return the mean latency, input tokens and output tokens of the first answers."""
    reader = AnswerReader(ledger.layout.skill)
    done = (row for row in ledger.rows(0, None) if row.status is Status.DONE)
    answers = [reader.read(row).metadata for row in islice(done, _SAMPLE)]
    known = [metadata for metadata in answers if metadata is not None]
    return (
        _mean(_latency(metadata.timing) for metadata in known),
        _mean(metadata.tokens.input for metadata in known),
        _mean(metadata.tokens.output for metadata in known),
    )


def _latency(timing: Timing) -> float | None:
    """Return the seconds that a server reports: in total, or in the parts that it names."""
    if timing.total is not None or timing.decode is None:
        return timing.total
    return (timing.prefill or timing.first_token or 0.0) + timing.decode


def _mean(numbers: Iterable[float | None]) -> float | None:
    known = [number for number in numbers if number is not None]
    return sum(known) / len(known) if known else None
