"""How a bulk run ended: as JSON, and in words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from moondream_transports.bulk import Summary

from ._bulk_meter import by_class, clock, most_common, tokens_of
from ._client_arguments import UsageError
from ._terminal import on_one_line
from ._wording import with_options

KILLED = (
    "stopped at once, perhaps before the files were written. The answers are in the ledger; what "
    "was in flight will be asked again. To go on, run the same command again"
)
_STDOUT = "-"
_SHOWN = 3  # classes of errors with an example
_COLUMNS = 300


def check_summary_file(name: str | None) -> None:
    """Raise UsageError for a file that certainly cannot be written.

    A run takes hours. Its user should learn this before.
    """
    if name is None or name == _STDOUT:
        return
    path = Path(name)
    if path.is_dir():
        raise UsageError(f"--summary should be a file, but {name} is a folder")
    if not path.parent.is_dir():
        raise UsageError(f"the folder of --summary does not exist: {path.parent}")


def write_summary(name: str | None, summary: Summary) -> str:
    """Write the JSON to a file. For `-`, return it for standard output.

    Raises UsageError for a file that cannot be written.
    """
    if name is None:
        return ""
    text = json.dumps(to_json(summary), indent=2) + "\n"
    if name == _STDOUT:
        return text
    try:
        Path(name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"the summary {name} cannot be written: {error.strerror}") from error
    return ""


def to_json(summary: Summary) -> dict[str, object]:
    """Return the summary as an object of JSON. docs/how-to/bulk.md describes it."""
    counts = summary.counts
    ended = counts.done + counts.failed
    return {
        "total": counts.total,
        "done": counts.done,
        "failed": counts.failed,
        "skipped": counts.skipped,
        "failed_before": counts.failed_before,
        "duplicates": counts.duplicates,
        "duplicate_ids": counts.duplicate_ids,
        "failures": counts.failures,
        "examples": counts.examples,
        "input_tokens": counts.input_tokens,
        "output_tokens": counts.output_tokens,
        "seconds": round(summary.seconds, 3),
        "per_second": round(ended / summary.seconds, 3) if summary.seconds > 0 else 0.0,
        "interrupted": summary.interrupted,
        "files": [str(path) for path in summary.files],
        "ledger": str(summary.ledger),
    }


def summarize(summary: Summary, *, limited: bool, can_retry: bool = True) -> list[str]:
    """Return what happened, and what to run to go on, as lines.

    Args:
        summary: of the run.
        limited: the run was to ask only some of the items.
        can_retry: the items that failed can be asked again in the same output.
    """
    counts = summary.counts
    ended = counts.done + counts.failed
    seen = counts.skipped + counts.duplicates + ended
    parts = [f"{counts.done:,} done", f"{counts.failed:,} failed"]
    if done_before := counts.skipped - counts.failed_before:
        parts.append(f"{done_before:,} done before")
    if counts.failed_before:
        parts.append(f"{counts.failed_before:,} failed before")
    whole = "" if counts.total is None else f" of {counts.total:,}"
    rate = f", {ended / summary.seconds:.1f}/s" if ended and summary.seconds > 0 else ""
    seconds = summary.seconds
    time = clock(seconds) if seconds >= 10 else f"{seconds:.1f} s"
    pace = f"in {time}{rate}, {tokens_of(counts):,} tokens"
    lines = [f"{', '.join(parts)}{whole}; {pace}"]
    if summary.files:
        lines.append(f"the answers are in {in_short(summary.files)}")
    if counts.failed:
        lines.append(f"failed: {by_class(counts)}")
    for name, number in most_common(counts)[:_SHOWN]:
        such = on_one_line(with_options(counts.examples[name]), _COLUMNS)
        lines.append(f"{name}, such as {such}" if number > 1 else f"{name}: {such}")
    if counts.failed + counts.failed_before:
        again = " To ask them again, run the same command with --retry-failed" if can_retry else ""
        lines.append(f"the rows of failed items say why.{again}")
    if counts.duplicates and counts.duplicate_ids:
        shown = on_one_line(", ".join(map(repr, counts.duplicate_ids)), _COLUMNS)
        more = ", ..." if counts.duplicates > len(counts.duplicate_ids) else ""
        lines.append(
            f"{counts.duplicates:,} not asked, as their ids came before with the same question: "
            f"{shown}{more}. Ids tell rows apart: give each item its own"
        )
    elif counts.duplicates:
        lines.append(f"{counts.duplicates:,} not asked, as their ids came before")
    if summary.interrupted:
        lines.append("stopped before the end of the input. To go on, run the same command again")
    elif limited and counts.total is not None and seen < counts.total:
        lines.append("--limit ended this run. To go on, run the same command again")
    return lines


def in_short(files: Sequence[Path]) -> str:
    """Return the first file, and how many more there are."""
    more = f" and {len(files) - 1:,} more" if len(files) > 1 else ""
    return f"{files[0]}{more}" if files else "no file: the ledger is empty"
